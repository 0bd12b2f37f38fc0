"""Where paths lead, and above all where they do not."""

import collections
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.worker.access.machine import ATTACKS, Machine, Secret, access, fire, fired, path, refusal
from wispy.protocol import errors
from wispy.worker.access import Access

OPERATIONS: dict[str, Callable[[Access, tuple[str, ...]], Any]] = {
    "get": lambda machine, where: machine.get(where),
    "call": lambda machine, where: machine.resolve_call(where),
    "set": lambda machine, where: machine.set(where, 1),
    "set {}": lambda machine, where: machine.set(where, {}),
    "delete": lambda machine, where: machine.delete(where),
    "describe": lambda machine, where: machine.describe(where),
    "source": lambda machine, where: machine.source(where),
}

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


CLOSED = [
    where
    for where in ATTACKS
    if any(part.startswith("_") for part in path(where)) and where not in OPENED and not where.startswith("data.")
]
"""What they do not."""


@pytest.mark.parametrize("where", CLOSED)
def test_settings_open_names_and_never_the_class(where: str) -> None:
    machine = access(include_internals=True, include_dunders=True)
    for operation in OPERATIONS.values():
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
