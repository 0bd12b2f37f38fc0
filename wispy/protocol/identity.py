"""Who asks: what authentication found out about a caller. Pure.

Rules:
- Object code and the access rules see an `Identity`, never a token.
- Anonymous is an identity like any other: it has no name and no roles.
"""

from functools import cached_property, lru_cache
from typing import Final

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """A caller, as far as rights depend on it."""

    user: str | None = None
    """The user's name; None for an anonymous caller."""
    roles: frozenset[str] = frozenset()
    """What the user may do is decided by these."""


ANONYMOUS: Final = Identity()


class Bearer(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """An identity on its way from a frontend to a worker, beside the requests that are made with it.

    Each block of requests has one, and the next block often the same: it is written once for all of them, and read once
    (`bearer_in`).
    """

    user: str
    roles: tuple[str, ...]
    expires_ms: int
    """From when on it is good for nothing: Unix milliseconds; 0: it does not expire."""

    def is_good(self, now_ms: int) -> bool:
        """Whether it has not expired."""
        return self.expires_ms == 0 or now_ms < self.expires_ms

    @cached_property
    def identity(self) -> Identity:
        """Who that is."""
        return Identity(self.user, frozenset(self.roles))

    @cached_property
    def text(self) -> msgspec.Raw:
        """As it is written."""
        return msgspec.Raw(msgspec.json.encode(self))


NO_BEARER: Final = msgspec.Raw(b"null")
"""What is written where nobody has to say who he is."""

_decode: Final = msgspec.json.Decoder(Bearer).decode


# As many as users ask at a time.
@lru_cache(maxsize=4096)
def bearer_in(text: bytes) -> Bearer | None:
    """The bearer that was written so; None if there is none, or nothing that could be read as one."""
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        return None
