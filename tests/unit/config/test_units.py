import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.config.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (3, 3),
        (1.5, 1.5),
        ("3", 3),
        ("1.5 s", 1.5),
        ("300 ms", 0.3),
        ("300ms", 0.3),
        ("2 min", 120),
        ("1 h", 3600),
        ("7 d", 7 * 86400),
        (" 2 s ", 2),
        ("-1 s", -1),
    ],
)
def test_duration(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s",
        "1 m",
        "1 sec",
        "1 S",
        "1,5 s",
        "1e3",
        "\u0661 s",
        "1 s s",
        True,
        None,
        [],
        math.nan,
        math.inf,
        pytest.param(10**400, id="huge"),
        "9" * 40,
    ],
)
def test_no_duration(written: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("written", "size"),
    [(100, 100), ("100", 100), ("64 KiB", 65536), ("1 mib", 1 << 20), ("1 MB", 10**6), ("0.5 KiB", 512), ("7 B", 7)],
)
def test_size(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "KiB", "1 K", "1 bit", 1.5, "0.3 B", True, None, math.inf])
def test_no_size(written: object) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_size(written)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.3, "300 ms"),
        (1, "1 s"),
        (1.5, "1.5 s"),
        (60, "1 min"),
        (90, "90 s"),
        (7200, "2 h"),
        (86400, "1 d"),
    ],
)
def test_duration_is_shown_short(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


@given(st.floats(min_value=0.001, max_value=7 * 86400).map(lambda seconds: round(seconds, 3)))
def test_a_shown_duration_reads_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(min_value=0, max_value=1 << 40))
def test_a_shown_size_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size
