"""The ids of a stream's entries."""

import pytest

from wispy.protocol.entry_ids import before, order_of


def test_ids_are_ordered_as_numbers() -> None:
    ids = ["10-0", "9-2", "9-10", "100-0"]
    assert sorted(ids, key=order_of) == ["9-2", "9-10", "10-0", "100-0"]


@pytest.mark.parametrize(
    ("entry_id", "expected"),
    [("5-3", "5-2"), ("5-1", "5-0"), ("5-0", f"4-{2**64 - 1}")],
)
def test_the_id_before_another_one(entry_id: str, expected: str) -> None:
    assert before(entry_id) == expected
