"""What was measured: curves between points, and files."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.capacity.measurements import Curve, read
from wispy.errors import ConfigError

CURVE = Curve([(10.0, 100.0), (1000.0, 1.0)])


@pytest.mark.parametrize(
    ("per_s", "us"),
    [(0.0, 100.0), (5.0, 100.0), (10.0, 100.0), (100.0, 10.0), (1000.0, 1.0), (50_000.0, 1.0)],
)
def test_a_curve_falls_evenly_between_its_points_and_is_flat_beyond_them(per_s: float, us: float) -> None:
    assert CURVE.us_at(per_s) == pytest.approx(us)
    assert CURVE.share_at(per_s) == pytest.approx(per_s * us / 1e6)


def test_one_point_is_a_curve() -> None:
    assert Curve([(10.0, 7.0)]).us_at(3.0) == Curve([(10.0, 7.0)]).us_at(30.0) == 7.0


@given(st.floats(0.1, 1e5))
def test_it_stays_between_the_points(per_s: float) -> None:
    assert 0.999 <= CURVE.us_at(per_s) <= 100.001


def test_what_comes_with_wispy_can_be_read_and_its_rates_rise() -> None:
    measured = read()
    assert measured.machine["cores"]
    kinds = [measured.calls, measured.shared_calls, measured.updates]
    curves = [measured.deliveries, *(curve for kind in kinds for curve in (kind.frontend, kind.redis, kind.worker))]
    for curve in curves:
        rates = [rate for rate, _ in curve.points]
        assert rates == sorted(set(rates))
        assert all(us > 0 for _, us in curve.points)


@pytest.mark.parametrize("text", ["", "{}", '{"machine": {}}', "[]"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "measured.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"measured\.json: these are no measurements"):
        read(file)
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "missing.json")


def test_a_curve_without_a_point_is_refused(tmp_path: Path) -> None:
    measured = msgspec.to_builtins(read())
    measured["deliveries"]["points"] = []
    file = tmp_path / "measured.json"
    file.write_bytes(msgspec.json.encode(measured))
    with pytest.raises(ConfigError, match=r"at least|>= 1"):
        read(file)
