"""Numbering updates and bringing them to Redis in order, through refusals and lost links.

The store here keeps the rule of `publish.lua`, offsets up to the head are skipped, and answers when the test says so;
the script itself is tested on a real server.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest

from tests.support.waiting import wait_until
from wispy.broker.errors import LinkLost, ReplyError
from wispy.broker.store import ObjectStore, Update
from wispy.errors import BrokerError
from wispy.worker import publisher as module
from wispy.worker import removed
from wispy.worker.calls import ChannelUpdate, UpdateKind
from wispy.worker.counts import ObjectCounts
from wispy.worker.publisher import Publisher


class Store:
    """Redis, as far as a publisher sees it."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[Update], Callable[[bool | BrokerError], object]]] = []
        self.heads: dict[str, int] = {}
        self.published: list[tuple[str, int, bytes]] = []

    def publish(self, epoch: str, updates: Sequence[Update], on_reply: Callable[[bool | BrokerError], object]) -> None:
        assert epoch == "5-a"
        self.batches.append((list(updates), on_reply))

    def answer(self, reply: bool | BrokerError = True, *, is_written: bool = True) -> None:
        """Answer all that was sent."""
        batches, self.batches = self.batches, []
        for updates, on_reply in batches:
            if is_written:
                for update in updates:
                    if update.offset > self.heads.get(update.channel, 0):
                        self.heads[update.channel] = update.offset
                        self.published.append((update.channel, update.offset, update.value))
            on_reply(reply)


class Owner:
    """A publisher, its store, and the object that counts its own updates."""

    def __init__(self, retained: Mapping[str, bytes] = {}, **heads: int) -> None:
        self.store = Store()
        self.fenced = 0
        store = cast(ObjectStore, self.store)
        self.counts = ObjectCounts()
        self.publisher = Publisher(
            store, "5-a", heads, retained, lambda channel: len(channel), self._fence, self.counts
        )
        self.numbers: dict[str, int] = {}

    def _fence(self) -> None:
        self.fenced += 1

    def change(self, *changes: str, value: bytes = b"1", kind: UpdateKind = "value") -> None:
        self.publisher.publish([self._update(channel, value, kind) for channel in changes])

    def _update(self, channel: str, value: bytes, kind: UpdateKind) -> ChannelUpdate:
        number = self.numbers[channel] = self.numbers.get(channel, 0) + 1
        return ChannelUpdate(channel, kind, value, number)

    @property
    def offsets(self) -> list[tuple[str, int]]:
        return [(channel, offset) for channel, offset, _ in self.store.published]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.001)


async def is_sent_again(owner: Owner) -> None:
    await wait_until(lambda: owner.store.batches, "what was held back is sent again")


OOM = ReplyError("OOM command not allowed when used memory > 'maxmemory'")


def test_one_batch_goes_as_one_with_what_redis_has_to_know() -> None:
    owner = Owner()
    owner.publisher.publish([ChannelUpdate("a", "value", b"1", 1), ChannelUpdate("log", "event", b"2", 1)])
    ((updates, _),) = owner.store.batches
    assert updates == [Update("a", 1, b"1", True, 1), Update("log", 1, b"2", False, 3)]


def test_offsets_continue_where_the_former_owner_ended() -> None:
    owner = Owner(a=41)
    owner.change("a", "b", "a")
    owner.store.answer()
    assert owner.offsets == [("a", 42), ("b", 1), ("a", 43)]
    assert set(owner.publisher.channels) == {"a", "b"}


def test_a_first_value_that_subscribers_have_is_no_news() -> None:
    owner = Owner({"a": b"1", "b": b"1"}, a=41, b=3)
    owner.change("a", value=b"1")
    owner.change("b", value=b"2")  # the code's own value, where nothing is restored
    owner.change("a", value=b"2")
    owner.change("a", value=b"1")
    owner.store.answer()
    assert owner.store.published == [("b", 4, b"2"), ("a", 42, b"2"), ("a", 43, b"1")]


def test_a_first_event_is_news_whatever_it_says() -> None:
    owner = Owner({"log": b"1"}, log=41)
    owner.change("log", value=b"1", kind="event")
    owner.store.answer()
    assert owner.offsets == [("log", 42)]


def test_numbers_that_the_object_left_out_at_the_beginning_are_a_gap() -> None:
    owner = Owner(log=41)
    owner.numbers["log"] = 2
    owner.change("log", "log", kind="event")
    owner.store.answer()
    assert owner.offsets == [("log", 44), ("log", 45)]


def test_number_that_the_object_left_out_is_a_gap() -> None:
    owner = Owner()
    owner.change("log", kind="event")
    owner.numbers["log"] += 2
    owner.change("log", kind="event")
    owner.store.answer()
    assert owner.offsets == [("log", 1), ("log", 4)]


def test_changed_channels_are_told_once() -> None:
    owner = Owner(c=5)
    owner.change("a", "b", "a")
    assert owner.publisher.take_changed() == {"a", "b"}
    assert owner.publisher.take_changed() == set()


def test_another_owner() -> None:
    owner = Owner()
    owner.change("a")
    owner.store.answer(False, is_written=False)
    assert owner.fenced == 1


async def test_what_redis_refused_goes_again_before_what_came_since(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    owner = Owner()
    owner.change("a", value=b"1")
    owner.store.answer(OOM, is_written=False)
    owner.change("a", value=b"2")
    assert not owner.store.batches, "it would overtake"
    for _ in range(3):
        await is_sent_again(owner)
        owner.store.answer(OOM, is_written=False)
    await is_sent_again(owner)
    owner.store.answer()
    assert owner.store.published == [("a", 1, b"1"), ("a", 2, b"2")]
    assert len(caplog.records) == 1, "one line for one outage"
    owner.change("a", value=b"3")
    owner.store.answer()
    assert owner.offsets[-1] == ("a", 3)


@pytest.mark.parametrize("is_written", [False, True])
async def test_lost_link(is_written: bool) -> None:
    owner = Owner()
    owner.change("a", "b")
    owner.change("a")
    owner.store.answer(LinkLost("lost"), is_written=is_written)
    await is_sent_again(owner)
    owner.store.answer()
    assert owner.offsets == [("a", 1), ("b", 1), ("a", 2)]


async def test_what_is_sent_again_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RESENT", 2)
    owner = Owner()
    owner.change(*"aaaaa")
    owner.store.answer(LinkLost("lost"), is_written=False)
    await is_sent_again(owner)
    assert [len(updates) for updates, _ in owner.store.batches] == [2, 2, 1]
    owner.store.answer()
    assert owner.offsets == [("a", offset) for offset in range(1, 6)]


async def test_store_is_bounded_and_keeps_the_newest_of_each_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNCONFIRMED", 10)
    owner = Owner()
    owner.change("quiet", value=b"7")
    owner.store.answer(OOM, is_written=False)
    for _ in range(50):
        owner.change("busy")
        owner.change("log", kind="event")
        assert len(owner.publisher._unconfirmed) <= 10
    await is_sent_again(owner)
    owner.store.answer()
    assert ("quiet", 1, b"7") in owner.store.published
    assert owner.store.heads == {"quiet": 1, "busy": 50, "log": 50}
    assert owner.publisher._bytes == 0


async def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNCONFIRMED_BYTES", 1000)
    owner = Owner()
    owner.change("image", value=b"0" * 900)
    owner.store.answer(OOM, is_written=False)
    for _ in range(5):
        owner.change("image", value=b"0" * 900)
        assert owner.publisher._bytes <= 1000
    await is_sent_again(owner)
    owner.store.answer()
    assert owner.store.heads == {"image": 6}


async def test_stopped_publisher_sends_nothing_more() -> None:
    owner = Owner()
    owner.change("a")
    owner.change("a")
    failed: Any = owner.store.batches.pop()
    owner.store.answer(LinkLost("lost"), is_written=False)
    owner.publisher.stop()
    failed[1](LinkLost("lost"))
    assert owner.publisher._retry is None
    owner.publisher.resend()
    assert not owner.store.batches


def test_channels_that_are_long_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removed, "MAX_REMOVED", 2)
    owner = Owner(old=5)
    for name in ("old", "a", "b", "c"):
        owner.change(name)
        owner.change(name, kind="removed")
        if name == "a":
            owner.change("a")  # is there again
    assert sorted(owner.publisher.channels) == ["a", "b", "c"]
    owner.change("a", "c")
    assert owner.publisher.given_out.heads == {"a": 4, "b": 2, "c": 3}
