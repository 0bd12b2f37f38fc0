"""How deep a JSON text is nested, found without parsing it.

A parser recurses once per level: what comes from outside is measured before anything recurses over it.
"""

import re
from typing import Final

MAX_DEPTH: Final = 64
"""Levels of arrays and objects in what comes from outside. Hand-made data rarely has ten; Python's own recursion limit,
which also counts the frames of whoever called, is 1,000."""

_TEXT: Final = re.compile(rb'"[^"]*"?')
_ALL_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_MARKS: Final = bytes(set(range(256)) - set(b'[]{}"'))

_PART: Final = 256 * 1024
"""Bytes that are looked at together: some 30 times as many are needed meanwhile, where all are short texts."""


def is_deeper(data: bytes, limit: int) -> bool:
    """Whether a JSON text has more than `limit` levels of arrays and objects. Never so for `2 * limit` bytes or less.

    A text that is not JSON gets some answer: the parser refuses it in any case.
    """
    # Few messages have many brackets: nearly every text is decided here.
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    # Texts without brackets go at the speed of C: whatever stands between, two quotes are the end of what they begin.
    brackets = without_texts(without_escapes(data).translate(_ALL_SQUARE, _NO_MARKS).replace(b'""', b""))
    for _ in range(limit):
        # Every round takes the innermost level of every branch away, at the speed of C.
        inner = brackets.replace(b"[]", b"")
        if not inner or len(inner) == len(brackets):
            return False
        brackets = inner
    return True


def without_escapes(data: bytes) -> bytes:
    """A JSON text in which every quote begins or ends a text."""
    # Backslashes escape each other in pairs from the left. What is left of an odd number escapes what follows.
    return data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data


def without_texts(data: bytes) -> bytes:
    """What `without_escapes` has returned, without the texts in it: what is left of digits and brackets is in none.

    The time grows with the data and not faster, JSON or not: there is no pattern for a text that may fail at its end,
    and begin anew behind its beginning.
    """
    parts: list[bytes] = []
    begun = b""
    for start in range(0, len(data), _PART):
        part = data[start : start + _PART]
        parts.append(_TEXT.sub(b"", begun + part))
        if part.count(b'"') % 2:
            begun = b"" if begun else b'"'
    return b"".join(parts)
