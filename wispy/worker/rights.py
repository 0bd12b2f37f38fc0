"""What the author's marks come to for one member of a class: who may do what with it.

Rules:
- A caller without the role for a member is answered as if it were absent. One who may read it and not write it is
  answered as if it were read-only.
- Of marks that say different things the nearest counts: the member's own, then those of what it overrides in a base,
  then those of the class.
- Roles of a property's setter and deleter are for setting and deleting alone.
"""

import functools
import types
from collections.abc import Collection
from typing import Any, Final, cast

import msgspec

from wispy.protocol import errors
from wispy.protocol.token_bucket import Buckets
from wispy.worker.marks import NO_MARKS, Marks, Rate, function_marks

MAX_BUCKETS: Final = 10_000
"""Sessions whose calls of one rated method are counted: as many as a frontend has connections, within a factor of two.
Past it those are forgotten first that have not called for the longest time."""

NO_ROLES: Final[frozenset[str]] = frozenset()


class Rights(msgspec.Struct, frozen=True):
    """What may be done with a member, and by whom. Roles: one of them is needed; None: none is."""

    readable: bool = True
    writable: bool = True
    deletable: bool = True
    roles: frozenset[str] | None = None
    set_roles: frozenset[str] | None = None
    delete_roles: frozenset[str] | None = None

    def admit(self, roles: frozenset[str]) -> bool:
        """Whether there is such a member for a caller with these roles."""
        return self.roles is None or not self.roles.isdisjoint(roles)

    def admit_set(self, roles: frozenset[str]) -> bool:
        """Whether such a caller may set it."""
        return self.writable and (self.set_roles is None or not self.set_roles.isdisjoint(roles))

    def lacks_set_role(self, roles: frozenset[str]) -> bool:
        """Whether it is a role that such a caller does not have, and nothing else, for which he may not set it."""
        return self.writable and not self.admit_set(roles)

    def lacks_delete_role(self, roles: frozenset[str]) -> bool:
        """Likewise of deleting."""
        return self.deletable and not self.admit_delete(roles)

    def admit_delete(self, roles: frozenset[str]) -> bool:
        """Whether such a caller may delete it."""
        return self.deletable and (self.delete_roles is None or not self.delete_roles.isdisjoint(roles))


OPEN: Final = Rights()
"""Nothing was said."""


def rights_of(marks: Marks, static: Any = None) -> Rights:
    """The rights that marks give.

    Args:
        marks: all that were said of the member, merged.
        static: what stands in the class: a property's setter and deleter may bear marks of their own.
    """
    setter = _accessor_marks(static, "fset")
    deleter = _accessor_marks(static, "fdel")
    if marks == NO_MARKS and setter == deleter == NO_MARKS:
        return OPEN
    return Rights(
        readable=marks.readable is not False,
        writable=marks.writable is not False and setter.exposed is not False,
        deletable=marks.deletable is not False and deleter.exposed is not False,
        roles=marks.roles,
        set_roles=marks.write_roles if setter.roles is None else setter.roles,
        delete_roles=marks.write_roles if deleter.roles is None else deleter.roles,
    )


def role_lists(*lists: Collection[str] | None) -> tuple[frozenset[str], ...]:
    """The lists of roles that there are."""
    return tuple(frozenset(each) for each in lists if each is not None)


def in_all(lists: tuple[frozenset[str], ...]) -> frozenset[str] | None:
    """One list in place of several of which a caller needs one role each: a little less, and never more."""
    return lists[0].intersection(*lists[1:]) if lists else None


def static_marks(static: Any) -> Marks:
    """What is said about something that stands in a class; of anything but functions and properties, nothing."""
    if isinstance(static, property):
        return _accessor_marks(static, "fget")
    if isinstance(static, functools.cached_property):
        return function_marks(cast(Any, static).func)
    if isinstance(static, staticmethod | classmethod):
        return function_marks(cast(Any, static).__func__)
    return function_marks(static) if isinstance(static, _FUNCTIONS) else NO_MARKS


def _accessor_marks(static: Any, accessor: str) -> Marks:
    function = getattr(static, accessor) if isinstance(static, property) else None
    return NO_MARKS if function is None else function_marks(function)


_FUNCTIONS: Final[Any] = (types.FunctionType, type(functools.lru_cache(lambda: None)))


class Limiter:
    """Counts the calls of one method that has a rate."""

    def __init__(self, rate: Rate) -> None:
        self._is_shared = rate.per_object
        self._buckets = Buckets(rate.per_second, rate.burst, MAX_BUCKETS)

    def check(self, session: str, now: float) -> None:
        """Count a call.

        Args:
            session: whose.
            now: monotonic seconds.

        Raises:
            RPCError: RATE_LIMITED; it was not counted.
        """
        key = "" if self._is_shared else session
        wait_s = self._buckets.wait_s(key, now)
        if wait_s:
            raise errors.rate_limited("this is called too often", wait_s)
        self._buckets.take(key, now)
