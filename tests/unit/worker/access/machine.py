"""An object with something of everything that pages may or may not touch, for the tests of access to it."""

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
from wispy.protocol.errors import RPCError
from wispy.worker.access import Access

fired: list[str] = []
"""Code of the objects that has run: every attack must leave this empty."""


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
"""Paths below a `Machine` that are not there, or not for pages."""
