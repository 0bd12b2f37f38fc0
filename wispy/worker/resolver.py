"""Finds where a path ends: each name of it is decided before anything is touched.

Rules:
- A name is looked up in the static table of the class of what holds it (`wispy.worker.class_table`); only then is it
  read. A name that is hidden and one that is absent end in the same error, and no property and no `__getattr__` has
  run.
- A path goes on through dicts and lists by key, and through objects of the served object's own package; attributes at
  most `max_interface_depth` deep. It ends at everything else.
- A name that takes a role which the caller lacks is absent for him: as part of a path, too. Of the roles that the
  configuration names for the whole object he needs one, and one of those that marks name.
"""

from typing import Any, Final, Protocol

from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.worker import containers
from wispy.worker.annotations import UNKNOWN
from wispy.worker.class_table import ClassTable, ClassTables
from wispy.worker.containers import CONTAINERS, SCALARS
from wispy.worker.member import Kind, Member
from wispy.worker.rights import role_lists
from wispy.worker.statics import is_code

PLAIN: Final = SCALARS | CONTAINERS
"""Types of values that need no look at whether they are to be hidden."""

REMEMBERED_METHODS: Final = 1000
"""Functions kept in attributes of instances, as remembered with their signatures. Past it the memory starts afresh:
a program that makes functions as it goes must not fill it."""


class Interface(Protocol):
    """The part of the configuration that is read here: `interface`."""

    @property
    def max_interface_depth(self) -> int: ...
    @property
    def roles(self) -> tuple[str, ...] | None: ...


class RaisedByObjectError(Exception):
    """The object's own code has raised an `RPCError`, of a client of its own, say: it is no refusal of this request."""

    def __init__(self, error: RPCError) -> None:
        super().__init__(str(error))
        self.error = error


def touched(holder: Any, name: str) -> Any:
    """What an attribute gives, after all that is asked before it is touched; what it raises passes through.

    Raises:
        RaisedByObjectError: it has raised an `RPCError`.
    """
    try:
        return getattr(holder, name)
    except RPCError as error:
        raise RaisedByObjectError(error) from error


class Place:
    """Where a path ends: a name, and what holds it.

    Args:
        holder: what holds it.
        table: the table of the holder's class; None for a dict or list.
        name: the name.
    """

    __slots__ = ("depth", "holder", "member", "name", "origin", "table")

    def __init__(self, holder: Any, table: ClassTable | None, name: str) -> None:
        self.holder = holder
        self.table = table
        self.name = name
        self.origin: Place | None = None
        """Of a dict or list that stands in a class, or in another one that does: the place in the class."""
        self.member: Member | None = None
        """Of a dict or list that stands in an attribute, or in another one that does: the attribute."""
        self.depth = 0
        """How deep below that it is: 1 for the attribute's own value."""


class PathResolver:
    """The ways into one object.

    Paths are the names below the object's own; roles are the caller's. What is absent or hidden raises `RPCError`
    (NOT_FOUND); what the object's own code raises on the way passes through.

    Args:
        target: the object.
        tables: the tables of its class and those of nested objects.
        interface: what is served, by the configuration.
    """

    def __init__(self, target: object, tables: ClassTables, interface: Interface) -> None:
        self._target = target
        self._tables = tables
        self._max_depth = interface.max_interface_depth
        self.table: Final = None if type(target) in CONTAINERS else tables.root
        """The table of the object's class; None for a dict or list."""
        self.needed: Final = role_lists(interface.roles, None if self.table is None else self.table.rights.roles)
        """Lists of roles: a caller needs one of each to find anything."""
        self._own_methods: dict[Any, Member | None] = {}
        """Functions in attributes of instances, with their signatures."""

    def check_entry(self, roles: frozenset[str]) -> None:
        """Refuse who lacks a role that the object as a whole takes."""
        if not self.admits(roles):
            raise errors.NOT_FOUND(denied="role")

    def admits(self, roles: frozenset[str]) -> bool:
        """Whether such a caller finds anything of the object."""
        return not any(needed.isdisjoint(roles) for needed in self.needed)

    def place(self, path: tuple[str, ...], roles: frozenset[str]) -> Place:
        """Where a path ends; all of it but its last name was found, and may be touched.

        Raises:
            RPCError: also INVALID_PARAMS, the path is empty.
        """
        if not path:
            raise errors.INVALID_PARAMS("this is the object itself: name one of its attributes")
        self.check_entry(roles)
        place = Place(self._target, self.table, path[0])
        depth = 0
        for name in path[1:]:
            if place.table is not None:
                depth += 1
            place = self._next(place, name, roles)
            if place.table is not None and depth >= self._max_depth:
                raise errors.NOT_FOUND()
        return place

    def _next(self, place: Place, name: str, roles: frozenset[str]) -> Place:
        """One name further: enter what is at a place."""
        origin, member = place.origin, place.member
        if place.table is None:
            value = containers.get_item(place.holder, place.name)
        else:
            member = self.member(place, roles)
            if member.kind is Kind.METHOD or not member.rights.readable:
                raise errors.NOT_FOUND()
            is_in_class = member.static is not UNKNOWN and member.kind is Kind.ATTRIBUTE
            if is_in_class and place.name not in place.table.namespace(place.holder):
                origin = place
            value = touched(place.holder, place.name)
        if type(value) in CONTAINERS:
            inner = Place(value, None, name)
            inner.origin, inner.member, inner.depth = origin, member, place.depth + 1
            return inner
        table = self._tables.of_value(value)
        if table is None or table.is_restricted(value):
            raise errors.NOT_FOUND()
        if not table.rights.admit(roles):
            raise errors.NOT_FOUND(denied="role")
        return Place(value, table, name)

    def member(self, place: Place, roles: frozenset[str]) -> Member:
        """What the name of a place is, if it may be touched."""
        table, name = place.table, place.name
        assert table is not None
        member = table.members.get(name)
        own = table.namespace(place.holder)
        if member is None and not (name in own and table.is_own_attribute(name)):
            raise errors.NOT_FOUND()
        if member is not None and not member.rights.admit(roles):
            raise errors.NOT_FOUND(denied="role")
        value = UNKNOWN
        if name in own and (member is None or member.kind is Kind.METHOD):
            if table.is_own_function(own[name]):
                member = self._own_method(table, own[name])
            else:
                member, value = table.own_data, own[name]
            if member is None:
                raise errors.NOT_FOUND()
            if not member.rights.admit(roles):
                raise errors.NOT_FOUND(denied="role")
        elif member is not None and member.kind is Kind.ATTRIBUTE:
            value = table.current(place.holder, name, member)
        assert member is not None
        self.shown(value, roles)
        return member

    def _own_method(self, table: ClassTable, function: Any) -> Member | None:
        """A function that the object's code has put into an attribute of an instance."""
        key = (table.cls, function)
        if key not in self._own_methods:
            if len(self._own_methods) >= REMEMBERED_METHODS:
                self._own_methods.clear()
            self._own_methods[key] = table.own_method(function)
        return self._own_methods[key]

    def shown(self, value: Any, roles: frozenset[str]) -> Any:
        """A value that was found, unless it is to be hidden after all: a part of the program, or marked so."""
        if type(value) in PLAIN or value is UNKNOWN:
            return value
        table = self._tables.of_value(value)
        if table is None:
            is_hidden = is_code(value) or self._tables.is_restricted(value)
        else:
            is_hidden = table.is_restricted(value)
        if is_hidden:
            raise errors.NOT_FOUND()
        if table is not None and not table.rights.admit(roles):
            raise errors.NOT_FOUND(denied="role")
        return value
