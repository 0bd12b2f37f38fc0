"""What pages may do to one served object: get, set, delete, call, describe.

Rules:
- Which names there are for a caller is decided by `wispy.worker.resolver`, before anything is touched.
- What is set becomes what its annotation says, or is refused. Without an annotation it takes the place of data only: a
  child object, a lock or a callback stays. New names are not made, and nothing is ever set on a class.
- What an allowed name does when it is touched is the object's own code: its exceptions pass through.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, cast

import msgspec

from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.protocol.surface import admits
from wispy.worker import annotations, containers, conversion
from wispy.worker.annotations import UNKNOWN
from wispy.worker.class_table import ClassTable, ClassTables, record_fields
from wispy.worker.class_table import Interface as TableInterface
from wispy.worker.containers import SCALARS
from wispy.worker.conversion import Converter
from wispy.worker.describing import Describer
from wispy.worker.member import Kind, Member
from wispy.worker.modes import Mode
from wispy.worker.resolver import PLAIN, PathResolver, Place, RaisedByObjectError, touched
from wispy.worker.resolver import Interface as ResolverInterface
from wispy.worker.rights import NO_ROLES, Limiter, in_all, role_lists
from wispy.worker.statics import is_awaitable


class Interface(TableInterface, ResolverInterface, Protocol):
    """The part of the configuration that says what is served: `interface`."""

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


class Access:
    """All that pages may do to one object.

    Paths are the names below the object's own; roles are the caller's. Every method raises `RPCError`: NOT_FOUND for
    what is absent or hidden, INVALID_PARAMS for what is there but cannot be asked for in this way; and what the
    object's own code raises, `RaisedByObjectError` where that is an `RPCError`.

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
        self._resolver = PathResolver(target, self._tables, interface)
        self._table = self._resolver.table
        self._namespace = self._tables.root.namespace
        self._methods = self._bound_methods()
        self._describer = Describer(self._tables, interface, is_constant=is_constant)

    def _bound_methods(self) -> dict[str, BoundMethod]:
        """The object's methods, ready to be called: nearly every request is for one of them."""
        return {
            name: BoundMethod(
                member.static.__get__(self._target, type(self._target)),
                member,
                (*self._resolver.needed, *role_lists(member.rights.roles)),
            )
            for name, member in self._tables.root.members.items()
            if member.signature is not None
        }

    # --- reading ----------------------------------------------------------------------------------------------------

    def get(self, path: tuple[str, ...], roles: frozenset[str] = NO_ROLES) -> Any:
        """The value of an attribute, a property or an item; a `PendingValue` where a property is to be awaited."""
        if not path and self._table is None:
            self._resolver.check_entry(roles)
            return self._whole(self._target, roles)
        place = self._resolver.place(path, roles)
        if place.table is None:
            return self._whole(containers.get_item(place.holder, place.name), roles)
        member = self._resolver.member(place, roles)
        if member.kind is Kind.METHOD:
            raise errors.INVALID_PARAMS(f"{place.name} is a method: call it", denied="operation")
        if not member.rights.readable:
            raise errors.INVALID_PARAMS(f"{place.name} is write-only", denied="operation")
        value = touched(place.holder, place.name)
        if type(value) not in PLAIN and member.kind is Kind.PROPERTY and is_awaitable(value):
            return PendingValue(value, lambda awaited: self._whole(awaited, roles))
        return self._whole(value, roles)

    def _whole(self, value: Any, roles: frozenset[str]) -> Any:
        """A value that is to be sent as it is, with all that is in it."""
        if type(value) in SCALARS:
            return value
        self._resolver.shown(value, roles)
        pending, met = [value], dict[int, Any]()
        while pending:
            part = pending.pop()
            if id(part) not in met:  # what contains itself ends, too
                met[id(part)] = part  # held, so that no other part gets its id
                pending += self._fields(part, roles) or containers.parts(part)
        return value

    def _fields(self, value: Any, roles: frozenset[str]) -> list[Any]:
        """What a record would be sent with; nothing where it is none."""
        kind = cast("type[object]", type(value))
        if kind in PLAIN:
            return []
        table = self._tables.of(kind)
        if self._tables.is_restricted(value) if table is None else table.is_restricted(value):
            raise errors.UNSENDABLE(f"a {kind.__name__} in it is not for pages")
        if table is not None and table.hides_fields(roles):
            text = f"a {kind.__name__} has fields that are not for pages: get its attributes one by one"
            raise errors.UNSENDABLE(text)
        return [getattr(value, name, None) for name in (record_fields(kind) if table is None else table.fields)]

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
        place = self._resolver.place(path, roles)
        if place.table is None:
            raise errors.NOT_FOUND()
        member = self._resolver.member(place, roles)
        if member.signature is None:
            raise errors.INVALID_PARAMS(f"{place.name} is not a method", denied="operation")
        return BoundMethod(getattr(place.holder, place.name), member)

    # --- changing ---------------------------------------------------------------------------------------------------

    def set(self, path: tuple[str, ...], value: Any, roles: frozenset[str] = NO_ROLES) -> None:
        """Give an attribute, a property or an item another value, as it came from a page."""
        place = self._resolver.place(path, roles)
        self._check_changeable(place)
        if place.table is None:
            self._check_write_role(place, roles, "set")
            self._check_items(place, roles, "set")
            value = _as_item(value, place, path)
            containers.set_item(self._own_container(place, path, roles), place.name, value)
            return
        member = self._resolver.member(place, roles)
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
        try:
            setattr(place.holder, place.name, value)
        except RPCError as error:
            raise RaisedByObjectError(error) from error

    def delete(self, path: tuple[str, ...], roles: frozenset[str] = NO_ROLES) -> None:
        """Delete an attribute or an item, or through a property that has a deleter."""
        place = self._resolver.place(path, roles)
        self._check_changeable(place)
        if place.table is None:
            self._check_write_role(place, roles, "deleted")
            self._check_items(place, roles, "deleted")
            containers.delete_item(self._own_container(place, path, roles), place.name)
            return
        member = self._resolver.member(place, roles)
        self._check_write_role(place, roles, "deleted")
        if not member.may_delete(roles):
            reason = "not to be deleted" if member.may_set(roles) else _description(member)
            raise errors.INVALID_PARAMS(
                f"{place.name} cannot be deleted: it is {reason}",
                denied="role" if member.rights.lacks_delete_role(roles) else "operation",
            )
        if member.kind is Kind.ATTRIBUTE:
            self._check_replaceable(place, place.table, member)
        try:
            delattr(place.holder, place.name)
        except RPCError as error:
            raise RaisedByObjectError(error) from error

    def _check_changeable(self, place: Place) -> None:
        if self._is_constant:
            reason = "the object is shared by several workers, and the others would not know"
            raise errors.INVALID_PARAMS(f"{place.name} cannot be set or deleted: {reason}")

    def _check_write_role(self, place: Place, roles: frozenset[str], done: str) -> None:
        if not admits(self._interface.write_roles, roles):
            raise errors.INVALID_PARAMS(f"{place.name} cannot be {done}: it is read-only", denied="role")

    def _check_items(self, place: Place, roles: frozenset[str], done: str) -> None:
        """Refuse to change in part what is not to be changed as a whole."""
        member = place.member
        if member is not None and not member.may_change(roles):
            raise errors.INVALID_PARAMS(
                f"{place.name} cannot be {done}: what it is in is {_description(member)}",
                denied="role" if member.rights.lacks_set_role(roles) else "operation",
            )

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
        return self._resolver.place(path, roles).holder

    # --- telling ----------------------------------------------------------------------------------------------------

    def describe(self, path: tuple[str, ...], roles: frozenset[str] = NO_ROLES) -> dict[str, Any]:
        """What is at a path: kind, type, documentation; of a method its signature, of an object its members."""
        if not path:
            self._resolver.check_entry(roles)
            return self._describer.whole(self._target, self._table, roles)
        place = self._resolver.place(path, roles)
        if place.table is None:
            value = containers.get_item(place.holder, place.name)
            return self._describer.item(place.name, self._resolver.shown(value, roles))
        member = self._resolver.member(place, roles)
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
        place = self._resolver.place(path, roles)
        if place.table is None:
            raise errors.NOT_FOUND()
        return self._describer.source(self._resolver.member(place, roles))

    def interface(self) -> dict[str, Any]:
        """All that is served of the object and of what is nested in it: `{"doc", "methods", "attributes"}`.

        It is for frontends, which show each caller of it what takes no role that he lacks.
        """
        if self._table is None:
            return {"doc": "", "methods": [], "attributes": []}
        return self._describer.interface(self._target, self._table, in_all(self._resolver.needed))

    def surface(self, roles: frozenset[str]) -> dict[str, str]:
        """What a caller may do with which name, of the object and of what is nested in it: `{"a": "get set"}`."""
        if self._table is None or not self._resolver.admits(roles):
            return {}
        may_write = admits(self._interface.write_roles, roles)
        rows = self._describer.rows(self._target, self._table, roles)
        return {name: " ".join(_operations(member, value, roles, may_write=may_write)) for name, member, value in rows}

    def converter_of(self, name: str) -> Converter | None:
        """What makes of a value from outside what the annotation of an attribute says; None where there is none."""
        member = self._tables.root.members.get(name)
        return None if member is None or member.kind is not Kind.ATTRIBUTE else member.converter

    def channel_roles(self, channel: str) -> frozenset[str] | None:
        """Who may follow a channel: callers with one of these roles; None: all of them; none at all: nobody.

        Frontends know one list for a channel: where configuration and marks name roles, it is those that both name.
        """
        return in_all(role_lists(self._interface.roles, self._tables.root.channel_roles(channel)))


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


def _as_item(value: Any, place: Place, path: tuple[str, ...]) -> Any:
    """A value as what the annotation of an attribute says of the items of a dict or list in it."""
    annotation = UNKNOWN if place.member is None else place.member.annotation
    for _ in range(place.depth):
        annotation = annotations.item_annotation(annotation)
    if annotations.says_nothing(annotation):
        return value
    converter = conversion.converter_of(annotation)
    if converter is None:
        raise errors.INVALID_PARAMS(
            f"{path[-1]} cannot be set: it is of a type that no page can send", denied="operation"
        )
    return _converted(value, converter, path)


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
