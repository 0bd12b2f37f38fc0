"""The structure of `wispy.config.schema` as a table: each setting with its path, type, default, meaning and check.

What reads, prints or documents settings walks this table, so that none of them lists keys by itself.
"""

import functools
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import Meta

from wispy.config.schema import Config, Section
from wispy.config.units import Bytes, Seconds, format_duration, format_size

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One leaf of the structure.

    Attributes:
        name: the last part of its path.
        type: the annotation, with its ranges.
        bare: the types that a value may have, without ranges; `NoneType` among them where null is allowed.
        default: the value where nothing is given.
        meaning: one sentence without a full stop.
        check: returns why a value of the right type is impossible, or None.
    """

    name: str
    type: Any
    bare: tuple[Any, ...]
    default: Any
    meaning: str
    check: Callable[[Any], str | None] | None

    @property
    def expected(self) -> str:
        """What a value must be, in words that follow "must be"."""
        words = [_in_words(bare, _range(self.type)) for bare in self.bare if bare is not types.NoneType]
        if types.NoneType in self.bare:
            words.append("null")
        return ", or ".join(words)


@dataclass(frozen=True, slots=True)
class Group:
    """A section: its structure and what is in it, by name."""

    struct: type[Section]
    members: "dict[str, Node]"


@dataclass(frozen=True, slots=True)
class GroupMap:
    """A map from names that the user chooses to sections of one kind."""

    group: Group
    meaning: str


# A node of the structure.
Node = Setting | Group | GroupMap


@functools.cache
def root() -> Group:
    """The whole structure."""
    return _group(Config)


def node_at(path: Key) -> Node:
    """What stands at a path that is there; below a map, any name is."""
    node: Node = root()
    for name in path:
        assert not isinstance(node, Setting)
        node = node.group if isinstance(node, GroupMap) else node.members[name]
    return node


def walk(group: Group, prefix: Key = ()) -> Iterator[tuple[Key, Setting]]:
    """Each setting with its path, in the order of the structure; a map stands with `NAME` for the name."""
    for name, node in group.members.items():
        path = (*prefix, name)
        match node:
            case Setting():
                yield path, node
            case Group():
                yield from walk(node, path)
            case GroupMap():
                yield from walk(node.group, (*path, "NAME"))


def show_value(setting: Setting, value: Any) -> Any:
    """The value as one would write it in a YAML file: durations and sizes with units, tuples as lists."""
    if isinstance(value, tuple):
        return list(typing.cast("tuple[str, ...]", value))
    if value is not None and Seconds in setting.bare:
        return format_duration(value)
    if value is not None and Bytes in setting.bare:
        return format_size(value)
    return value


def _group(struct: type[Section]) -> Group:
    hints = typing.get_type_hints(struct, include_extras=True)
    members = {field.name: _node(field, hints[field.name]) for field in msgspec.structs.fields(struct)}
    return Group(struct, members)


def _node(field: msgspec.structs.FieldInfo, hint: Any) -> Node:
    if isinstance(hint, type) and issubclass(hint, Section):
        return _group(hint)
    inner, *metas = typing.get_args(hint)
    meta = next(meta for meta in metas if isinstance(meta, Meta) and meta.description)
    assert meta.description is not None
    if typing.get_origin(inner) is dict and issubclass(typing.get_args(inner)[1], Section):
        return GroupMap(_group(typing.get_args(inner)[1]), meta.description)
    return Setting(
        name=field.name,
        type=hint,
        bare=tuple(_bare(hint)),
        default=field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory(),
        meaning=meta.description,
        check=(meta.extra or {}).get("check"),
    )


def _bare(hint: Any) -> Iterator[Any]:
    """The members of a union, without their annotations."""
    if typing.get_origin(hint) is typing.Annotated:
        yield from _bare(typing.get_args(hint)[0])
    elif typing.get_origin(hint) in (types.UnionType, typing.Union):
        for member in typing.get_args(hint):
            yield from _bare(member)
    else:
        yield hint


def _range(hint: Any) -> Meta:
    """The annotation that holds the range, wherever it stands; an empty one where there is none."""
    found = Meta()
    if typing.get_origin(hint) is typing.Annotated:
        for meta in typing.get_args(hint)[1:]:
            if meta.ge is not None or meta.gt is not None:
                return meta
    for member in typing.get_args(hint):
        if isinstance(member, Meta) or found.le is not None:
            continue
        found = _range(member)
    return found


def _in_words(bare: Any, limits: Meta) -> str:
    if bare is bool:
        return "true or false"
    if bare is str:
        return "text"
    if bare is int:
        return f"a whole number from {limits.ge} to {limits.le}"
    if bare is float:
        return f"a number above {limits.gt} and up to {limits.le}"
    if bare is Seconds:
        least = f"above {limits.gt} and" if limits.ge is None else f"from {format_duration(limits.ge)}"
        return f"a duration {least} up to {format_duration(limits.le or 0)}"
    if bare is Bytes:
        return f"a size from {format_size(int(limits.ge or 0))} to {format_size(int(limits.le or 0))}"
    if typing.get_origin(bare) is Literal:
        return " or ".join(typing.get_args(bare))
    return {tuple: "a list of texts", dict: "a map of names to texts"}[typing.get_origin(bare)]
