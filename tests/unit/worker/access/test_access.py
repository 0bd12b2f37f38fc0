"""What pages get of an object, and what they are told of it."""

import msgspec
import pytest

from tests.unit.worker.access.machine import ATTACKS, Colour, access, fired, path, refusal
from wispy.protocol import errors

# --- what is got ------------------------------------------------------------------------------------------------------


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


# --- what is told -----------------------------------------------------------------------------------------------------


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
