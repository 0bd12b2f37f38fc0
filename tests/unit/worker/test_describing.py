"""What pages are told of an object."""

import dataclasses
import json
from typing import Any

import msgspec
import pytest

from wispy.config.schema import InterfaceConfig
from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.protocol.values import encode
from wispy.worker.access import Access
from wispy.worker.marks import idempotent

SETTINGS = InterfaceConfig()


@dataclasses.dataclass
class Point:
    x: float = 0.0


class Token:
    def __repr__(self) -> str:
        return "hunter2"


TOKEN = Token()


class Wheel:
    """A wheel."""

    def __init__(self, car: "Car") -> None:
        self.car = car
        self.size = 15

    def turn(self) -> None: ...


class Car:
    """A car.

    It has wheels.
    """

    level: int = 3
    point: Point
    "attribute texts are not told"

    def __init__(self) -> None:
        self.wheel = Wheel(self)
        self.wheels = [self.wheel]
        self.data = {"a": 1}

    @property
    def speed(self) -> float:
        """How fast."""
        raise AssertionError("nothing runs")

    @speed.setter
    def speed(self, value: float) -> None: ...

    @property
    def status(self) -> str:
        raise AssertionError("nothing runs")

    def drive(self, far: int, speed: float = 1.5, *stops: str, token: Any = TOKEN, **more: int) -> list[Point]:
        """Drive.

        Far.
        """
        return []

    @idempotent
    async def stop(self) -> None: ...


@pytest.fixture
def car() -> Access:
    return Access(Car(), SETTINGS)


def test_a_method(car: Access) -> None:
    told = car.describe(("drive",))
    assert told["kind"] == "method"
    assert told["doc"] == "Drive.\n\nFar."
    signature = "drive(far: int, speed: float = 1.5, *stops: str, token: Any = ..., **more: int) -> list[Point]"
    assert told["signature"].replace("typing.", "").replace(f"{__name__}.", "") == signature
    assert [(each["name"], each["kind"], each["required"], each.get("default", "-")) for each in told["params"]] == [
        ("far", "positional_or_keyword", True, "-"),
        ("speed", "positional_or_keyword", False, 1.5),
        ("stops", "var_positional", False, "-"),
        ("token", "keyword_only", False, "-"),
        ("more", "var_keyword", False, "-"),
    ]
    assert told["params"][0]["schema"] == {"type": "integer"}
    assert (told["async"], told["idempotent"]) == (False, False)
    assert "hunter2" not in str(told)
    stop = car.describe(("stop",))
    assert (stop["async"], stop["idempotent"], stop["returns"]) == (True, True, {"type": "null"})


def test_properties_are_told_of_and_not_read(car: Access) -> None:
    assert car.describe(("speed",)) == {
        "name": "speed",
        "kind": "property",
        "type": "float",
        "schema": {"type": "number"},
        "settable": True,
        "doc": "How fast.",
    }
    assert car.describe(("status",))["settable"] is False


def test_attributes(car: Access) -> None:
    assert car.describe(("level",)) == {
        "name": "level",
        "kind": "attribute",
        "type": "int",
        "schema": {"type": "integer"},
        "settable": True,
        "doc": "",
    }
    assert (car.describe(("data",))["type"], car.describe(("data",))["settable"]) == ("dict", True)
    assert car.describe(("wheels",))["settable"] is False
    assert car.describe(("point",))["settable"] is True
    assert car.describe(("data", "a")) == {"name": "a", "kind": "item", "type": "int"}


def test_objects(car: Access) -> None:
    wheel = car.describe(("wheel",))
    assert (wheel["kind"], wheel["type"], wheel["doc"], wheel["settable"]) == ("object", "Wheel", "A wheel.", False)
    assert [each["name"] for each in wheel["methods"]] == ["turn"]
    assert [each["name"] for each in wheel["attributes"]] == ["car", "size"]
    whole = car.describe(())
    assert (whole["kind"], whole["type"], whole["doc"]) == ("object", "Car", "A car.\n\nIt has wheels.")
    assert [each["name"] for each in whole["methods"]] == ["drive", "stop"]


def test_the_interface_holds_nested_objects_once(car: Access) -> None:
    interface = car.interface()
    assert [each["name"] for each in interface["methods"]] == ["drive", "stop", "wheel.turn"]
    names = [each["name"] for each in interface["attributes"]]
    assert names == ["data", "level", "point", "speed", "status", "wheel", "wheel.car", "wheel.size", "wheels"]
    msgspec.json.encode(interface)
    shallow = Access(Car(), InterfaceConfig(max_interface_depth=1)).interface()
    assert [each["name"] for each in shallow["methods"]] == ["drive", "stop"]


def test_the_interface_is_bounded() -> None:
    class Wide:
        def __init__(self) -> None:
            for number in range(3000):
                setattr(self, f"a{number}", number)

    assert len(Access(Wide(), SETTINGS).interface()["attributes"]) == 1000


def test_sources(car: Access) -> None:
    assert car.source(("drive",)).lstrip().startswith("def drive(self, far: int")
    assert "How fast." in car.source(("speed",))
    exec("def made(): ...", made := {"__name__": __name__})
    target = Car()
    target.made = made["made"]  # type: ignore[attr-defined]
    for path in (("level",), ("wheel",), ("made",)):
        with pytest.raises(RPCError) as caught:
            Access(target, SETTINGS).source(path)
        assert caught.value.code == errors.INVALID_PARAMS.code


class Odd: ...


def test_what_cannot_be_sent_keeps_nothing_from_being_told() -> None:
    Odd.__doc__ = "Matches \ud800."
    target: Any = Odd()
    vars(target).update({"right": 1, "\udce9": 2})
    vars(target)[5] = 3
    target.made_by_hand = type("MadeByHand", (), {"__module__": None})()
    access = Access(target, SETTINGS)
    for told in (access.interface(), access.describe(())):
        assert [row["name"] for row in told["attributes"]] == ["made_by_hand", "right"]
        assert json.loads(encode(told))["doc"] == "Matches ?."
