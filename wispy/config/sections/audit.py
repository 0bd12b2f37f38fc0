"""The section on the audit log."""

from typing import Annotated, Literal

from wispy.config.sections.base import Count, Section, Size, about
from wispy.config.units import Bytes


class AuditConfig(Section, frozen=True):
    """The audit log: who was denied what, or did what, as a line of JSON for each event."""

    events: Annotated[
        Literal["off", "denied", "all"],
        about("what is written: each access that is denied, or every access; denials are counted in any case"),
    ] = "denied"
    file: Annotated[
        str | None, about("file that the lines are appended to, by all processes; null: standard output, as the log")
    ] = None
    # A quarter of a million events of some 250 bytes in the file and the former ones.
    file_size: Annotated[Size, about("size at which the file is renamed, to `FILE.1`, and another one begun")] = Bytes(
        10 << 20
    )
    files: Annotated[Count, about("former files that are kept; the oldest goes first")] = 5
    # A person at a page, or a script with a bug, comes to a few. A flood of 100 a second writes 2 GB a day.
    rate: Annotated[
        Count,
        about(
            "denied events that a process writes in a second, and as many others; what is left out is counted, and a "
            "line says so"
        ),
    ] = 100
