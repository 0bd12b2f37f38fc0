"""The ids of a stream's entries, `<milliseconds>-<sequence>`: their order, and what lies before one."""

from typing import Final

_LAST_SEQUENCE: Final = 2**64 - 1


def order_of(entry_id: str) -> tuple[int, int]:
    """What ids are compared by: as texts, 10-0 would come before 9-0."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)


def before(entry_id: str) -> str:
    """The id just before another one: a cursor there has the other one next."""
    milliseconds, sequence = order_of(entry_id)
    return f"{milliseconds}-{sequence - 1}" if sequence else f"{milliseconds - 1}-{_LAST_SEQUENCE}"
