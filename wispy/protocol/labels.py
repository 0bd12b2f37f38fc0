"""How logs and people name sessions and requests: by names that open nothing.

A session's own name is half of what it takes to go on with it. What is shown instead is made from it, so that every
process makes the same: a request has one name in the logs of its frontend and of its worker.
"""

import hashlib
from functools import lru_cache
from typing import Final

_KNOWN: Final = 4096
"""Sessions whose names are at hand: those of a busy process' last seconds, in half a megabyte."""

_BYTES: Final = 6
"""Of a name: among the 50,000 sessions that an owner remembers, two share one in a run of 200,000."""


@lru_cache(_KNOWN)
def public_name(session: str) -> str:
    """What a session is called where people see it."""
    return hashlib.blake2b(session.encode(), digest_size=_BYTES).hexdigest()


def request_name(session: str, id: int | str) -> str:
    """What one request of a session is called: the same in its frontend and in its worker."""
    return f"{public_name(session)}:{id}"
