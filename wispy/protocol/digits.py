"""How many digits the numbers of a JSON text have, found without parsing it.

Making a number of its digits takes a time that grows with their square, and whoever takes one that is a thousand digits
long has to be ready for the products of such numbers.
"""

import re
from functools import lru_cache
from typing import Final

from wispy.protocol.nesting import without_escapes, without_texts

MAX_DIGITS: Final = 4300
"""Python's own limit for integers, whose conversion takes 0.1 ms then."""

_DIGITS: Final = re.compile(rb"[0-9]+")
_ALL_DIGITS: Final = b"0123456789"


def has_longer_number(data: bytes, limit: int) -> bool:
    """Whether a JSON text has a number with more than `limit` digits in a row. Never so for `limit` bytes or less.

    Integers in wispy's tag count, too: `{"$int": "123"}`. A text that is not JSON gets some answer.
    """
    # Most likely it is a number where there are so many digits. Within a text it is not, and there may be others.
    return _has_longer_run(data, limit) and (
        _has_longer_run(without_texts(without_escapes(data)), limit) or _longer_tag(limit).search(data) is not None
    )


def _has_longer_run(data: bytes, limit: int) -> bool:
    """Whether there are more than `limit` digits in a row, in texts too."""
    # Every such run covers one of these places: most of a large message is not looked at.
    for place in range(limit, len(data), limit + 1):
        if data[place] in _ALL_DIGITS:
            before = data[place - limit : place]
            after = _DIGITS.match(data, place, place + limit + 1)
            assert after is not None
            if len(before) - len(before.rstrip(_ALL_DIGITS)) + len(after[0]) > limit:
                return True
    return False


@lru_cache(maxsize=8)  # the limit is a setting: one process has one
def _longer_tag(limit: int) -> re.Pattern[bytes]:
    """Finds a longer integer in a tag."""
    return re.compile(rb'"\$int"\s*:\s*"-?[0-9]{%d}' % (limit + 1))
