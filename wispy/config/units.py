"""Durations and sizes: how they are written in a configuration, and how they are shown.

Rules:
- In the structure a duration is a number of seconds and a size a number of bytes; the type says which.
- Written, a plain number means seconds or bytes. Any other unit is named: `300 ms`, `64 KiB`.
- What `format_duration` and `format_size` show, `parse_duration` and `parse_size` read back as the same value.
"""

import re
from typing import NewType

Seconds = NewType("Seconds", float)
Bytes = NewType("Bytes", int)

_DURATIONS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_SIZES_BY_LOWER_CASE = {unit.lower(): factor for unit, factor in _SIZES.items()}
_QUANTITY = re.compile(r"(-?\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
# A number that a float holds exactly has at most 16 digits; a longer text is no duration anybody means.
_LONGEST_TEXT = 32


def parse_duration(value: object) -> Seconds:
    """Read a duration.

    Args:
        value: seconds as a number, or text with a unit (`1.5 s`, `300 ms`, `2 min`, `1 h`, `7 d`).

    Raises:
        ValueError: it is neither; the text says what was expected.
    """
    number, unit = _quantity(value, "a duration: seconds, or text with a unit such as 300 ms, 1.5 s, 2 min, 1 h")
    factor = _DURATIONS.get(unit or "s")
    if factor is None:
        raise ValueError(f"must have one of the units {', '.join(_DURATIONS)}, not {unit!r}")
    # Milliseconds are divided, so that 300 ms is the same float as 0.3.
    return Seconds(number / 1000 if unit == "ms" else number * factor)


def parse_size(value: object) -> Bytes:
    """Read a size.

    Args:
        value: bytes as a whole number, or text with a unit (`64 KiB`, `1 MB`), in upper or lower case.

    Raises:
        ValueError: it is neither, or not a whole number of bytes; the text says what was expected.
    """
    number, unit = _quantity(value, "a size: bytes, or text with a unit such as 64 KiB, 1 MB")
    factor = _SIZES_BY_LOWER_CASE.get((unit or "B").lower())
    if factor is None:
        raise ValueError(f"must have one of the units {', '.join(_SIZES)}, not {unit!r}")
    size = number * factor
    if size != int(size):
        raise ValueError("must be a whole number of bytes")
    return Bytes(int(size))


def format_duration(seconds: float) -> str:
    """Show a duration in the largest unit that leaves a short number: `300 ms`, `1.5 s`, `2 min`."""
    for unit in ("d", "h", "min"):
        factor = _DURATIONS[unit]
        if seconds and seconds % factor == 0:
            return f"{seconds / factor:.0f} {unit}"
    if 0 < seconds < 1 and round(seconds * 1000) / 1000 == seconds:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.0f} s" if seconds == int(seconds) else f"{seconds!r} s"


def format_size(size: int) -> str:
    """Show a size in the largest binary unit that divides it: `1 MiB`, `1000 B`."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]} {unit}"
    return f"{size} B"


def _quantity(value: object, expected: str) -> tuple[float, str]:
    """Split a number or a text into number and unit, `""` where none is named."""
    if isinstance(value, bool):
        raise ValueError(f"must be {expected}")
    if isinstance(value, int | float):
        # Not a number, an infinity, or beyond what any unit makes sense of.
        if not abs(value) <= 1e15:
            raise ValueError(f"must be {expected}")
        return value, ""
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) and len(value) < _LONGEST_TEXT else None
    if match is None:
        raise ValueError(f"must be {expected}")
    number, unit = match.groups()
    return (float(number) if "." in number else int(number)), unit
