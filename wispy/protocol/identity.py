"""Who asks: what authentication found out about a caller. Pure.

Rules:
- Object code and the access rules see an `Identity`, never a token.
- Anonymous is an identity like any other: it has no name and no roles.
"""

from typing import Final

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """A caller, as far as rights depend on it."""

    user: str | None = None
    """The user's name; None for an anonymous caller."""
    roles: frozenset[str] = frozenset()
    """What the user may do is decided by these."""


ANONYMOUS: Final = Identity()
