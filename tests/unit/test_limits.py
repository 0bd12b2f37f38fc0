"""The table of limits: whole, and what the page shows."""

from pathlib import Path
from typing import get_args

from wispy import limits
from wispy.config import fields
from wispy.limits import FRONTEND, LIMITS, WORKER, FrontendLimit, ObjectLimit
from wispy.metrics import BY_NAME

ROOT = Path(__file__).parents[2]
HOW_BUCKETS_ARE_FILLED = {"limits.burst"}


def test_the_reference_is_current() -> None:
    assert (ROOT / "docs/reference/limits.md").read_text(encoding="utf-8") == limits.reference()


def test_every_limit_of_the_configuration_has_its_row() -> None:
    keys = {".".join(path) for path, _ in fields.walk(fields.root())}
    rows = {limit.key for limit in LIMITS}
    assert {key for key in keys if key.startswith("limits.")} - HOW_BUCKETS_ARE_FILLED <= rows
    assert rows - keys == {"rate"}  # a mark


def test_what_is_counted_is_in_the_table_and_has_its_metric() -> None:
    for metric, counted in ((FRONTEND, FrontendLimit), (WORKER, ObjectLimit)):
        assert sorted(limit.label for limit in LIMITS if limit.metric == metric) == sorted(get_args(counted))
        assert BY_NAME[metric].kind == "counter"


def test_every_row_has_a_reason_and_an_answer() -> None:
    assert all(limit.scope and limit.reason and limit.answer for limit in LIMITS)
