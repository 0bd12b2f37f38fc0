"""The object under attack. It writes down every touch of what no page may touch, and every run of its code.

`vault` has one of everything that attackers reach for; `watch` says what happened to it. All that is secret holds
`SECRET` in some text, so that one search finds what has leaked.
"""

import functools
import logging
import os
import pathlib
import re
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

from wispy import expose, hide, roles, threaded

SECRET = "what-no-page-may-learn"

touches: list[str] = []
"""What was touched, in order: every attack must leave this as it was."""


def touch(what: str) -> str:
    touches.append(what)
    return SECRET


class Wire:
    """A descriptor of another package: getting, setting and deleting it is a touch."""

    __module__ = "elsewhere"

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> str:
        return touch(f"get {self.name}")

    def __set__(self, instance: Any, value: Any) -> None:
        touch(f"set {self.name}")

    def __delete__(self, instance: Any) -> None:
        touch(f"delete {self.name}")


class Guarded(type):
    """A class that writes down who changes or calls it."""

    def __setattr__(cls, name: str, value: Any) -> None:
        touch(f"{cls.__name__}.{name} = ")
        super().__setattr__(name, value)

    def __delattr__(cls, name: str) -> None:
        touch(f"del {cls.__name__}.{name}")
        super().__delattr__(name)


_SPECIAL = (
    *("__call__", "__getitem__", "__setitem__", "__delitem__", "__contains__", "__iter__", "__len__", "__bool__"),
    *("__str__", "__repr__", "__format__", "__eq__", "__lt__", "__enter__", "__exit__", "__int__", "__float__"),
    *("__index__", "__bytes__", "__fspath__", "__reduce_ex__", "__dir__"),
)


def _special(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return touch(f"{type(self).__name__}.{name}{args!r:.60}")

    method.__name__ = name
    return method


class Trap(metaclass=Guarded):
    """An object of which everything is a touch: attributes, items, calls, comparisons, its text, even its class.

    Its class pretends to be another package's (as do all proxies and lazy objects, whose `__class__` is code).
    """

    __module__ = "elsewhere"

    def __getattribute__(self, name: str) -> Any:
        touch(f"Trap.{name}")
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        touch(f"Trap.{name} = ")

    def __delattr__(self, name: str) -> None:
        touch(f"del Trap.{name}")

    @property
    def __class__(self) -> type:  # type: ignore[override]
        touch("Trap.__class__")
        return str

    vars().update({name: _special(name) for name in _SPECIAL})
    __hash__ = object.__hash__


class OwnTrap(Trap):
    """The same at home in the served object's package, and marked as not to be served."""

    __module__ = __name__
    interface_access_restricted = True


class Secrets:
    """A nested object that is marked as not to be served."""

    interface_access_restricted = True

    def __init__(self) -> None:
        self.password = SECRET

    def reveal(self) -> str:
        return touch("Secrets.reveal")


class Motor:
    """A nested object that pages may use."""

    speed: int

    def __init__(self, owner: "Vault") -> None:
        self.speed = 1
        self.owner = owner
        self._pin = SECRET
        self.lock = threading.Lock()

    def turn(self, times: int = 1) -> int:
        touches.append("Motor.turn")
        return times


class Base(threading.Thread):
    """Of the own package, with a library's class behind: `run`, `start` and `name` are not for pages."""

    def from_base(self) -> str:
        touches.append("from_base")
        return "base"


def restricted(function: Any) -> Any:
    function.interface_access_restricted = True
    return function


class Vault(Base):
    """What is attacked."""

    a: int = 1
    hidden_level: Annotated[str, hide]
    boss_level: Annotated[str, roles("boss")]
    words: ClassVar[dict[str, Any]] = {"open": "sesame", "list": [1, 2]}
    tracked_channel_values: ClassVar = {"level": 3, "hidden_level": SECRET, "boss_level": SECRET}
    event_channels: ClassVar = {"alarm": 10}
    wire = Wire("wire")
    _wire = Wire("_wire")
    module = os
    system = os.system
    popen = subprocess.Popen
    klass = Secrets
    partial = functools.partial(os.system, "true")
    pattern = re.compile("x")

    def __init__(self) -> None:
        super().__init__()
        self.motor = Motor(self)
        self.motors = [Motor(self)]
        self.data: Any = {
            "plain": 1,
            "a.b": 2,
            "list": [1, 2, 3],
            "trap": Trap(),
            "__class__": "a key",
            "motor": self.motor,
        }
        self.trap = Trap()
        self.own_trap = OwnTrap()
        self.secrets = Secrets()
        self.logger = logging.getLogger("vault")
        self.path = pathlib.Path()
        self.lock = threading.Lock()
        self.generator = (touch("generator") for _ in "a")
        self.coroutine_of = _never
        self.frame_of = lambda: touch("lambda")
        self.environment = os.environ
        self.text = "{0.__class__.__init__.__globals__}"
        self._x = SECRET
        self.__y = SECRET
        self.__dict__["\ufb01le"] = 1  # the ligature: as an identifier Python takes it for `file`

    def __getattr__(self, name: str) -> Any:
        if name not in ("__wispy__",):
            touch(f"__getattr__ {name}")
        raise AttributeError(name)

    @property
    def _hidden_property(self) -> str:
        return touch("_hidden_property")

    @property
    @restricted
    def restricted_property(self) -> str:
        return touch("restricted_property")

    @property
    def readable(self) -> int:
        """Has no setter."""
        return 4

    @property
    @hide
    def marked_property(self) -> str:
        return touch("marked_property")

    @functools.cached_property
    @restricted
    def restricted_cached(self) -> str:
        return touch("restricted_cached")

    @restricted
    def restricted_method(self) -> str:
        return touch("restricted_method")

    @hide
    def marked_method(self) -> str:
        return touch("marked_method")

    @staticmethod
    @restricted
    def restricted_static() -> str:
        return touch("restricted_static")

    @classmethod
    @restricted
    def restricted_classmethod(cls) -> str:
        return touch("restricted_classmethod")

    def _private(self) -> str:
        return touch("_private")

    def __mangled(self) -> str:
        return touch("__mangled")

    @roles("boss")
    def for_the_boss(self) -> str:
        return touch("for_the_boss")

    @expose
    def add(self, a: int, b: int = 2) -> int:
        touches.append("add")
        return a + b

    def named_only(self, *, unit: str) -> str:
        touches.append("named_only")
        return unit

    def gather(self, numbers: list[int], names: dict[str, int]) -> int:
        touches.append("gather")
        return len(numbers) + len(names)

    @threaded
    def add_in_thread(self, a: int) -> int:
        touches.append("add_in_thread")
        return a

    async def add_later(self, a: int) -> int:
        touches.append("add_later")
        return a

    def fail(self) -> None:
        raise ValueError("no")


async def _never() -> str:
    return touch("coroutine")


def state_of(vault: Vault) -> str:
    """All that an attack could have changed, as text. No trap is touched."""
    places: dict[str, Any] = {
        "vault": vars(vault),
        "motor": vars(vault.motor),
        "data": vault.data,
        "Vault.words": Vault.words,
    }
    places |= {cls.__qualname__: vars(cls) for cls in (Vault, Base, Motor, Secrets, Trap, OwnTrap, Wire)}
    places["module"] = globals()
    return "; ".join(f"{place}: {_shown(names)}" for place, names in places.items())


def _shown(names: Mapping[Any, Any]) -> str:
    rows = ((name, value if type(value) in (int, str, bool) else id(value)) for name, value in list(names.items()))
    return str(sorted(((str(name), value) for name, value in rows), key=lambda row: row[0]))


class Watch:
    """Tells what was touched, and how the process is."""

    def look(self) -> tuple[list[str], str]:
        """What was touched since it was last asked, and all that an attack could have changed, as text."""
        found = touches.copy()
        touches.clear()
        return found, state_of(vault)


vault = Vault()
watch = Watch()
