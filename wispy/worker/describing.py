"""What pages are told of an object: kinds, types, signatures, documentation, source.

Rules:
- What a page may not touch is not told of. Nothing of the object's code runs: of a property its declared type is told,
  not the type of its value.
- Everything is told for the roles of one caller; only `interface`, which frontends keep for all callers, is whole, and
  says with each name which roles it takes.
- Values are not shown, nor defaults of parameters that are more than a number or a word.
"""

import inspect
from collections.abc import Callable, Collection, Iterator
from enum import Enum
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Protocol

from wispy.protocol import errors
from wispy.protocol.surface import admits
from wispy.worker import annotations, containers
from wispy.worker.annotations import UNKNOWN
from wispy.worker.class_table import ClassTable, ClassTables
from wispy.worker.marks import function_marks
from wispy.worker.member import Kind, Member
from wispy.worker.statics import is_code, plain_function
from wispy.worker.tracked import TrackedDict, TrackedList

MAX_DESCRIBED: Final = 1000
"""Names in the description of an object with all that is nested in it: more than anyone reads, and objects that refer
to one another could go on for long."""

MAX_DOC: Final = 4000
"""Characters of a documentation text: a page of a tooltip, not a manual in a docstring."""


_PLAIN_NAMES: Final[dict[type, str]] = {TrackedDict: "dict", TrackedList: "list"}


class Interface(Protocol):
    """The part of the configuration that is read here: `interface`."""

    @property
    def max_interface_depth(self) -> int: ...
    @property
    def write_roles(self) -> tuple[str, ...] | None: ...


class Describer:
    """Describes what one served object offers.

    Args:
        tables: the tables of its class and those of nested objects.
        interface: what is served, by the configuration.
        is_constant: whether nothing of the object may be set.
    """

    def __init__(self, tables: ClassTables, interface: Interface, *, is_constant: bool = False) -> None:
        self._tables = tables
        self._is_constant = is_constant
        self._interface = interface

    def whole(self, target: object, table: ClassTable | None, roles: frozenset[str]) -> dict[str, Any]:
        """An object with its members, those of nested objects left out; or a dict or list."""
        if table is None:
            return {"kind": "object", "type": type(target).__name__, "doc": "", "methods": [], "attributes": []}
        return {
            "kind": "object",
            "type": table.cls.__name__,
            **self._sorted(table, list(islice(self.members(target, table, roles), MAX_DESCRIBED)), roles),
        }

    def item(self, name: str, value: Any) -> dict[str, Any]:
        """An item of a dict or list."""
        return {"name": name, "kind": "item", "type": _type_name(value)}

    def member(self, name: str, member: Member, value: Any, roles: frozenset[str] | None) -> dict[str, Any]:
        """An attribute, property or method.

        Args:
            name: its name.
            member: what the class says of it.
            value: of an attribute that may be read, what it holds; else `UNKNOWN`.
            roles: the caller's; None: told is what all callers may do, and which roles it takes.
        """
        described = _describe_method(name, member) if member.signature is not None else self._data(name, member, value)
        rights = member.rights
        if roles is None:
            table = self._table_of(value)
            inner = table.rights.roles if table is not None else None
            # Of two lists a caller needs one each; one list of both is a little less, and never more.
            seeing = _in_both(rights.roles, inner)
            needed = {"roles": seeing, "set_roles": _in_both(rights.set_roles, self._interface.write_roles)}
            described |= {key: sorted(names) for key, names in needed.items() if names is not None}
        elif member.signature is None and not (rights.admit_set(roles) and admits(self._interface.write_roles, roles)):
            described["settable"] = False
        return described

    def _data(self, name: str, member: Member, value: Any) -> dict[str, Any]:
        return {
            "name": name,
            "kind": "object" if self._table_of(value) is not None else member.kind.value,
            "type": _type_text(member, value),
            "schema": annotations.schema_of(member.annotation),
            "settable": not self._is_constant
            and member.is_settable
            and member.rights.writable
            and (member.annotation is not UNKNOWN or value is UNKNOWN or containers.is_data(value)),
            "doc": _doc(member.static) if member.kind is Kind.PROPERTY else "",
        }

    def source(self, member: Member) -> str:
        """The Python source of a method or property.

        Raises:
            RPCError: INVALID_PARAMS, it is neither, or its source is not to be had.
        """
        static = member.static
        if member.kind is Kind.PROPERTY:
            static = getattr(static, "fget", None) or getattr(static, "func", None)
        elif member.kind is not Kind.METHOD:
            raise errors.INVALID_PARAMS("only methods and properties have a source")
        try:
            return _source_of(plain_function(static))
        except (OSError, TypeError) as error:
            raise errors.INVALID_PARAMS("its source is not to be had: it was not read from a file") from error

    def interface(self, target: object, table: ClassTable, whole: frozenset[str] | None) -> dict[str, Any]:
        """The members of an object and of all that is nested in it, under dotted names, whatever roles they take.

        Args:
            target: the object.
            table: of its class.
            whole: roles of which a caller needs one to find anything of it; None: none is needed.
        """
        described = self._sorted(table, self.rows(target, table, None), None)
        if whole is not None:
            for row in (*described["methods"], *described["attributes"]):
                if "." not in row["name"]:  # what is nested goes with what holds it
                    row["roles"] = sorted(whole.intersection(row.get("roles", whole)))
        return described

    def rows(self, target: object, table: ClassTable, roles: frozenset[str] | None) -> list[tuple[str, Member, Any]]:
        """Dotted name, member and value of what there is for a caller with these roles; None: for any caller."""
        rows: list[tuple[str, Member, Any]] = []
        pending: list[tuple[str, Any, ClassTable, int]] = [("", target, table, 1)]
        met = {id(target)}
        while pending:
            prefix, holder, its_table, depth = pending.pop(0)
            for name, member, value in self.members(holder, its_table, roles):
                if len(rows) >= MAX_DESCRIBED:
                    return rows
                rows.append((prefix + name, member, value))
                nested = self._table_of(value)
                if nested is not None and depth < self._interface.max_interface_depth and id(value) not in met:
                    met.add(id(value))
                    pending.append((f"{prefix}{name}.", value, nested, depth + 1))
        return rows

    def _sorted(
        self, table: ClassTable, rows: list[tuple[str, Member, Any]], roles: frozenset[str] | None
    ) -> dict[str, Any]:
        described = [self.member(*row, roles) for row in sorted(rows, key=lambda row: row[0])]
        return {
            "doc": _doc(table.cls),
            "methods": [each for each in described if each["kind"] == Kind.METHOD.value],
            "attributes": [each for each in described if each["kind"] != Kind.METHOD.value],
        }

    def members(
        self, holder: Any, table: ClassTable, roles: frozenset[str] | None
    ) -> Iterator[tuple[str, Member, Any]]:
        """Name, member and, of attributes that may be read, value, of what there is for a caller with these roles."""
        own = {name: value for name, value in dict(table.namespace(holder)).items() if _can_be_asked_for(name)}
        for name in [*table.members, *(name for name in own if name not in table.members)]:
            member = table.members.get(name)
            is_there = table.is_own_attribute(name) if member is None else roles is None or member.rights.admit(roles)
            if not is_there:
                continue
            if (member is None or member.kind is Kind.METHOD) and name in own:
                member = table.own_method(own[name]) if table.is_own_function(own[name]) else table.own_data
            if member is None or not (roles is None or member.rights.admit(roles)):
                continue
            value = table.current(holder, name, member) if member.kind is Kind.ATTRIBUTE else UNKNOWN
            if not self._is_hidden(value, roles):
                yield name, member, value if member.rights.readable else UNKNOWN

    def _is_hidden(self, value: Any, roles: frozenset[str] | None) -> bool:
        if value is UNKNOWN:
            return False
        table = self._table_of(value)
        if table is not None and roles is not None and not table.rights.admit(roles):
            return True
        return is_code(value) or self._tables.is_restricted(value)

    def _table_of(self, value: Any) -> ClassTable | None:
        return None if value is UNKNOWN or issubclass(type(value), Enum) else self._tables.of_value(value)


@lru_cache(maxsize=256)  # the whole file is taken apart for each, which takes milliseconds of the object's own time
def _source_of(function: Callable[..., Any]) -> str:
    return inspect.getsource(function)


def _describe_method(name: str, member: Member) -> dict[str, Any]:
    signature = member.signature
    assert signature is not None
    function = signature.function
    marks = function_marks(function)
    return {
        "name": name,
        "kind": Kind.METHOD.value,
        "signature": f"{name.rpartition('.')[2]}{signature}",
        "params": signature.describe(),
        "returns": signature.returned(),
        "async": inspect.iscoroutinefunction(function),
        "idempotent": bool(marks.idempotent),
        "doc": _doc(function),
    }


def _in_both(first: Collection[str] | None, second: Collection[str] | None) -> Collection[str] | None:
    """One list in place of two of which a caller needs one role each."""
    return first if second is None else second if first is None else frozenset(first).intersection(second)


def _type_text(member: Member, value: Any) -> str | None:
    if member.annotation is not UNKNOWN:
        return annotations.text_of(member.annotation)
    return None if value is UNKNOWN else _type_name(value)


def _type_name(value: object) -> str:
    """A tracked dict or list is one like any other to those who read of it."""
    kind = type(value)
    return _PLAIN_NAMES.get(kind) or kind.__name__


def _doc(described: Any) -> str:
    """The documentation of a class, function or property; of a class not that of a base."""
    text = vars(described).get("__doc__") if isinstance(described, type) else getattr(described, "__doc__", None)
    # Half a character, as in an unescaped pattern, cannot be sent.
    return inspect.cleandoc(text)[:MAX_DOC].encode(errors="replace").decode() if isinstance(text, str) else ""


def _can_be_asked_for(name: Any) -> bool:
    """Whether what an instance has in its namespace has a name that can be sent: a program may put anything there."""
    try:
        return bool(name.encode())
    except (AttributeError, UnicodeEncodeError):
        return False
