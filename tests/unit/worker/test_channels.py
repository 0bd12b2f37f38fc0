"""The channels of an object: what is news, in which order, numbered how, and bounded by what."""

import copy
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from wispy.protocol.values import UnencodableError
from wispy.worker import channels as module
from wispy.worker import removed
from wispy.worker.calls import ChannelUpdate
from wispy.worker.channels import Channels, event_channels


@pytest.fixture
def channels() -> Channels:
    made = Channels("sample", {"alarm": None, "trace": 500}, history=100, limit=10)
    made.values.update(a=1, b="test", c=[2, 3], d={"e": 5})
    made.flush()
    return made


def news(channels: Channels) -> list[tuple[str, Any]]:
    return [(update.channel, json.loads(update.value)) for update in channels.flush()]


def test_first_values_are_news() -> None:
    channels = Channels("sample", {}, history=100, limit=10)
    channels.values["a"] = 1
    channels.values["b"] = [1]
    assert channels.is_dirty
    assert channels.flush() == [ChannelUpdate("a", "value", b"1", 1), ChannelUpdate("b", "value", b"[1]", 1)]
    assert not channels.is_dirty
    assert channels.flush() == []


def test_assigning_publishes_also_what_is_equal(channels: Channels) -> None:
    channels.values["a"] = 1
    assert news(channels) == [("a", 1)]
    assert news(channels) == []


def test_changes_in_place_and_all_ways_of_assigning(channels: Channels) -> None:
    values = channels.values
    values["c"].append(4)
    values["d"]["e"] = 6
    assert news(channels) == [("c", [2, 3, 4]), ("d", {"e": 6})]
    values.update({"a": 2}, b="x")
    values |= {"new": []}
    values.setdefault("a", 9)
    values.setdefault("other", 9)
    values["c"] += [5]
    assert news(channels) == [("a", 2), ("b", "x"), ("new", []), ("other", 9), ("c", [2, 3, 4, 5])]


def test_one_update_a_flush_in_the_order_of_the_first_change(channels: Channels) -> None:
    channels.values["b"] = 1
    channels.values["a"] = 1
    channels.values["b"] = 2
    updates = channels.flush()
    assert [(update.channel, update.value, update.number) for update in updates] == [("b", b"2", 2), ("a", b"1", 2)]


def test_removing_channels(channels: Channels) -> None:
    values = channels.values
    del values["a"]
    assert values.pop("b") == "test"
    assert values.pop("b", 7) == 7
    assert values.popitem() == ("d", {"e": 5})
    assert [(update.channel, update.kind, update.value) for update in channels.flush()] == [
        ("a", "removed", b"null"),
        ("b", "removed", b"null"),
        ("d", "removed", b"null"),
    ]
    values["a"] = 2
    assert [(update.kind, update.number) for update in channels.flush()] == [("value", 3)]
    values.clear()
    values["c"] = 1
    assert [(update.channel, update.kind) for update in channels.flush()] == [("c", "value"), ("a", "removed")]
    values["never"] = 1
    del values["never"]
    assert channels.flush() == []
    values.clear()
    for attempt in (lambda: values.pop("x"), lambda: values.__delitem__("x"), values.popitem):
        with pytest.raises(KeyError):
            attempt()


def test_what_was_replaced_or_removed_reports_no_more(channels: Channels) -> None:
    replaced, removed = channels.values["c"], channels.values["d"]
    channels.values["c"] = [9]
    del channels.values["d"]
    channels.flush()
    replaced.append(1)
    removed["x"] = 1
    assert not channels.is_dirty
    channels.values["d"] = {"y": removed}
    removed["z"] = 1
    assert news(channels) == [("d", {"y": {"e": 5, "x": 1}})]


def test_one_list_in_two_channels_becomes_two(channels: Channels) -> None:
    shared = [1]
    channels.values["a"] = shared
    channels.values["b"] = channels.values["a"]
    channels.flush()
    channels.values["b"].append(2)
    assert news(channels) == [("b", [1, 2])]
    shared.append(3)
    assert channels.values["a"] == [1]


def test_events_are_each_an_update_after_the_values(channels: Channels) -> None:
    event = {"level": 1}
    channels.publish("alarm", event)
    event["level"] = 2
    channels.publish("trace", 0)
    channels.publish("alarm", event)
    channels.values["a"] = 5
    updates = channels.flush()
    assert [(update.channel, update.kind, update.value, update.number) for update in updates] == [
        ("a", "value", b"5", 2),
        ("alarm", "event", b'{"level":1}', 1),
        ("trace", "event", b"0", 1),
        ("alarm", "event", b'{"level":2}', 2),
    ]


def test_events_on_other_channels_are_errors(channels: Channels) -> None:
    with pytest.raises(ValueError, match=r"sample has no event channel 'nothing': declare it"):
        channels.publish("nothing", 1)
    with pytest.raises(ValueError, match="'a' is a value channel of sample: assign to it"):
        channels.publish("a", 1)
    with pytest.raises(ValueError, match=r"'alarm' is an event channel of sample: use publish"):
        channels.values["alarm"] = 1
    with pytest.raises(UnencodableError):
        channels.publish("alarm", object())
    with pytest.raises(ValueError, match="an event of 1048578 bytes is too large"):
        channels.publish("alarm", "x" * module.MAX_UPDATE_BYTES)
    assert not channels.is_dirty


def test_pending_events_are_bounded_and_what_is_dropped_shows(
    channels: Channels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_PENDING_EVENTS", 3)
    for number in range(5):
        channels.publish("alarm", number)
    with caplog.at_level(logging.WARNING):
        updates = channels.flush()
    assert [(update.value, update.number) for update in updates] == [(b"2", 3), (b"3", 4), (b"4", 5)]
    assert caplog.messages == ["2 events of sample.alarm were dropped: too many waited to be sent"]
    monkeypatch.setattr(module, "MAX_PENDING_BYTES", 1000)
    for _ in range(3):
        channels.publish("alarm", "x" * 400)
    assert [update.number for update in channels.flush()] == [7, 8]


def test_what_cannot_be_sent_is_named_once_and_holds_up_nobody(
    channels: Channels, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            channels.values["b"] = {"x": [object()]}
            channels.values["a"] = 2
            assert news(channels) == [("a", 2)]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the value of channel sample.b cannot be sent:")
    channels.values["b"] = "x" * module.MAX_UPDATE_BYTES
    assert news(channels) == []
    channels.values["b"] = 1
    assert news(channels) == [("b", 1)]
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        channels.values["b"] = "x" * module.MAX_UPDATE_BYTES
        assert news(channels) == []
    assert caplog.messages == ["the value of channel sample.b cannot be sent: 1048578 bytes, 1048576 may be sent"]


def test_a_value_that_contains_itself_breaks_nothing(channels: Channels, caplog: pytest.LogCaptureFixture) -> None:
    endless: list[Any] = []
    endless.append(endless)
    channels.values["a"] = endless
    assert news(channels) == []
    assert "sample.a cannot be sent" in caplog.text


def test_a_value_that_would_end_the_worker_holds_up_nobody(channels: Channels) -> None:
    class Leaving(dict[str, int]):
        def items(self) -> Any:
            raise SystemExit

    channels.values["a"] = Leaving()
    channels.values["b"] = 2
    assert news(channels) == [("b", 2)]


@pytest.mark.parametrize(
    ("name", "error"),
    [(5, TypeError), ("", ValueError), ("a\0", ValueError), ("a\udce9", ValueError), ("x" * 300, ValueError)],
)
def test_names_of_channels(channels: Channels, name: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        channels.values[name] = 1
    assert name not in channels.values


def test_the_number_of_channels_is_bounded(channels: Channels) -> None:
    for number in range(4):
        channels.values[f"more{number}"] = number
    with pytest.raises(ValueError, match="sample may have 10 channels"):
        channels.values["too_many"] = 1
    channels.values["a"] = 7
    with pytest.raises(ValueError, match="sample may have 2 channels"):
        Channels("sample", {"a": None, "b": None, "c": None}, history=1, limit=2)
    Channels("sample", {"a": None, "b": None}, history=1, limit=2)


def test_kinds_and_histories(channels: Channels) -> None:
    expected = {"a": "value", "b": "value", "c": "value", "d": "value", "alarm": "event", "trace": "event"}
    assert channels.kinds() == expected
    assert [channels.history(name) for name in ("a", "alarm", "trace")] == [100, 100, 500]


def test_restoring(channels: Channels, caplog: pytest.LogCaptureFixture) -> None:
    def convert(name: str, value: Any) -> Any:
        if name == "d":
            raise ValueError("not so")
        return value

    channels.restore({"a": b"7", "c": b"[1]", "gone": b"1", "alarm": b"1", "b": b"{", "d": b"1"}, convert)
    assert channels.values == {"a": 7, "b": "test", "c": [1], "d": {"e": 5}}
    assert "sample.b cannot be read" in caplog.text
    assert "sample.d cannot be read and is not restored: not so" in caplog.text
    channels.flush()
    channels.values["c"].append(2)
    assert news(channels) == [("c", [1, 2])]


def test_on_dirty_is_told_once_until_the_next_flush(channels: Channels) -> None:
    told: list[int] = []
    channels.on_dirty = lambda: told.append(1)
    channels.values["a"] = 1
    channels.publish("alarm", 1)
    channels.values["c"].append(1)
    assert len(told) == 1
    channels.flush()
    channels.publish("alarm", 1)
    assert len(told) == 2


def test_after_detaching_nobody_is_told(channels: Channels) -> None:
    told: list[int] = []
    channels.on_dirty = lambda: told.append(1)
    held = channels.values["c"]
    channels.detach()
    held.append(1)
    channels.values["a"] = 1
    assert not told


def test_changes_of_other_threads_while_values_are_flushed(channels: Channels, often_in_turns: None) -> None:
    channels.values["a"] = {}
    each = 2000  # however seldom this thread has its turn, all of them may wait

    def change(name: str) -> None:
        for number in range(each):
            channels.values["a"][f"{name}{number % 50}"] = [number]
            channels.publish("alarm", f"{name}{number}")

    threads = [threading.Thread(target=change, args=(name,)) for name in "xy"]
    for thread in threads:
        thread.start()
    flushes: list[list[ChannelUpdate]] = []
    while any(thread.is_alive() for thread in threads):
        flushes.append(channels.flush())
    flushes.append(channels.flush())
    updates = [update for flush in flushes for update in flush]
    assert [update.number for update in updates if update.kind == "event"] == list(range(1, 2 * each + 1))
    newest = json.loads([update.value for update in updates if update.channel == "a"][-1])
    assert newest == {f"{name}{number % 50}": [number] for name in "xy" for number in range(each - 50, each)}


@pytest.fixture
def often_in_turns() -> Iterator[None]:
    """Threads take turns far more often than by themselves."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def test_the_values_themselves_copy_as_a_plain_dict(channels: Channels) -> None:
    assert type(copy.deepcopy(channels.values)) is dict
    assert copy.deepcopy(channels.values) == {"a": 1, "b": "test", "c": [2, 3], "d": {"e": 5}}


def test_declarations_of_event_channels() -> None:
    assert event_channels(["a", "b"]) == {"a": None, "b": None}
    assert event_channels(()) == {}
    assert event_channels({"a": 5, "b": None}) == {"a": 5, "b": None}
    for wrong in ("alarm", 5, [5], {"a": 0}, {"a": "x"}, {"a": True}):
        with pytest.raises(ValueError, match="event_channels"):
            event_channels(wrong)


def test_channels_under_ever_new_names_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removed, "MAX_REMOVED", 2)
    channels = Channels("sample", {}, history=10, limit=10)
    numbers: list[int] = []
    for name in ("a", "b", "a", "c", "d", "a", "b"):
        channels.values[name] = 1
        numbers += [update.number for update in channels.flush()]
        del channels.values[name]
        channels.flush()
    assert numbers == [1, 1, 3, 1, 1, 1, 1], "a goes on the first time; then it is forgotten for d"
    assert sorted(channels._numbers) == ["a", "b"]
