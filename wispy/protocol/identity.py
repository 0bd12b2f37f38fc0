"""Who asks: what authentication found out about a caller. Pure.

Rules:
- Object code and the access rules see an `Identity`, never a token.
- Anonymous is an identity like any other: it has no name and no roles.
"""

from functools import lru_cache
from typing import Final

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """A caller, as far as rights depend on it."""

    user: str | None = None
    """The user's name; None for an anonymous caller."""
    roles: frozenset[str] = frozenset()
    """What the user may do is decided by these."""


ANONYMOUS: Final = Identity()


class Bearer(msgspec.Struct, frozen=True, array_like=True):
    """An identity on its way from a frontend to a worker, beside the requests that are made with it."""

    user: str
    roles: tuple[str, ...]
    expires_ms: int
    """From when on it is good for nothing: Unix milliseconds; 0: it does not expire."""

    def is_good(self, now_ms: int) -> bool:
        """Whether it has not expired."""
        return self.expires_ms == 0 or now_ms < self.expires_ms

    @property
    def identity(self) -> Identity:
        """Who that is."""
        return _identity_of(self.user, self.roles)


# Each block of requests has one, and the next block often the same: as many as users ask at a time.
@lru_cache(maxsize=4096)
def _identity_of(user: str, roles: tuple[str, ...]) -> Identity:
    return Identity(user, frozenset(roles))
