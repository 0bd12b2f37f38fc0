"""A served object as a whole: its access, its channels, and what both make of wispy's own attributes."""

import asyncio
import dataclasses
import datetime as dt
import enum
import json
from typing import Any, ClassVar, cast

import numpy as np
import pytest

import wispy
from wispy.config.schema import Config, InstanceConfig, LimitsConfig, LoggingConfig
from wispy.errors import StartError
from wispy.protocol.errors import RPCError
from wispy.worker import runner as runner_module
from wispy.worker.calls import Call, ChannelUpdate, Outcome
from wispy.worker.counts import ObjectCounts
from wispy.worker.runner import Runner
from wispy.worker.served import ServedObject


class Sample:
    a = 1
    """sample attribute which can be get/set/deleted from javascript"""

    tracked_channel_values: ClassVar[dict[str, Any]] = {"a": 1, "b": "test", "c": [2, 3], "d": {"e": 5}}
    event_channels: ClassVar[list[str]] = ["alarm"]

    def test_sum(self, a: int, b: int) -> int:
        return a + b

    def warn(self, text: str) -> None:
        self.publish("alarm", text)  # type: ignore[attr-defined]


UNWATCHED = Config(logging_config=LoggingConfig(slow_call=None))
"""No call is slow, which would end a turn."""


@pytest.fixture(autouse=True)
def long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls run in one turn, also on a busy machine."""
    monkeypatch.setattr(runner_module, "TURN_S", 60)


async def serve(target: object, config: Config | None = None) -> ServedObject:
    return ServedObject("sample", target, config or Config(), asyncio.get_running_loop())


def runner_of(served: ServedObject) -> tuple[Runner, list[tuple[list[Outcome], list[ChannelUpdate]]]]:
    """It may always start, and all that it hands over is kept."""
    hand_overs: list[tuple[list[Outcome], list[ChannelUpdate]]] = []
    runner = Runner(
        served,
        UNWATCHED,
        may_start=lambda: True,
        on_outcomes=lambda *given: hand_overs.append(given),
        counts=ObjectCounts(),
    )
    return runner, hand_overs


async def test_the_first_flush_has_all_values() -> None:
    served = await serve(Sample())
    assert {update.channel: json.loads(update.value) for update in served.channels.flush()} == {
        "a": 1,
        "b": "test",
        "c": [2, 3],
        "d": {"e": 5},
    }


async def test_pages_set_channels_through_attributes_and_do_not_reach_wispys_own() -> None:
    served = await serve(Sample())
    access, channels = served.access, served.channels
    channels.flush()
    access.set(("a",), 2)
    access.set(("b",), "x")
    access.set(("d", "e"), 6)
    access.delete(("a",))
    assert access.get(("a",)) == 1
    assert {update.channel: update.value for update in channels.flush()} == {"a": b"1", "b": b'"x"', "d": b'{"e":6}'}
    for hidden in ("publish", "tracked_channel_values", "event_channels", "wispy_name", "nothing"):
        with pytest.raises(RPCError) as absent:
            access.get((hidden,))
        assert absent.value.code == -32001
    told = access.interface()
    assert sorted(method["name"] for method in told["methods"]) == ["test_sum", "warn"]
    assert [attribute["name"] for attribute in told["attributes"]] == ["a", "b", "c", "d"]


async def test_a_request_is_answered_after_the_updates_that_it_caused() -> None:
    served = await serve(Sample())
    runner, hand_overs = runner_of(served)
    runner.begin()
    hand_overs.clear()
    runner.run(
        [
            Call("s", 1, "set", ("a",), b"5"),
            Call("s", 2, "call", ("warn",), b'["hot"]'),
            Call("s", 3, "call", ("test_sum",), b"[4,5]"),
        ]
    )
    ((outcomes, updates),) = hand_overs
    assert [outcome.body for outcome in outcomes] == [b"null", b"null", b"9"]
    assert [(update.channel, update.value) for update in updates] == [("a", b"5"), ("alarm", b'"hot"')]
    runner.close()


async def test_an_object_that_is_served_again_goes_on_where_it_was() -> None:
    sample = Sample()
    first = await serve(sample)
    first.access.set(("a",), 7)
    first.access.set(("b",), "kept")
    first.close()
    assert type(sample) is Sample
    second = await serve(sample)
    assert second.channels.values == {"a": 7, "b": "kept", "c": [2, 3], "d": {"e": 5}}
    third = await serve(sample)  # the second one was never closed
    assert type(sample).__mro__[1] is Sample
    assert third.channels.values["a"] == 7
    second.channels.flush()
    sample.a = 8
    assert not second.channels.is_dirty
    assert third.channels.values["a"] == 8


async def test_without_added_attributes() -> None:
    sample: Any = Sample()
    served = await serve(sample, Config(instance_configs={"sample": InstanceConfig(add_attributes=False)}))
    assert not hasattr(sample, "publish")
    served.channels.publish("alarm", 1)


async def test_a_plain_object_is_served_too() -> None:
    class Plain:
        value = 3

    served = await serve(Plain())
    assert served.access.get(("value",)) == 3
    assert served.channels.kinds() == {}


class Answering:
    """Has an answer to every name, as a stub of a remote instrument has."""

    def __getattr__(self, name: str) -> Any:
        return lambda: name


class Failing:
    """Raises something else than AttributeError, as is easily done."""

    def __getattr__(self, name: str) -> Any:
        return {}[name]


class Meta(type):
    """Has no answer to any name that its classes do not have."""

    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Strange(metaclass=Meta):
    pass


class Holder:
    strange = Strange()
    value = 3
    tracked_channel_values: ClassVar[dict[str, Any]] = {"shown": Answering()}
    shown = Answering()

    def give(self) -> Strange:
        return self.strange


async def test_classes_and_values_that_answer_strangely_hurt_nothing_else() -> None:
    served = await serve(Holder())
    assert sorted(served.access.surface(frozenset())) == ["give", "shown", "strange", "value"]
    assert served.channels.kinds() == {"shown": "value"}
    runner, hand_overs = runner_of(served)
    runner.run([Call("s", 1, "call", ("give",)), Call("s", 2, "get", ("strange",)), Call("s", 3, "get", ("value",))])
    outcomes = [outcome for each, _ in hand_overs for outcome in each]
    assert [outcome.is_error for outcome in outcomes] == [True, True, False]
    runner.close()
    served.close()


@pytest.mark.parametrize("kind", [Answering, Failing])
async def test_what_getattr_says_is_no_declaration(kind: type[Any]) -> None:
    target = kind()
    target.value = 3
    served = await serve(target)
    assert served.access.get(("value",)) == 3
    assert served.channels.kinds() == {}
    with pytest.raises(RPCError):
        served.access.get(("anything",))
    served.close()


@pytest.mark.parametrize(
    ("declarations", "told"),
    [
        ({"tracked_channel_values": [1]}, "tracked_channel_values is a dict"),
        ({"tracked_channel_values": {5: 1}}, "named by a text"),
        ({"event_channels": "alarm"}, "event_channels is a list"),
        ({"event_channels": ["a"], "tracked_channel_values": {"a": 1}}, "'a' is an event channel"),
        ({"tracked_channel_values": {"a": 1, "b": 2, "c": 3}}, "may have 2 channels"),
    ],
)
async def test_impossible_declarations_are_told(declarations: dict[str, Any], told: str) -> None:
    target = type("Target", (), declarations)()
    with pytest.raises(StartError, match=f"the object sample cannot be served: .*{told}"):
        await serve(target, Config(limits=LimitsConfig(channels_per_object=2)))


class Name(str, enum.Enum):  # noqa: UP042 -- whose members become "Name.A" in an f-string
    A = "a"
    ALARM = "alarm"


class Named:
    tracked_channel_values: ClassVar[dict[Name, Any]] = {Name.A: 1}
    event_channels: ClassVar[list[Name]] = [Name.ALARM]

    def __init__(self) -> None:
        self.a = 2


async def test_channels_named_by_an_enumeration_have_plain_names() -> None:
    served = await serve(named := Named())
    target: Any = named
    updates = served.channels.flush()
    target.tracked_channel_values[Name.A] = 3
    target.publish(Name.ALARM, "hot")
    updates += served.channels.flush()
    del target.tracked_channel_values[Name.A]
    updates += served.channels.flush()
    assert [(update.channel, update.value) for update in updates] == [
        ("a", b"2"),
        ("a", b"3"),
        ("alarm", b'"hot"'),
        ("a", b"null"),
    ]
    assert {type(name) for name in (*served.channels.kinds(), *(update.channel for update in updates))} == {str}


class Motor:
    def __init__(self) -> None:
        self.tracked_channel_values = {"speed": 1}
        self.event_channels = ["stall"]

    @wispy.on_release
    def switch_off(self) -> None: ...

    def turn(self) -> None: ...


class Lab:
    def __init__(self) -> None:
        self.motor = Motor()
        self.spare = Motor()


async def test_wispys_own_names_are_hidden_in_what_is_nested_too() -> None:
    lab = Lab()
    await serve(lab.motor)
    access = (await serve(lab)).access
    assert access.get(("motor", "speed")) == 1
    for path in [("motor", name) for name in ("publish", "tracked_channel_values", "event_channels", "wispy_name")]:
        for touch in (access.get, access.resolve_call, access.delete):
            with pytest.raises(RPCError) as absent:
                touch(path)
            assert absent.value.code == -32001
    with pytest.raises(RPCError):
        access.set(("motor", "tracked_channel_values"), {"other": 1})
    for motor in ("motor", "spare"):
        assert access.resolve_call((motor, "turn"))
        with pytest.raises(RPCError):
            access.resolve_call((motor, "switch_off"))
    assert {name for name in access.surface(frozenset()) if name.startswith("motor.")} == {"motor.speed", "motor.turn"}


async def test_an_instance_with_channels_has_one_name() -> None:
    motor = Motor()
    served = await serve(motor)
    with pytest.raises(StartError, match="the same instance as sample"):
        ServedObject("other", motor, Config(), asyncio.get_running_loop())
    assert [update.channel for update in served.channels.flush()] == ["speed"]
    served.close()
    ServedObject("other", motor, Config(), asyncio.get_running_loop())
    lab = Lab()  # without channels there is nothing to be shared
    await serve(lab)
    ServedObject("other", lab, Config(), asyncio.get_running_loop())


class Phase(enum.Enum):
    IDLE = "idle"
    BUSY = "busy"


@dataclasses.dataclass
class Spot:
    x: float
    y: float


class Custom:
    """Nothing of it can be sent."""


class Kept:
    since: dt.datetime | None
    gain: int
    custom: Custom

    def __init__(self) -> None:
        self.tracked_channel_values = dict.fromkeys(
            ("since", "phase", "spot", "pair", "curve", "gain", "level", "gone")
        )
        self.since = None
        self.phase = Phase.IDLE
        self.spot = Spot(0, 0)
        self.pair: tuple[int, ...] = (0, 0)
        self.curve = np.zeros(2)
        self.gain = 1
        self.level = 1
        self.gone = Custom()


async def test_restored_values_are_of_the_types_that_the_code_has(caplog: pytest.LogCaptureFixture) -> None:
    former = Kept()
    served = await serve(former)
    former.since = dt.datetime(2026, 11, 27, 22, 30)
    former.phase, former.spot, former.pair, former.curve = Phase.BUSY, Spot(1, 2), (3, 4), np.array([1.5, 2.5])
    former.gain, former.level = cast(int, "much"), cast(int, [2.5])
    retained = {update.channel: update.value for update in served.channels.flush()}
    kept = Kept()
    start = kept.gone
    (await serve(kept)).restore({**retained, "gone": b'"?"'})
    assert (kept.since, kept.phase, kept.spot, kept.pair) == (former.since, Phase.BUSY, Spot(1, 2), (3, 4))
    assert kept.curve.tolist() == [1.5, 2.5]
    assert isinstance(kept.curve, np.ndarray)
    assert (kept.gain, kept.level) == ("much", [2.5]), "what the object's own code has set need not be as annotated"
    assert kept.gone is start
    assert "sample.gone cannot be read and is not restored: no Custom can be made of JSON" in caplog.text
