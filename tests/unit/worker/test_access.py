"""What pages can do to an object, and above all what they cannot: field-notes section 5."""

import collections
import dataclasses
import datetime as dt
import enum
import functools
import logging
import os
import pathlib
import subprocess
import threading
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Final

import msgspec
import pytest

from wispy.config.schema import InterfaceConfig
from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.worker.access import Access
from wispy.worker.marks import roles, write_roles

fired: list[str] = []
"""Code of the objects that has run: every attack must leave this empty."""


@pytest.fixture(autouse=True)
def nothing_fired() -> None:
    fired.clear()


def fire(what: str) -> Any:
    fired.append(what)


class Mixin(threading.Thread):
    """A base of the own package between the object and a library's class."""

    def from_mixin(self) -> str:
        return "mixin"


class Wheel:
    def __init__(self, parent: "Machine") -> None:
        self.parent = parent
        self.speed = 1.5
        self._spin = 2

    def turn(self, times: int = 1) -> int:
        return times


class Secret:
    interface_access_restricted = True

    def __init__(self) -> None:
        self.password = "hunter2"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: float = 0.0
    y: float = 0.0


def restricted(function: Any) -> Any:
    function.interface_access_restricted = True
    return function


class Doubled:
    """A descriptor of the author's own."""

    def __get__(self, instance: Any, owner: Any = None) -> int:
        fire("descriptor")
        return 2

    def __set__(self, instance: Any, value: Any) -> None:
        fire(f"descriptor set {value}")


class Slotted:
    __slots__ = ("_inner", "count", "empty")

    def __init__(self) -> None:
        self.count = 1
        self._inner = 2


class Machine(Mixin):
    """A machine."""

    a = 1
    couple = ({"x": 1},)
    limits = {"max": 5, "nested": {"list": [1, 2]}}  # noqa: RUF012
    level: int = 3
    ratio: float
    colour: Colour = Colour.RED
    point: Point
    when: dt.datetime | None = None
    small: Annotated[int, msgspec.Meta(ge=0, le=10)] = 1
    sizes: tuple[int, ...] = ()
    by_number: dict[int, str]
    wheel: Wheel
    anything: Any = 0
    broken_hint: "NotImported" = 0  # type: ignore[name-defined]  # noqa: F821
    VERSION: Final = 3
    SHARED: ClassVar[int] = 4
    interface_access_restricted = False
    shell = os
    system = os.system
    run_program = subprocess.run
    path_class = pathlib.Path
    bound = functools.partial(os.system, "true")
    doubled = Doubled()
    __motto__ = "dunder"

    def __init__(self) -> None:
        super().__init__()
        self.wheel = Wheel(self)
        self.wheels = [Wheel(self), Wheel(self)]
        self.data = {"plain": 1, "a.b": 2, 3: "three", "list": [1, 2, 3], "__class__": "a key", "wheel": self.wheel}
        self.numbers = [1, 2, 3]
        self.pair = (1, {"x": 1})
        self.secret = Secret()
        self.marked = Wheel(self)
        self.marked.interface_access_restricted = True  # type: ignore[attr-defined]
        self.os = os
        self.klass = Wheel
        self.lock = threading.Lock()
        self.log = logging.getLogger("attack")
        self.path = pathlib.Path()
        self.partial = functools.partial(os.system, "true")
        self.generator: Any = (item for item in "ab")
        self.callback = lambda value: value + 1
        self.own_method: Any = self.wheel.turn
        self.imported = subprocess.run
        self.counted = collections.Counter("ab")
        self.slotted = Slotted()
        self.text = "{0.__class__}"
        self._x = 1
        self.__y = 2
        self.__dict__["odd name"] = 1

    def __getattr__(self, name: str) -> Any:
        fire(f"__getattr__ {name}")
        raise AttributeError(name)

    @property
    def _internal(self) -> Any:
        return fire("_internal")

    @property
    def speed(self) -> float:
        fire("speed")
        return self.wheel.speed

    @speed.setter
    def speed(self, value: float) -> None:
        fire(f"speed = {value!r}")

    @speed.deleter
    def speed(self) -> None:
        fire("del speed")

    @property
    def status(self) -> str:
        """How it is."""
        fire("status")
        return "ok"

    @property
    @restricted
    def hidden_status(self) -> Any:
        return fire("hidden_status")

    @functools.cached_property
    def expensive(self) -> int:
        fire("expensive")
        return 9

    def test_sum(self, a: int, b: int = 2) -> int:
        """Sum."""
        return a + b

    def gather(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return args, kwargs

    def named_only(self, *, unit: str) -> str:
        return unit

    @functools.lru_cache  # noqa: B019
    def cached(self, a: int) -> int:
        return a

    @staticmethod
    def static(a: int) -> int:
        return a

    @classmethod
    def make(cls, a: int) -> str:
        return f"{cls.__name__} {a}"

    @restricted
    def hidden_method(self) -> Any:
        return fire("hidden_method")

    @staticmethod
    @restricted
    def hidden_static() -> Any:
        return fire("hidden_static")

    def _private(self) -> Any:
        return fire("_private")

    def __secret(self) -> Any:
        return fire("__secret")

    async def wait(self, seconds: float) -> None: ...

    def publish(self) -> Any:
        return fire("publish")


def access(target: object | None = None, **settings: Any) -> Access:
    return Access(target or Machine(), InterfaceConfig(**settings), hidden=frozenset({"publish"}))


def path(text: str | list[str]) -> tuple[str, ...]:
    return tuple(text.split(".") if isinstance(text, str) else text)


def refusal(function: Callable[..., Any], *args: Any) -> RPCError:
    with pytest.raises(RPCError) as caught:
        function(*args)
    return caught.value


class Lazy:
    """As proxies and lazy objects do, it works out what it is when it is asked for its class."""

    __module__ = "elsewhere"

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return fire("__class__")


def test_what_a_proxy_pretends_to_be_is_not_asked() -> None:
    machine = Machine()
    machine.anything = Lazy()
    machine.data["lazy"] = Lazy()
    for ask in (access(machine).get, access(machine).delete, access(machine).resolve_call, access(machine).source):
        for where in ("anything.x", "data.lazy.x"):
            assert refusal(ask, path(where)).code == errors.NOT_FOUND.code
    access(machine).describe(())
    access(machine).interface()
    assert fired == []


# --- what is allowed ------------------------------------------------------------------------------------------------


def test_get() -> None:
    machine = access()
    for where, value in {
        "a": 1,
        "level": 3,
        "colour": Colour.RED,
        "numbers": [1, 2, 3],
        "numbers.0": 1,
        "numbers.-1": 3,
        "data.plain": 1,
        "data.list.1": 2,
        "data.3": "three",
        "data.__class__": "a key",
        "data.wheel.speed": 1.5,
        "pair.1.x": 1,
        "limits.nested.list": [1, 2],
        "wheel.speed": 1.5,
        "wheels.1.speed": 1.5,
        "wheel.parent.wheel.speed": 1.5,
        "slotted.count": 1,
        "status": "ok",
        "doubled": 2,
        "expensive": 9,
        "VERSION": 3,
        "odd name": 1,
    }.items():
        assert machine.get(path(where)) == value, where
    assert machine.get(("data", "a.b")) == 2


def test_call() -> None:
    machine = access()
    for where, args, result in [
        ("test_sum", [4, 5], 9),
        ("test_sum", [4], 6),
        ("from_mixin", [], "mixin"),
        ("static", [3], 3),
        ("make", [3], "Machine 3"),
        ("cached", [7], 7),
        ("wheel.turn", [2], 2),
        ("wheels.0.turn", [], 1),
        ("data.wheel.turn", [], 1),
        ("callback", [1], 2),
        ("own_method", [3], 3),
    ]:
        method = machine.resolve_call(path(where))
        args, kwargs = method.bind(args, {})
        assert method.function(*args, **kwargs) == result, where


def test_an_attribute_of_the_instance_stands_before_the_method_of_its_class() -> None:
    target = Machine()
    machine = access(target)
    assert machine.resolve_call(("test_sum",)).function(1) == 3
    target.test_sum = lambda a: a * 100  # type: ignore[attr-defined]
    assert machine.resolve_call(("test_sum",)).function(1) == 100
    target.test_sum = os.system  # type: ignore[attr-defined]
    assert refusal(machine.resolve_call, ("test_sum",)).code == errors.NOT_FOUND.code


def test_set_and_delete() -> None:
    target = Machine()
    machine = access(target)
    machine.set(("a",), 2)
    assert (target.a, Machine.a) == (2, 1)
    machine.delete(("a",))
    assert target.a == 1
    with pytest.raises(AttributeError):  # Python's own answer: it is the class' value that is left
        machine.delete(("a",))
    machine.set(("wheel", "speed"), 3.5)
    assert target.wheel.speed == 3.5
    machine.set(("slotted", "count"), 4)
    machine.set(("slotted", "empty"), 5)
    assert (target.slotted.count, target.slotted.empty) == (4, 5)
    machine.set(("numbers", "0"), 9)
    machine.delete(("numbers", "-1"))
    assert target.numbers == [9, 2]
    machine.set(("data", "new"), [1])
    machine.set(("data", "3"), "drei")
    machine.delete(("data", "plain"))
    assert (target.data["new"], target.data[3], "plain" in target.data, "3" in target.data) == (
        [1],
        "drei",
        False,
        False,
    )
    assert fired == []


def test_properties_are_set_and_deleted_through_their_own_code() -> None:
    machine = access()
    machine.set(("speed",), 3)
    machine.delete(("speed",))
    machine.set(("doubled",), 1)
    assert fired == ["speed = 3.0", "del speed", "descriptor set 1"]


def test_containers_of_the_class_are_copied_before_they_change() -> None:
    target = Machine()
    machine = access(target)
    machine.set(("limits", "nested", "list", "0"), 9)
    machine.delete(("limits", "max"))
    machine.set(("couple", "0", "x"), 2)
    assert (target.couple, Machine.couple) == (({"x": 2},), ({"x": 1},))
    assert target.limits == {"nested": {"list": [9, 2]}}
    assert Machine.limits == {"max": 5, "nested": {"list": [1, 2]}}


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("level", 5, 5),
        ("ratio", 2, 2.0),
        ("colour", "blue", Colour.BLUE),
        ("point", {"x": 1, "y": 2.5}, Point(1.0, 2.5)),
        ("when", "2026-01-02T03:04:05Z", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        ("when", None, None),
        ("small", 10, 10),
        ("sizes", [1, 2], (1, 2)),
        ("by_number", {"1": "a"}, {1: "a"}),
        ("anything", {"x": [1]}, {"x": [1]}),
        ("broken_hint", "text", "text"),
    ],
)
def test_what_is_set_becomes_what_is_annotated(name: str, given: Any, kept: Any) -> None:
    target = Machine()
    access(target).set((name,), given)
    value = getattr(target, name)
    assert value == kept
    assert type(value) is type(kept)


@pytest.mark.parametrize(
    ("where", "given", "text"),
    [
        ("level", "5", "level: expected int, got str"),
        ("level", 5.5, "level: expected int, got float"),
        ("level", True, "level: expected int, got bool"),
        ("level", None, "level: expected int, got null"),
        ("ratio", "1.5", "ratio: expected float, got str"),
        ("colour", "green", "colour: invalid enum value 'green'"),
        ("point", {"x": 1, "y": "no"}, "point.y: expected float, got str"),
        ("small", 11, "small: expected int <= 10"),
        ("sizes", [1, "2"], "sizes[1]: expected int, got str"),
        ("speed", "fast", "speed: expected float, got str"),
        ("VERSION", 4, "VERSION cannot be set: it is a constant"),
        ("SHARED", 4, "SHARED cannot be set: it is a constant"),
        ("test_sum", 1, "test_sum cannot be set: it is a method"),
        ("callback", 1, "callback cannot be set: it is a method"),
        ("status", "bad", "status cannot be set: it is a property that only the object's own code changes"),
        ("expensive", 1, "expensive cannot be set: it is a property"),
        ("wheel", {"speed": 1}, "wheel cannot be set: it is of a type that no page can send"),
        ("wheel.parent", None, "parent is more than data, a Machine: it cannot be replaced"),
        ("wheels", [], "wheels is more than data, a list: it cannot be replaced"),
        ("wheels.0", None, "the item '0' is more than data"),
        ("data.wheel", None, "the item 'wheel' is more than data"),
        ("data", {}, "data is more than data, a dict: it cannot be replaced"),
        ("lock", None, "lock is more than data, a lock"),
        ("log", None, "log is more than data, a Logger"),
        ("path", "/", "path is more than data, a PosixPath"),
        ("slotted", None, "slotted is more than data, a Slotted"),
        ("pair.0", 5, "the items of a tuple cannot be changed"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_changed(where: str, given: Any, text: str) -> None:
    target = Machine()
    machine = access(target)
    before = dict(vars(target))
    error = refusal(machine.set, path(where), given)
    assert (error.code, error.executed) == (errors.INVALID_PARAMS.code, "no")
    assert text in error.message
    assert dict(vars(target)) == before
    assert fired == []


@pytest.mark.parametrize("where", ["test_sum", "status", "VERSION", "wheel", "wheels", "wheels.0", "lock", "pair.0"])
def test_what_is_not_to_be_deleted(where: str) -> None:
    error = refusal(access().delete, path(where))
    assert error.code == errors.INVALID_PARAMS.code
    assert fired == []


# --- what is not: hidden and absent are one -------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[Access, tuple[str, ...]], Any]] = {
    "get": lambda machine, where: machine.get(where),
    "call": lambda machine, where: machine.resolve_call(where),
    "set": lambda machine, where: machine.set(where, 1),
    "set {}": lambda machine, where: machine.set(where, {}),
    "delete": lambda machine, where: machine.delete(where),
    "describe": lambda machine, where: machine.describe(where),
    "source": lambda machine, where: machine.source(where),
}

ABSENT = ["nothing", "wheel.nothing", "data.nothing.at.all", "numbers.9", "numbers.-9", "numbers.x", "wheels.7.speed"]
TRAVERSAL = [
    "__class__",
    "__class__.__init__.__globals__",
    "__init__",
    "__init__.__globals__.os.system",
    "__dict__",
    "__dict__.a",
    "__reduce__",
    "__reduce_ex__",
    "__getattribute__",
    "__setattr__",
    "__module__",
    "__doc__.format",
    "__motto__",
    "_x",
    "_Machine__y",
    "_private",
    "_Machine__secret",
    "__secret",
    "_internal",
    "wheel._spin",
    "wheel.__class__",
    "wheel.__dict__.speed",
    "wheel.parent.__class__.__mro__",
    "slotted._inner",
    "slotted.__slots__",
    "mro",
    "wheel.mro",
    "test_sum.__globals__",
    "test_sum.__func__",
    "test_sum.__self__.a",
    "test_sum.__code__.co_consts",
    "cached.cache_clear",
    "cached.__wrapped__",
    "callback.__globals__",
    "static.__func__",
    "speed.fget",
    "speed.real",
    "status.format",
    "status.format_map",
    "text.format",
    "text.__class__",
    "a.real",
    "a.to_bytes",
    "level.__class__",
    "doubled.real",
    "numbers.append",
    "numbers.sort",
    "numbers.__class__",
    "data.clear",
    "data.keys",
    "data.plain.real",
    "data.__init__",
    "data.list.__len__",
    "pair.count",
    "pair.0.real",
    "counted.most_common",
    "counted.a",
    "colour.value",
    "colour.name",
    "colour.__class__.__members__",
    "os",
    "os.system",
    "os.path",
    "shell",
    "shell.system",
    "system",
    "run_program",
    "imported",
    "path_class",
    "path_class.home",
    "klass",
    "klass.turn",
    "bound",
    "bound.func",
    "partial",
    "partial.func",
    "generator",
    "generator.gi_frame.f_builtins",
    "generator.send",
    "lock.acquire",
    "log.manager",
    "log.manager.loggerDict",
    "log.level",
    "path.parent",
    "path.parent.write_text",
    "path.write_text",
    "path.open",
    "secret",
    "secret.password",
    "marked",
    "marked.speed",
    "marked.turn",
    "hidden_method",
    "hidden_static",
    "hidden_status",
    "interface_access_restricted",
    "secret.interface_access_restricted",
    "publish",
    # what a library's base class brings along
    "start",
    "join",
    "daemon",
    "name",
    "ident",
    "is_alive",
    "_target",
    # names that are nearly others
    "A",
    "a ",
    " a",
    "te\u017ft_sum",
    "\uff54est_sum",
    "a\0",
    "constructor",
    "__proto__",
    "toString",
]
ATTACKS = [*TRAVERSAL, *ABSENT]
OPENED = [
    "_x",
    "_Machine__y",
    "__motto__",
    "_internal",
    "wheel._spin",
    "slotted._inner",
    "_private",
    "_Machine__secret",
    "_target",
]
"""What the settings for underscores do open."""


@pytest.mark.parametrize("where", ATTACKS)
def test_hidden_and_absent_are_one_and_fire_nothing(where: str) -> None:
    target = Machine()
    machine = access(target)
    before = dict(vars(target))
    for name, operation in OPERATIONS.items():
        if name.startswith("set") and where.startswith("data.") and where.count(".") == 1:
            continue  # a new key of a dict may be any text
        fired.clear()
        error = refusal(operation, machine, path(where))
        assert error.to_json() == errors.NOT_FOUND().to_json(), name
        # A property that is served is read where the path goes on, as Python would.
        assert fired == [what for start, what in TOUCHED.items() if where.startswith(start)], name
    assert dict(vars(target)) == before


TOUCHED = {"speed.": "speed", "status.": "status", "doubled.": "descriptor"}


@pytest.mark.parametrize("where", [where for where in ATTACKS if "_" in where])
def test_settings_open_names_and_never_the_class(where: str) -> None:
    if where in OPENED or not any(part.startswith("_") for part in where.split(".")):
        return
    machine = access(include_internals=True, include_dunders=True)
    for operation in OPERATIONS.values():
        if not where.startswith("data."):
            assert refusal(operation, machine, path(where)).code == errors.NOT_FOUND.code


def test_include_internals_and_dunders() -> None:
    machine = access(include_internals=True)
    assert machine.get(("_x",)) == 1
    assert machine.get(("wheel", "_spin")) == 2
    assert machine.get(("slotted", "_inner")) == 2
    machine.resolve_call(("_private",)).function()
    assert fired == ["_private"]
    for name in ("__motto__", "_Machine__y", "_Machine__secret"):
        assert refusal(machine.get, (name,)).code == errors.NOT_FOUND.code, name
    machine = access(include_dunders=True)
    assert machine.get(("__motto__",)) == "dunder"
    assert machine.get(("_Machine__y",)) == 2
    assert refusal(machine.get, ("_x",)).code == errors.NOT_FOUND.code


def test_attributes_end_at_the_greatest_depth() -> None:
    machine = access(max_interface_depth=2)
    assert machine.get(path("wheel.speed")) == 1.5
    assert machine.get(path("limits.nested.list.0")) == 1  # keys do not count
    for where in ("wheel.parent.a", "wheel.parent.status", "data.wheel.parent.a", "wheel.parent.wheel.speed"):
        assert refusal(machine.get, path(where)).code == errors.NOT_FOUND.code
    assert fired == []


def test_named_types_of_other_packages_are_entered() -> None:
    machine = access(allowed_types=("logging.Logger",))
    assert machine.get(path("log.name")) == "attack"
    assert machine.resolve_call(path("log.isEnabledFor")).function(50) is True
    assert refusal(machine.get, path("log.manager.loggerDict")).code == errors.NOT_FOUND.code
    assert refusal(machine.get, path("path.name")).code == errors.NOT_FOUND.code


def test_other_markers_can_be_named() -> None:
    class Marked:
        def __init__(self) -> None:
            self.inner = Secret()

        def open(self) -> None: ...

    Marked.open.for_staff = True  # type: ignore[attr-defined]
    machine = access(Marked(), access_restricting_attributes=("for_staff",))
    assert refusal(machine.resolve_call, ("open",)).code == errors.NOT_FOUND.code
    assert machine.get(("inner", "password")) == "hunter2"


def test_records_with_hidden_fields_are_not_sent_whole() -> None:
    @dataclasses.dataclass
    class Login:
        user: str = "a"
        _password: str = "hunter2"

    @dataclasses.dataclass
    class Team:
        lead: Login = dataclasses.field(default_factory=Login)

    class Holder:
        def __init__(self) -> None:
            self.login = Login()
            self.logins = {"first": Login(), "point": Point()}
            self.nested = [1, [(2, {"deep": Login()})]]
            self.team = Team()
            self.point = Point(1.0, 2.0)
            self.points: list[Any] = [Point(1.0, 2.0), [Point()]]
            self.endless: list[Any] = [1]
            self.endless.append(self.endless)

    holder = access(Holder())
    assert holder.get(("point",)) == Point(1.0, 2.0)
    assert holder.get(("points",)) == [Point(1.0, 2.0), [Point()]]
    assert holder.get(("login", "user")) == "a"
    assert holder.get(("logins", "point")) == Point()
    assert holder.get(("endless",))[0] == 1
    for where in (("login",), ("logins",), ("logins", "first"), ("nested",), ("nested", "1"), ("team",)):
        assert refusal(holder.get, where).code == errors.UNSENDABLE.code


def test_the_object_itself() -> None:
    machine = access()
    for operation in (machine.get, machine.resolve_call, machine.delete):
        assert refusal(operation, ()).code == errors.INVALID_PARAMS.code
    assert refusal(machine.set, (), 1).code == errors.INVALID_PARAMS.code


def test_a_dict_may_be_served_itself() -> None:
    target = {"a": 1, "list": [1]}
    served = access(target)
    assert served.get(()) == target
    served.set(("b",), 2)
    served.delete(("list", "0"))
    assert target == {"a": 1, "list": [], "b": 2}
    assert refusal(served.resolve_call, ("clear",)).code == errors.NOT_FOUND.code
    assert served.interface() == {"doc": "", "methods": [], "attributes": []}
    assert served.describe(())["type"] == "dict"


def test_subclasses_of_dict_and_list_are_not_entered() -> None:
    class Firing(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            return fire(key)

        def __missing__(self, key: str) -> Any:
            return fire(key)

    class Holder:
        def __init__(self) -> None:
            self.firing = Firing(a=1)
            self.default = collections.defaultdict(lambda: fire("default"), a=1)

    holder = access(Holder())
    assert refusal(holder.get, ("firing", "a")).code == errors.NOT_FOUND.code
    assert holder.get(("default", "a")) == 1
    assert refusal(holder.get, ("default", "b")).code == errors.NOT_FOUND.code
    assert fired == []


def test_exceptions_of_the_objects_own_code_pass_through() -> None:
    class Failing:
        ratio: float

        @property
        def value(self) -> float:
            raise KeyError("mine")

        @value.setter
        def value(self, value: float) -> None:
            raise ValueError("not now")

    failing = access(Failing())
    with pytest.raises(KeyError, match="mine"):
        failing.get(("value",))
    with pytest.raises(ValueError, match="not now"):
        failing.set(("value",), 1.5)
    with pytest.raises(AttributeError):
        failing.get(("ratio",))
    with pytest.raises(AttributeError):
        failing.delete(("ratio",))


# --- arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("test_sum", [1], {}),
        ("test_sum", [1, 2], {}),
        ("test_sum", [], {"a": 1}),
        ("test_sum", [1], {"b": 2}),
        ("gather", [1, 2, 3], {"x": 1, "class": 2}),
        ("gather", [], {}),
        ("named_only", [], {"unit": "m"}),
        ("static", [1], {}),
        ("make", [1], {}),
    ],
)
def test_arguments_that_fit(name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    method = access().resolve_call((name,))
    assert method.bind(args, kwargs) == (args, kwargs)
    method.function(*args, **kwargs)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "text"),
    [
        ("test_sum", [], {}, "test_sum(): missing a required argument: 'a'"),
        ("test_sum", [1, 2, 3], {}, "test_sum(): too many positional arguments"),
        ("test_sum", [1], {"a": 2}, "test_sum(): multiple values for argument 'a'"),
        ("test_sum", [1], {"c": 2}, "test_sum(): got an unexpected keyword argument 'c'"),
        ("test_sum", [1], {"self": 2}, "unexpected keyword argument 'self'"),
        ("gather", [], {"self": 2}, "unexpected keyword argument 'self'"),
        ("gather", [], {"__class__": 2}, "unexpected keyword argument '__class__'"),
        ("gather", [], {"a b": 2}, "unexpected keyword argument 'a b'"),
        ("gather", [], {"a.b": 2}, "unexpected keyword argument 'a.b'"),
        ("gather", [], {"": 2}, "unexpected keyword argument ''"),
        ("gather", [], {"a\0": 2}, "unexpected keyword argument"),
        ("make", [1], {"cls": 2}, "unexpected keyword argument 'cls'"),
        ("named_only", [], {}, "missing a required"),
        ("named_only", ["m"], {}, "named_only(): "),
        ("own_method", [1], {"self": 2}, "unexpected keyword argument 'self'"),
    ],
)
def test_arguments_that_do_not(name: str, args: list[Any], kwargs: dict[str, Any], text: str) -> None:
    error = refusal(access().resolve_call((name,)).bind, args, kwargs)
    assert (error.code, error.executed) == (errors.INVALID_PARAMS.code, "no")
    assert text in error.message


# --- telling -------------------------------------------------------------------------------------------------------


def test_the_interface_names_what_is_served_and_nothing_else() -> None:
    interface = access(max_interface_depth=2).interface()
    methods = {method["name"] for method in interface["methods"]}
    attributes = {attribute["name"] for attribute in interface["attributes"]}
    assert {"test_sum", "wait", "from_mixin", "callback", "wheel.turn"} <= methods
    assert {"a", "level", "status", "speed", "wheel", "wheel.speed", "slotted.count"} <= attributes
    hidden = {name for name in ATTACKS if "." not in name}
    assert not hidden & (methods | attributes)
    assert not {name for name in methods | attributes if "._" in name or name.startswith("_")}
    assert fired == []
    msgspec.json.encode(interface)


def test_source() -> None:
    machine = access()
    assert machine.source(("test_sum",)).lstrip().startswith("def test_sum(self, a: int, b: int = 2)")
    assert "def status(self)" in machine.source(("status",))
    assert "def turn" in machine.source(("wheel", "turn"))
    assert refusal(machine.source, ("a",)).code == errors.INVALID_PARAMS.code
    assert refusal(machine.source, ()).code == errors.NOT_FOUND.code
    by_role = access(source_roles=("author", "chief"))
    assert "test_sum" in by_role.source(("test_sum",), frozenset({"author"}))
    assert refusal(by_role.source, ("test_sum",), frozenset({"operator"})).to_json() == errors.NOT_FOUND().to_json()
    closed = access(source_access=False)
    for where in ("test_sum", "nothing", "a"):
        assert refusal(closed.source, (where,)).to_json() == errors.NOT_FOUND().to_json()


# --- cost -----------------------------------------------------------------------------------------------------------


def test_resolving_a_method_makes_nothing_new() -> None:
    machine = access()
    first = machine.resolve_call(("test_sum",))
    assert machine.resolve_call(("test_sum",)) is first
    args: list[Any] = [1]
    assert first.bind(args, {})[0] is args


# --- roles that the configuration names -------------------------------------------------------------------------------


class Stage:
    height: int = 1


class Motor:
    """What everybody may touch, but for one method and one attribute."""

    position: int = 0
    limit: Annotated[int, write_roles("chief")] = 9

    def __init__(self) -> None:
        self.stage = Stage()
        self.table = {"a": 1}
        self.gain = 1

    def move(self, to: int) -> int:
        return to

    @roles("chief")
    def reset(self) -> None: ...


OPERATOR = frozenset({"operator"})
CHIEF = frozenset({"chief"})
BOTH = OPERATOR | CHIEF


@pytest.mark.parametrize("given", [frozenset[str](), CHIEF])
def test_an_object_that_takes_a_role_is_absent_without_it(given: frozenset[str]) -> None:
    closed = access(Motor(), roles=("operator", "guard"))
    for where in ("position", "stage", "stage.height", "table", "table.a", "gain", "move", "reset", "absent"):
        for operation in (closed.get, closed.resolve_call, closed.delete, closed.describe, closed.source):
            error = refusal(operation, path(where), given)
            assert (error.code, str(error)) == (errors.NOT_FOUND.code, str(refusal(closed.get, ("absent",), given)))
        assert refusal(closed.set, path(where), 1, given).code == errors.NOT_FOUND.code
    assert refusal(closed.describe, (), given).denied == "role"
    assert closed.surface(given) == {}
    rows = [*closed.interface()["methods"], *closed.interface()["attributes"]]
    assert all(each["roles"] in (["guard", "operator"], []) for each in rows if "." not in each["name"])
    whole = access({"a": 1}, roles=("operator",))
    for where in ((), ("a",)):
        assert refusal(whole.get, where, given).code == errors.NOT_FOUND.code
    assert whole.get((), OPERATOR) == {"a": 1}


def test_roles_of_the_configuration_and_of_marks_are_both_needed() -> None:
    closed = access(Motor(), roles=("operator",))
    assert closed.get(("stage", "height"), OPERATOR) == 1
    assert closed.resolve_call(("move",), OPERATOR).bind([3], {}) == ([3], {})
    assert refusal(closed.resolve_call, ("reset",), OPERATOR).code == errors.NOT_FOUND.code
    assert closed.resolve_call(("reset",), BOTH) is not None
    assert set(closed.surface(OPERATOR)) == {"position", "limit", "stage", "stage.height", "table", "gain", "move"}


def test_a_channel_is_for_the_roles_that_configuration_and_marks_name() -> None:
    for configured, needed in ((None, None), (("operator",), OPERATOR)):
        assert access(Motor(), roles=configured).channel_roles("position") == needed

    class Alarmed:
        alarm: Annotated[str, roles("chief", "operator")]

    for configured, needed in ((None, BOTH), (("operator",), OPERATOR), (("guard",), frozenset[str]())):
        assert access(Alarmed(), roles=configured).channel_roles("alarm") == needed


def test_what_takes_a_role_to_write_is_read_only_without_it() -> None:
    motor = Motor()
    kept = access(motor, write_roles=("operator",))
    for where in ("position", "limit", "stage.height", "table.a", "table.new", "gain"):
        for error in (refusal(kept.set, path(where), 5, CHIEF), refusal(kept.delete, path(where), CHIEF)):
            assert (error.code, error.denied, "read-only" in str(error)) == (errors.INVALID_PARAMS.code, "role", True)
    assert refusal(kept.set, ("absent",), 5, CHIEF).code == errors.NOT_FOUND.code
    assert (motor.position, motor.stage.height, motor.table, motor.gain) == (0, 1, {"a": 1}, 1)
    for where in ("position", "stage.height", "table.a", "gain"):
        kept.set(path(where), 5, OPERATOR)
    assert (motor.position, motor.stage.height, motor.table, motor.gain) == (5, 5, {"a": 5}, 5)
    assert refusal(kept.set, ("limit",), 5, OPERATOR).denied == "role", "its mark wants another one"
    kept.set(("limit",), 5, BOTH)
    assert kept.describe(("position",), CHIEF)["settable"] is False
    assert kept.describe(("position",), OPERATOR)["settable"] is True
    assert kept.surface(CHIEF) | {"move": "call"} == {
        **dict.fromkeys(("position", "limit", "stage", "stage.height", "table", "gain"), "get"),
        **dict.fromkeys(("move", "reset"), "call"),
    }
    told = {each["name"]: each.get("set_roles") for each in kept.interface()["attributes"]}
    assert (told["position"], told["limit"]) == (["operator"], [])
