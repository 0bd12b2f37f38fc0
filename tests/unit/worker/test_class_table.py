"""Which names of a class are served, worked out without touching anything."""

import dataclasses
import functools
import logging
import sys
import types
from enum import Enum
from typing import Any

import msgspec
import pytest

from wispy.config.schema import InterfaceConfig
from wispy.protocol.errors import RPCError
from wispy.worker.class_table import DENIED, ClassTable, ClassTables
from wispy.worker.member import Kind
from wispy.worker.statics import home_of

INTERFACE = InterfaceConfig()
EVERYTHING = InterfaceConfig(include_internals=True, include_dunders=True)


def module(name: str, source: str, **names: Any) -> types.ModuleType:
    """A module of the given name, as if it had been imported."""
    made = types.ModuleType(name)
    vars(made).update(names)
    exec(source, vars(made))
    return made


def table(cls: type, interface: InterfaceConfig = INTERFACE) -> ClassTable:
    return ClassTable(cls, interface)


def kinds(cls: type, interface: InterfaceConfig = INTERFACE) -> dict[str, str]:
    return {name: member.kind.value for name, member in table(cls, interface).members.items()}


def test_a_plain_class() -> None:
    class Sample:
        a = 1
        declared: int
        _x = 2
        __y = 3

        def method(self) -> None: ...

        @property
        def value(self) -> int:
            return 1

        @staticmethod
        def static() -> None: ...

        @classmethod
        def of_class(cls) -> None: ...

        @functools.cached_property
        def cached(self) -> int:
            return 1

        @functools.lru_cache  # noqa: B019
        def remembered(self) -> int:
            return 1

        async def later(self) -> None: ...

    assert kinds(Sample) == {
        "a": "attribute",
        "declared": "attribute",
        "method": "method",
        "value": "property",
        "static": "method",
        "of_class": "method",
        "cached": "property",
        "remembered": "method",
        "later": "method",
    }


def test_slots_dataclasses_and_structs() -> None:
    class Slotted:
        __slots__ = ("_hidden", "x")

    @dataclasses.dataclass(slots=True)
    class Point:
        x: int
        y: int = 2

    class Row(msgspec.Struct):
        x: int
        y: int = 2

    assert kinds(Slotted) == {"x": "attribute"}
    assert kinds(Point) == kinds(Row) == {"x": "attribute", "y": "attribute"}
    row = Row(1)
    assert table(Row).current(row, "x", table(Row).members["x"]) == 1


def test_bases_of_the_same_package_are_served_and_others_are_not() -> None:
    lab = module("lab.base", "class Base:\n    def from_base(self): ...\n    shared = 1", __name__="lab.base")
    other = module("labour", "class Other:\n    def from_other(self): ...\n    level = 1", __name__="labour")
    motors = module(
        "lab.motors",
        "class Motor(Base, Other, Handler):\n    def move(self): ...",
        __name__="lab.motors",
        Base=lab.Base,
        Other=other.Other,
        Handler=logging.Handler,
    )
    assert kinds(motors.Motor) == {"from_base": "method", "shared": "attribute", "move": "method"}
    served = table(motors.Motor)
    assert served.is_own_attribute("position")
    # What a foreign base has as well, stays its own.
    assert not served.is_own_attribute("level")
    assert not served.is_own_attribute("from_other")


def test_a_foreign_base_that_comes_first_decides() -> None:
    other = module("other", "class First:\n    def both(self): ...", __name__="other")
    mine = module(
        "mine",
        "class Second:\n    def both(self): ...\nclass Mine(First, Second): ...",
        __name__="mine",
        First=other.First,
    )
    assert kinds(mine.Mine) == {}


def test_top_level_modules_are_packages_of_their_own() -> None:
    assert home_of("lab.motors.stepper") == "lab"
    assert home_of("lab") == "lab"
    assert home_of("laboratory") != home_of("lab")
    assert home_of("__main__") == "__main__"
    assert home_of(None) == "builtins"


def test_functions_that_were_imported_into_the_class_are_not_its_methods() -> None:
    def decorator(function: Any) -> Any:
        def wrapper(*args: Any) -> Any:
            return function(*args)

        wrapper.__module__ = "another.library"  # it did not use functools.wraps
        return wrapper

    import json
    import shutil

    class Sample:
        dumps = json.dumps
        rmtree = staticmethod(shutil.rmtree)
        system = __import__("os").system
        modules = sys
        inner = Enum

        @decorator
        def wrapped(self) -> None: ...

        bound = functools.partialmethod(decorator)
        handler = logging.Handler()
        lazy = (item for item in "ab")

    assert kinds(Sample) == {"wrapped": "method", "handler": "attribute"}


def test_descriptors_of_other_packages_are_not_touched() -> None:
    foreign = module(
        "foreign", "class Field:\n    def __get__(self, i, o=None): raise AssertionError", __name__="foreign"
    )

    class Own:
        def __get__(self, instance: Any, owner: Any = None) -> int:
            raise AssertionError

    class Sample:
        theirs = foreign.Field()
        mine = Own()

    assert kinds(Sample) == {"mine": "property"}


def test_underscores() -> None:
    class Sample:
        _internal = 1
        __mangled = 2
        __dunder__ = 3
        __ = 4
        _ = 5

        def __len__(self) -> int:
            return 1

    assert kinds(Sample) == {}
    assert set(kinds(Sample, InterfaceConfig(include_internals=True))) == {"_internal", "_"}
    dunders = set(kinds(Sample, InterfaceConfig(include_dunders=True)))
    assert dunders == {"__dunder__", "__", "__len__", "_Sample__mangled", "__doc__"}
    assert not DENIED & set(kinds(Sample, EVERYTHING))


@pytest.mark.parametrize("name", sorted(DENIED))
def test_what_reaches_the_class_is_never_served(name: str) -> None:
    assert not ClassTable(type("Sample", (), {}), EVERYTHING).is_public(name)


def test_no_attribute_of_a_bare_object_is_served() -> None:
    served = ClassTable(type("Bare", (), {"__module__": __name__}), EVERYTHING)
    assert set(served.members) <= {"__doc__"}


def test_markers_hide() -> None:
    def marked(function: Any) -> Any:
        function.interface_access_restricted = True
        return function

    class Inner:
        interface_access_restricted = True

    class Sample:
        inner = Inner()
        not_marked = 1

        @marked
        def method(self) -> None: ...

        @classmethod
        @marked
        def of_class(cls) -> None: ...

        @property
        @marked
        def value(self) -> None: ...

        @marked
        def _set_half(self, value: int) -> None: ...

        half = property(lambda self: 1, _set_half)

        def unmarked(self) -> None: ...

        unmarked.interface_access_restricted = False  # type: ignore[attr-defined]

    assert set(kinds(Sample)) == {"not_marked", "unmarked"}


def test_a_method_that_an_heir_defines_anew_is_judged_anew() -> None:
    class Base:
        def method(self) -> None: ...

        method.interface_access_restricted = True  # type: ignore[attr-defined]

        def other(self) -> None: ...

    class Heir(Base):
        def method(self) -> None: ...

        def other(self) -> None: ...

        other.interface_access_restricted = True  # type: ignore[attr-defined]

    assert set(kinds(Heir)) == {"method"}
    assert set(kinds(Base)) == {"other"}


def test_a_property_called_dict_is_not_read() -> None:
    class Tricky:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise AssertionError("it was read")

    assert table(Tricky).namespace(Tricky()) == {}


def test_only_classes_of_the_package_are_entered() -> None:
    class Sample: ...

    class Other: ...

    class Meta(type): ...

    class Module(types.ModuleType): ...

    class Marked:
        interface_access_restricted = True

    tables = ClassTables(Sample, InterfaceConfig(allowed_types=("logging.Logger",)), frozenset())
    assert tables.of(Other) is not None
    assert tables.of(logging.Logger) is not None
    for cls in (
        Meta,
        Module,
        Marked,
        logging.Handler,
        int,
        str,
        type,
        types.FunctionType,
        types.SimpleNamespace,
        object,
    ):
        assert tables.of(cls) is None, cls
    assert tables.of_value(Meta("Made", (), {})) is None


def test_an_object_of_builtins_opens_no_other_builtins() -> None:
    tables = ClassTables(dict, INTERFACE, frozenset())
    assert tables.root.members == {}
    for value in (len, int, tables.of, (item for item in ""), sys._getframe()):
        assert tables.of_value(value) is None


def test_tables_do_not_pile_up() -> None:
    class Sample: ...

    tables = ClassTables(Sample, INTERFACE, frozenset())
    for number in range(2100):
        tables.of(type(f"Made{number}", (), {"__module__": __name__}))
    assert len(tables._known) <= 1001
    assert tables.of(Sample) is tables.root


def test_kinds_of_members() -> None:
    class Sample:
        @property
        def read_only(self) -> int:
            return 1

        @property
        def both(self) -> int:
            return 1

        @both.setter
        def both(self, value: float) -> None: ...

    members = table(Sample).members
    assert (members["read_only"].is_settable, members["both"].is_settable) == (False, True)
    assert members["both"].annotation is float
    assert members["read_only"].annotation is int
    assert members["both"].kind is Kind.PROPERTY


FOR_TYPE_CHECKERS = """
from typing import Annotated

from wispy import hide

class Lamp:
    level: int = 1
    colour: NotImported = None
    key: Annotated[str, hide] = "secret"
    other: Annotated[NotImported, hide] = None

    def dim(self, by: int, to: NotImported = None) -> NotImported: ...
    def open(self) -> Annotated[int, hide]: ...
    def close(self) -> Annotated[NotImported, hide]: ...

    @property
    def power(self) -> NotImported: ...
"""


def test_names_that_are_imported_for_type_checkers_alone_spoil_no_other_annotation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python 3.14 evaluates annotations when somebody asks for them, and all of them then."""
    future = "from __future__ import annotations\n" if sys.version_info < (3, 14) else ""
    lamps = module("wispylamps", future + FOR_TYPE_CHECKERS)
    monkeypatch.setitem(sys.modules, "wispylamps", lamps)
    served = table(lamps.Lamp)
    assert set(served.members) == {"level", "colour", "dim", "power"}
    assert served.members["level"].annotation is int
    dim = served.members["dim"].signature
    assert dim is not None
    assert dim.bind([1], {"to": "any"}) == ([1], {"to": "any"})
    with pytest.raises(RPCError, match="expected int, got str"):
        dim.bind(["one"], {})
