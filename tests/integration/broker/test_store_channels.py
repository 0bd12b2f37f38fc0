"""The scripts and commands around channels: publish, declare, snapshot, history."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.broker.conftest import Hear, OpenLink
from tests.integration.broker.support import fill_memory, free_memory, own, publish
from tests.support.relay import Relay
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.errors import LinkLost, ReplyError
from wispy.broker.link import Link
from wispy.broker.store import HISTORY_PAGE, Acquired, ObjectStore, Snapshot, Update
from wispy.protocol.positions import Line, generation_of


def value(offset: int, json: bytes = b"0", *, channel: str = "a", history: int = 0) -> Update:
    return Update(channel, offset, json, retain=True, history=history)


def event(offset: int, json: bytes = b"0", *, channel: str = "e", history: int = 3) -> Update:
    return Update(channel, offset, json, retain=False, history=history)


def line(acquired: Acquired, head: int) -> Line:
    """How far a channel of the first owner is."""
    return Line(acquired.epoch, frozenset({generation_of(acquired.epoch)}), head)


async def kept(store: ObjectStore, channel: str, after: int, up_to: int) -> list[tuple[int, bytes]]:
    """Offset and value of what the history has."""
    return [(row.offset, row.value) for row in await store.history(channel, after, up_to)]


# -- publish


async def test_a_batch_of_updates_is_retained_kept_and_published_in_order(store: ObjectStore, hear: Hear) -> None:
    acquired = await own(store)
    heard = await hear(store.keys.updates("a"))
    events = await hear(store.keys.updates("e"))
    outcome = await publish(
        store,
        acquired.epoch,
        value(1, b'{"x":[1,2]}', history=10),
        event(1, b'"bang"'),
        value(2, b"null", history=10),
    )
    assert outcome is True
    await wait_until(lambda: len(heard) == 2 and events, "all updates arrived")
    assert heard == [[acquired.epoch, 1, {"x": [1, 2]}], [acquired.epoch, 2, None]]
    assert events == [[acquired.epoch, 1, "bang"]]
    assert await store.heads() == {"a": 2, "e": 1}
    assert await store.retained() == {"a": (2, b"null")}
    assert await kept(store, "a", 0, 2) == [(1, b'{"x":[1,2]}'), (2, b"null")]
    assert await kept(store, "e", 0, 1) == [(1, b'"bang"')]


async def test_offsets_up_to_the_head_are_skipped(store: ObjectStore, hear: Hear) -> None:
    acquired = await own(store)
    heard = await hear(store.keys.updates("e"))
    batch = [event(offset, b"%d" % offset, history=10) for offset in (1, 2)]
    for updates in (batch, batch, [*batch, event(3, b"3", history=10)], [event(2, b'"late"', history=10)]):
        assert await publish(store, acquired.epoch, *updates) is True
    assert await publish(store, acquired.epoch, event(4, b"4", history=10)) is True
    await wait_until(lambda: len(heard) >= 4, "all updates arrived")
    assert [message[1:] for message in heard] == [[1, 1], [2, 2], [3, 3], [4, 4]]
    assert await kept(store, "e", 0, 9) == [(offset, b"%d" % offset) for offset in (1, 2, 3, 4)]


async def test_offsets_may_leap(store: ObjectStore) -> None:
    acquired = await own(store)
    assert await publish(store, acquired.epoch, event(5, history=10), event(900719925474099, history=10)) is True
    assert await store.heads() == {"e": 900719925474099}
    assert await kept(store, "e", 0, 900719925474099) == [(5, b"0"), (900719925474099, b"0")]


async def test_history_is_trimmed_exactly(store: ObjectStore) -> None:
    acquired = await own(store)
    await publish(store, acquired.epoch, *(event(offset, history=3) for offset in range(1, 501)))
    assert [offset for offset, _ in await kept(store, "e", 0, 500)] == [498, 499, 500]
    assert [offset for offset, _ in await kept(store, "e", 498, 499)] == [499]
    assert await kept(store, "e", 500, 500) == []


async def test_a_long_history_is_read_in_pages(valkey: EmbeddedServer, store: ObjectStore, open_link: OpenLink) -> None:
    length = 2 * HISTORY_PAGE
    first = await own(store)
    await publish(store, first.epoch, *(event(offset, history=length) for offset in range(1, 5)))
    second = await own(store)
    await publish(store, second.epoch, *(event(offset, history=length) for offset in range(5, length + 1)))
    rows = await store.history("e", 0, length)
    assert [row.offset for row in rows] == [*range(1, length + 1)]
    assert [row.generation for row in rows[3:5]] == [generation_of(first.epoch), generation_of(second.epoch)]
    assert [offset for offset, _ in await kept(store, "e", 1, HISTORY_PAGE + 1)] == [*range(2, HISTORY_PAGE + 2)]
    async with Relay(valkey.url) as relay:
        link = await open_link(relay.url)
        reads = relay.reads
        assert len(await ObjectStore(link, store.keys).history("e", 0, length)) == length
        assert relay.reads == reads + 3, "two whole pages, and a look behind them"
        await link.stop()


async def test_offsets_continue_under_the_next_owner(store: ObjectStore, hear: Hear) -> None:
    first = await own(store)
    await publish(store, first.epoch, value(1, b"1"))
    second = await own(store)
    heard = await hear(store.keys.updates("a"))
    assert await publish(store, first.epoch, value(2, b'"fenced"')) is False
    assert await publish(store, second.epoch, value(1, b'"old"'), value(2, b"2")) is True
    await wait_until(lambda: heard, "the update arrived")
    assert heard == [[second.epoch, 2, 2]]
    assert await store.retained() == {"a": (2, b"2")}


async def test_publish_is_refused_whole_when_memory_is_full(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    await publish(store, acquired.epoch, value(1, b"1"))
    await fill_memory(link)
    try:
        outcome = await publish(store, acquired.epoch, value(2, b"2"))
    finally:
        await free_memory(link)
    assert isinstance(outcome, ReplyError)
    assert outcome.code == "OOM"
    assert await store.heads() == {"a": 1}
    assert await publish(store, acquired.epoch, value(2, b"2")) is True


@pytest.mark.parametrize("wrong", ["heads", "values", "history"])
async def test_publish_writes_nothing_when_a_key_has_a_wrong_type(store: ObjectStore, link: Link, wrong: str) -> None:
    acquired = await own(store)
    key = store.keys.history("e") if wrong == "history" else getattr(store.keys, wrong)
    await link.call("SET", key, "of a wrong type", "EX", 60)
    outcome = await publish(store, acquired.epoch, value(1), event(1))
    assert isinstance(outcome, ReplyError)
    assert outcome.code == "WRONGTYPE"
    for hash_key in {store.keys.heads, store.keys.values} - {key}:
        assert not await link.call("EXISTS", hash_key)


async def test_an_impossible_offset_is_refused_before_anything_is_written(store: ObjectStore) -> None:
    acquired = await own(store)
    outcome = await publish(store, acquired.epoch, value(1), value(0, channel="b"))
    assert isinstance(outcome, ReplyError)
    assert "not an update: b" in str(outcome)
    assert await store.heads() == {}


async def test_a_batch_may_be_sent_again_after_its_link_broke(
    valkey: EmbeddedServer, store: ObjectStore, open_link: OpenLink, hear: Hear
) -> None:
    acquired = await own(store)
    heard = await hear(store.keys.updates("e"))
    async with Relay(valkey.url) as relay:
        owner_link = await open_link(relay.url)
        fragile = ObjectStore(owner_link, store.keys)
        relay.is_swallowing = True
        outcomes: list[object] = []
        fragile.publish(acquired.epoch, [event(1, b"1")], outcomes.append)
        await wait_until(lambda: heard, "the batch was executed")
        relay.cut()
        await wait_until(lambda: outcomes, "its outcome is unknown")
        assert type(outcomes[0]) is LinkLost
        relay.is_swallowing = False
        await owner_link.wait_connected()
        assert await publish(fragile, acquired.epoch, event(1, b"1"), event(2, b"2")) is True
        await owner_link.stop()
    await wait_until(lambda: len(heard) == 2, "the second update arrived")
    assert [message[1] for message in heard] == [1, 2]


async def test_a_remnant_of_a_history_does_not_stand_in_the_way(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    await publish(store, acquired.epoch, event(7))
    await link.call("HDEL", store.keys.heads, "e")
    assert await publish(store, acquired.epoch, event(1, b"1")) is True
    assert await kept(store, "e", 0, 9) == [(1, b"1")]


async def test_a_history_that_vanished_comes_back_with_a_time_to_live(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    await publish(store, acquired.epoch, event(1))
    await link.call("DEL", store.keys.history("e"))
    await publish(store, acquired.epoch, event(2))
    assert await link.call("PTTL", store.keys.history("e")) > 0


@given(
    batches=st.lists(
        st.lists(st.tuples(st.sampled_from("abe"), st.integers(1, 12), st.integers(0, 4)), max_size=6), max_size=8
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_batches_leave_what_a_plain_model_leaves(
    store: ObjectStore, link: Link, batches: list[list[tuple[str, int, int]]]
) -> None:
    await link.call("FLUSHALL")
    acquired = await own(store)
    heads: dict[str, int] = {}
    values: dict[str, tuple[int, bytes]] = {}
    histories: dict[str, list[tuple[int, bytes]]] = {"a": [], "b": [], "e": []}
    for number, batch in enumerate(batches):
        json = b"%d" % number
        updates = [Update(channel, offset, json, channel != "e", history) for channel, offset, history in batch]
        assert await publish(store, acquired.epoch, *updates) is True
        for channel, offset, _, retain, history in updates:
            if offset <= heads.get(channel, 0):
                continue
            heads[channel] = offset
            if retain:
                values[channel] = (offset, json)
            if history:
                histories[channel] = [*histories[channel], (offset, json)][-history:]
    assert await store.heads() == heads
    assert await store.retained() == values
    for channel, expected in histories.items():
        assert await kept(store, channel, 0, 99) == expected


# -- declare


async def test_declared_channels_have_a_snapshot(store: ObjectStore) -> None:
    acquired = await own(store)
    assert await store.snapshot("a") is None
    assert await store.declare(acquired.epoch, {"a": b'{"kind":"value"}', "e": b'{"kind":"event"}'}) is True
    assert await store.snapshot("a") == Snapshot(b'{"kind":"value"}', line(acquired, 0), None, 0)
    await publish(store, acquired.epoch, value(4, b'"x:y"'), event(2))
    assert await store.snapshot("a") == Snapshot(b'{"kind":"value"}', line(acquired, 4), b'"x:y"', 4)
    assert await store.snapshot("e") == Snapshot(b'{"kind":"event"}', line(acquired, 2), None, 0)
    assert await store.snapshot("other") is None


async def test_a_removed_channel_goes_with_all_that_it_has(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    await store.declare(acquired.epoch, {"a": b"{}", "b": b"{}"})
    await publish(store, acquired.epoch, value(1, history=5), value(1, channel="b", history=5))
    assert await store.declare(acquired.epoch, {"c": b"{}"}, ["a"]) is True
    assert await store.snapshot("a") is None
    assert await store.heads() == {"b": 1}
    assert set(await store.retained()) == {"b"}
    assert not await link.call("EXISTS", store.keys.history("a"))
    assert await kept(store, "b", 0, 9) == [(1, b"0")]


async def test_an_epoch_that_is_over_declares_nothing(store: ObjectStore) -> None:
    first = await own(store)
    second = await own(store)
    assert await store.declare(second.epoch, {"a": b"{}"}) is True
    assert await store.declare(first.epoch, {"b": b"{}"}, ["a"]) is False
    assert await store.snapshot("a") is not None
    assert await store.snapshot("b") is None
    assert await store.write_interface(first.epoch, b"[]") is False


async def test_the_interface_is_written(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    assert await store.write_interface(acquired.epoch, b'{"methods":[]}') is True
    assert await link.call("GET", store.keys.interface) == b'{"methods":[]}'


async def test_a_snapshot_outlives_the_lease_record(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    await store.declare(acquired.epoch, {"a": b"{}"})
    await link.call("DEL", store.keys.owner)
    assert await store.snapshot("a") == Snapshot(b"{}", Line("", frozenset(), 0), None, 0)


async def test_large_hashes_are_read_in_pages(store: ObjectStore) -> None:
    acquired = await own(store)
    names = [f"channel-{number}" for number in range(2500)]
    await publish(store, acquired.epoch, *(value(1, channel=name) for name in names))
    assert await store.heads() == dict.fromkeys(names, 1)
    assert set(await store.retained()) == set(names)
