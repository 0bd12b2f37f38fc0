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
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def is_deeper(data: bytes, limit: int) -> bool:
    """Whether a JSON text has more than `limit` levels of arrays and objects. Never so for `2 * limit` bytes or less.

    A text that is not JSON gets some answer: the parser refuses it in any case.
    """
    # Few messages have many brackets: nearly every text is decided here.
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    brackets = without_texts(data).translate(_ALL_SQUARE, _NOT_BRACKETS)
    for _ in range(limit):
        # Every round takes the innermost level of every branch away, at the speed of C.
        inner = brackets.replace(b"[]", b"")
        if not inner or len(inner) == len(brackets):
            return False
        brackets = inner
    return True


def without_texts(data: bytes) -> bytes:
    """A JSON text without the texts in it, so that what is left of brackets and digits is no part of one.

    Whatever comes, JSON or not, is gone through a fixed number of times, and nothing is kept for each escape: one
    pattern for texts with their escapes would do neither.
    """
    if b"\\" in data:
        # Backslashes escape each other in pairs from the left. What is left of an odd number escapes what follows.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return _TEXT.sub(b"", data)
