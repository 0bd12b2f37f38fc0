"""What pages may do to one served object: get, set, delete, call, describe.

Rules:
- Decided before anything is touched: each name of a path against the static table of the class of what holds it
  (`wispy.worker.class_table`); only then is it read. A name that is hidden and one that is absent end in the same
  error, and no property and no `__getattr__` has run.
- A path goes on through dicts and lists by key, and through objects of the served object's own package; attributes at
  most `max_interface_depth` deep. It ends at everything else.
- What is set becomes what its annotation says, or is refused. Without an annotation it takes the place of data only: a
  child object, a lock or a callback stays. New names are not made, and nothing is ever set on a class.
- A name that takes a role which the caller lacks is absent for him: as part of a path, too. Of the roles that the
  configuration names for the whole object he needs one, and one of those that marks name.
- What an allowed name does when it is touched is the object's own code: its exceptions pass through.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any, Final, Protocol

import msgspec

from wispy.protocol import errors
from wispy.protocol.surface import admits
from wispy.worker import containers, conversion
from wispy.worker.annotations import UNKNOWN
from wispy.worker.class_table import ClassTable, ClassTables
from wispy.worker.class_table import Interface as TableInterface
from wispy.worker.containers import CONTAINERS, SCALARS
from wispy.worker.conversion import Converter
from wispy.worker.describing import Describer
from wispy.worker.member import Kind, Member
from wispy.worker.modes import Mode
from wispy.worker.rights import NO_ROLES, Limiter
from wispy.worker.statics import is_awaitable, is_code

_PLAIN: Final = SCALARS | CONTAINERS
"""Types of values that need no look at whether they are to be hidden."""

REMEMBERED_METHODS: Final = 1000
"""Functions kept in attributes of instances, as remembered with their signatures. Past it the memory starts afresh:
a program that makes functions as it goes must not fill it."""


class Interface(TableInterface, Protocol):
    """The part of the configuration that says what is served: `interface`."""

    @property
    def max_interface_depth(self) -> int: ...
    @property
    def roles(self) -> tuple[str, ...] | None: ...
    @property
    def write_roles(self) -> tuple[str, ...] | None: ...
    @property
    def source_access(self) -> bool: ...
    @property
    def source_roles(self) -> tuple[str, ...] | None: ...


class BoundMethod:
    """A method of an object, ready to be called."""

    __slots__ = ("bind", "function", "limiter", "mode", "needed")

    def __init__(self, function: Callable[..., Any], member: Member, needed: tuple[frozenset[str], ...] = ()) -> None:
        assert member.signature is not None
        self.function = function
        self.needed = needed
        """Lists of roles: a caller needs one of each."""
        self.mode: Mode | None = None
        """How it is run, once the runner has found that out."""
        self.limiter: Limiter | None = member.limiter
        """Counts its calls, where it has a rate."""
        self.bind = member.signature.bind
        """Checks arguments: `bind(args, kwargs)` returns those to call the function with, or raises INVALID_PARAMS."""


class PendingValue:
    """What a property gave that is still to be awaited, as the author's own code does: it is an `async def`."""

    __slots__ = ("awaitable", "check")

    def __init__(self, awaitable: Awaitable[Any], check: Callable[[Any], object]) -> None:
        self.awaitable = awaitable
        self.check = check
        """Raises `RPCError` where what it came to may not be sent."""


class Place:
    """Where a path ends: a name, and what holds it.

    Args:
        holder: what holds it.
        table: the table of the holder's class; None for a dict or list.
        name: the name.
        origin: of a dict or list that stands in a class, or in another one that does: the place in the class.
    """

    __slots__ = ("holder", "name", "origin", "table")

    def __init__(self, holder: Any, table: ClassTable | None, name: str, origin: "Place | None") -> None:
        self.holder = holder
        self.table = table
        self.name = name
        self.origin = origin


class Access:
    """All that pages may do to one object.

    Paths are the names below the object's own; roles are the caller's. Every method raises `RPCError`: NOT_FOUND for
    what is absent or hidden, INVALID_PARAMS for what is there but cannot be asked for in this way; and what the
    object's own code raises.

    Args:
        target: the object.
        interface: what of it is served, by the configuration.
        hidden: names of wispy's own on the object, which are not served.
        is_constant: whether nothing of the object may be set or deleted, because it is one of several.
    """

    def __init__(
        self,
        target: object,
        interface: Interface,
        *,
        hidden: frozenset[str] = frozenset(),
        is_constant: bool = False,
    ) -> None:
        self._target = target
        self._is_constant = is_constant
        self._interface = interface
        self._tables = ClassTables(type(target), interface, hidden)
        self._table = None if type(target) in CONTAINERS else self._tables.root
        self._namespace = self._tables.root.namespace
        self._needed = _given(interface.roles, None if self._table is None else self._table.rights.roles)
        """Lists of roles: a caller needs one of each to find anything."""
        self._methods = self._bound_methods()
        self._own_methods: dict[Any, Member | None] = {}
        """Functions in attributes of instances, with their signatures."""
        self._describer = Describer(self._tables, interface, is_constant=is_constant)

    def _check_entry(self, roles: frozenset[str]) -> None:
        """Refuse who lacks a role that the object as a whole takes."""
        if not self._admits(roles):
            raise errors.NOT_FOUND(denied="role")

    def _admits(self, roles: frozenset[str]) -> bool:
        return not any(needed.isdisjoint(roles) for needed in self._needed)

    def _bound_methods(self) -> dict[str, BoundMethod]:
        """The object's methods, ready to be called: nearly every request is for one of them."""
        return {
            name: BoundMethod(
                member.static.__get__(self._target, type(self._target)),
                member,
                (*self._needed, *_given(member.rights.roles)),
            )
            for name, member in self._tables.root.members.items()
            if member.signature is not None
        }

    # --- reading ----------------------------------------------------------------------------------------------------

    def get(self, path: tuple[str, ...], roles: frozenset[str] = NO_ROLES) -> Any:
        """The value of an attribute, a property or an item; a `PendingValue` where a property is to be awaited."""
        if not path and self._table is None:
            self._check_entry(roles)
            return self._whole(self._target, roles)
        place = self._place(path, roles)
        if place.table is None:
            return self._whole(containers.get_item(place.holder, place.name), roles)
        member = self._member(place, roles)
        if member.kind is Kind.METHOD:
            raise errors.INVALID_PARAMS(f"{place.name} is a method: call it", denied="operation")
        if not member.rights.readable:
            raise errors.INVALID_PARAMS(f"{place.name} is write-only", denied="operation")
        value = getattr(place.holder, place.name)
        if member.kind is Kind.PROPERTY and type(value) not in _PLAIN and is_awaitable(value):
            return PendingValue(value, lambda awaited: self._whole(awaited, roles))
        return self._whole(value, roles)

    def _whole(self, value: Any, roles: frozenset[str]) -> Any:
        """A value that is to be sent as it is, with all that is in it."""
        if type(value) in SCALARS:
            return value
        self._shown(value, roles)
        pending, met = [value], set[int]()
        while pending:
            part = pending.pop()
            if id(part) not in met:  # what contains itself ends, too
                met.add(id(part))
                pending += containers.parts(part) or self._fields(part, roles)
        return value

    def _fields(self, value: Any, roles: frozenset[str]) -> list[Any]:
        """What a record would be sent with; nothing where it is none."""
        table = self._tables.of_value(value)
        if table is None:
            return []
        if table.hides_fields(roles):
            kind = table.cls.__name__
            raise errors.UNSENDABLE(f"a {kind} has fields that are not for pages: get its attributes one by one")
        return [getattr(value, name, None) for name in table.fields]

    def resolve_call(self, path: tuple[str, ...], roles: frozenset[str] = NO_ROLES) -> BoundMethod:
        """The method at a path."""
        if len(path) == 1:
            method = self._methods.get(path[0])
            # An attribute of the instance may stand before the method of its class.
            if method is not None and path[0] not in self._namespace(self._target):
                for needed in method.needed:
                    if needed.isdisjoint(roles):
                        raise errors.NOT_FOUND(denied="role")
                return method
        place = self._place(path, roles)
        if place.table is None:
            raise errors.NOT_FOUND()
        member = self._member(place, roles)
        if member.signature is None:
            raise errors.INVALID_PARAMS(f"{place.name} is not a method", denied="operation")
        return BoundMethod(getattr(place.holder, place.name), member)

    # --- changing ---------------------------------------------------------------------------------------------------

    def set(self, path: tuple[str, ...], value: Any, roles: frozenset[str] = NO_ROLES) -> None:
        """Give an attribute, a property or an item another value, as it came from a page."""
        place = self._place(path, roles)
        self._check_changeable(place)
        if place.table is None:
            self._check_write_role(place, roles, "set")
            containers.set_item(self._own_container(place, path, roles), place.name, value)
            return
        member = self._member(place, roles)
        self._check_write_role(place, roles, "set")
        if not member.may_set(roles):
            raise errors.INVALID_PARAMS(
                f"{place.name} cannot be set: it is {_description(member)}",
                denied="role" if member.rights.lacks_set_role(roles) else "operation",
            )
        if member.converter is not None:
            value = _converted(value, member.converter, path)
        elif member.kind is Kind.ATTRIBUTE:
            self._check_replaceable(place, place.table, member)
        setattr(place.holder, place.name, value)

    def delete(self, path: tuple[str, ...], roles: frozenset[str] = NO_ROLES) -> None:
        """Delete an attribute or an item, or through a property that has a deleter."""
        place = self._place(path, roles)
        self._check_changeable(place)
        if place.table is None:
            self._check_write_role(place, roles, "deleted")
            containers.delete_item(self._own_container(place, path, roles), place.name)
            return
        member = self._member(place, roles)
        self._check_write_role(place, roles, "deleted")
        if not member.may_delete(roles):
            reason = "not to be deleted" if member.may_set(roles) else _description(member)
            raise errors.INVALID_PARAMS(
                f"{place.name} cannot be deleted: it is {reason}",
                denied="role" if member.rights.lacks_delete_role(roles) else "operation",
            )
        if member.kind is Kind.ATTRIBUTE:
            self._check_replaceable(place, place.table, member)
        delattr(place.holder, place.name)

    def _check_changeable(self, place: Place) -> None:
        if self._is_constant:
            reason = "the object is shared by several workers, and the others would not know"
            raise errors.INVALID_PARAMS(f"{place.name} cannot be set or deleted: {reason}")

    def _check_write_role(self, place: Place, roles: frozenset[str], done: str) -> None:
        if not admits(self._interface.write_roles, roles):
            raise errors.INVALID_PARAMS(f"{place.name} cannot be {done}: it is read-only", denied="role")

    def _check_replaceable(self, place: Place, table: ClassTable, member: Member) -> None:
        current = table.current(place.holder, place.name, member)
        if member.annotation is UNKNOWN and current is not UNKNOWN and not containers.is_data(current):
            kind = type(current).__name__
            text = f"{place.name} is more than data, a {kind}: it cannot be replaced or deleted"
            raise errors.INVALID_PARAMS(text, denied="operation")

    def _own_container(self, place: Place, path: tuple[str, ...], roles: frozenset[str]) -> Any:
        """The dict or list to change: what stood in the class until now, and would change for all, is copied first."""
        origin = place.origin
        if origin is None:
            return place.holder
        setattr(origin.holder, origin.name, containers.copied(getattr(origin.holder, origin.name)))
        return self._place(path, roles).holder

    # --- telling ----------------------------------------------------------------------------------------------------

    def describe(self, path: tuple[str, ...], roles: frozenset[str] = NO_ROLES) -> dict[str, Any]:
        """What is at a path: kind, type, documentation; of a method its signature, of an object its members."""
        if not path:
            self._check_entry(roles)
            return self._describer.whole(self._target, self._table, roles)
        place = self._place(path, roles)
        if place.table is None:
            return self._describer.item(place.name, self._shown(containers.get_item(place.holder, place.name), roles))
        member = self._member(place, roles)
        value = UNKNOWN
        if member.kind is Kind.ATTRIBUTE and member.rights.readable:
            value = place.table.current(place.holder, place.name, member)
        described = self._describer.member(place.name, member, value, roles)
        if described["kind"] == "object":
            described |= self._describer.whole(value, self._tables.of_value(value), roles)
        return described

    def source(self, path: tuple[str, ...], roles: frozenset[str] = NO_ROLES) -> str:
        """The Python source of a method or property, where `source_access` is on and for those who may read it."""
        interface = self._interface
        if not interface.source_access or not path or not admits(interface.source_roles, roles):
            raise errors.NOT_FOUND()
        place = self._place(path, roles)
        if place.table is None:
            raise errors.NOT_FOUND()
        return self._describer.source(self._member(place, roles))

    def interface(self) -> dict[str, Any]:
        """All that is served of the object and of what is nested in it: `{"doc", "methods", "attributes"}`.

        It is for frontends, which show each caller of it what takes no role that he lacks.
        """
        if self._table is None:
            return {"doc": "", "methods": [], "attributes": []}
        return self._describer.interface(self._target, self._table, _in_all(self._needed))

    def surface(self, roles: frozenset[str]) -> dict[str, str]:
        """What a caller may do with which name, of the object and of what is nested in it: `{"a": "get set"}`."""
        if self._table is None or not self._admits(roles):
            return {}
        may_write = admits(self._interface.write_roles, roles)
        rows = self._describer.rows(self._target, self._table, roles)
        return {name: " ".join(_operations(member, value, roles, may_write=may_write)) for name, member, value in rows}

    def channel_roles(self, channel: str) -> frozenset[str] | None:
        """Who may follow a channel: callers with one of these roles; None: all of them; none at all: nobody.

        Frontends know one list for a channel: where configuration and marks name roles, it is those that both name.
        """
        return _in_all(_given(self._interface.roles, self._tables.root.channel_roles(channel)))

    # --- the way along a path ---------------------------------------------------------------------------------------

    def _place(self, path: tuple[str, ...], roles: frozenset[str]) -> Place:
        """Where a path ends; all of it but its last name was found, and may be touched."""
        if not path:
            raise errors.INVALID_PARAMS("this is the object itself: name one of its attributes")
        self._check_entry(roles)
        place = Place(self._target, self._table, path[0], None)
        depth = 0
        for name in path[1:]:
            if place.table is not None:
                depth += 1
            place = self._next(place, name, roles)
            if place.table is not None and depth >= self._interface.max_interface_depth:
                raise errors.NOT_FOUND()
        return place

    def _next(self, place: Place, name: str, roles: frozenset[str]) -> Place:
        """One name further: enter what is at a place."""
        origin: Place | None = None
        if place.table is None:
            value = containers.get_item(place.holder, place.name)
            origin = place.origin
        else:
            member = self._member(place, roles)
            if member.kind is Kind.METHOD or not member.rights.readable:
                raise errors.NOT_FOUND()
            if member.static is not UNKNOWN and member.kind is Kind.ATTRIBUTE:
                origin = place if place.name not in place.table.namespace(place.holder) else None
            value = getattr(place.holder, place.name)
        if type(value) in CONTAINERS:
            return Place(value, None, name, origin)
        table = self._tables.of_value(value)
        if table is None or table.is_restricted(value):
            raise errors.NOT_FOUND()
        if not table.rights.admit(roles):
            raise errors.NOT_FOUND(denied="role")
        return Place(value, table, name, None)

    def _member(self, place: Place, roles: frozenset[str]) -> Member:
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
        self._shown(value, roles)
        return member

    def _own_method(self, table: ClassTable, function: Any) -> Member | None:
        """A function that the object's code has put into an attribute of an instance."""
        key = (table.cls, function)
        if key not in self._own_methods:
            if len(self._own_methods) >= REMEMBERED_METHODS:
                self._own_methods.clear()
            self._own_methods[key] = table.own_method(function)
        return self._own_methods[key]

    def _shown(self, value: Any, roles: frozenset[str]) -> Any:
        """A value that was found, unless it is to be hidden after all: a part of the program, or marked so."""
        if type(value) in _PLAIN or value is UNKNOWN:
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


def _given(*lists: Collection[str] | None) -> tuple[frozenset[str], ...]:
    """The lists of roles that there are."""
    return tuple(frozenset(each) for each in lists if each is not None)


def _in_all(lists: tuple[frozenset[str], ...]) -> frozenset[str] | None:
    """One list in place of several of which a caller needs one role each: a little less, and never more."""
    return lists[0].intersection(*lists[1:]) if lists else None


def _operations(member: Member, value: Any, roles: frozenset[str], *, may_write: bool) -> Iterator[str]:
    if member.kind is Kind.METHOD:
        yield "call"
        return
    is_replaceable = member.annotation is not UNKNOWN or value is UNKNOWN or containers.is_data(value)
    if member.rights.readable:
        yield "get"
    if may_write and member.may_set(roles) and is_replaceable:
        yield "set"
    if may_write and member.may_delete(roles) and is_replaceable:
        yield "delete"


def _converted(value: Any, converter: Converter, path: tuple[str, ...]) -> Any:
    try:
        return converter(value)
    except msgspec.ValidationError as error:
        raise errors.INVALID_PARAMS(conversion.problem(".".join(path), error)) from error


def _description(member: Member) -> str:
    if member.kind is Kind.METHOD:
        return "a method"
    if member.kind is Kind.PROPERTY and not member.is_settable:
        return "a property that only the object's own code changes"
    if member.is_settable:
        return "read-only"
    return "a constant" if member.is_constant else "of a type that no page can send"
