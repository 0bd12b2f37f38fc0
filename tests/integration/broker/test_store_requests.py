"""The scripts and commands around requests: finish, withdraw, the log, what a former owner left."""

import pytest

from tests.integration.broker.conftest import Hear, OpenLink
from tests.integration.broker.support import add_entry, fill_memory, finish, free_memory, own, read_entries
from tests.support.relay import Relay
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.errors import BrokerError, LinkDown, LinkLost, ReplyError
from wispy.broker.link import Link
from wispy.broker.store import ObjectStore


async def test_finish_writes_the_log_deletes_entries_and_publishes_replies(
    store: ObjectStore, link: Link, hear: Hear
) -> None:
    acquired = await own(store)
    ids = [await add_entry(link, store) for _ in range(3)]
    replies = await hear(store.keys.replies("f1"))
    others = await hear(store.keys.replies("f2"))
    assert await finish(store, acquired.epoch, messages=[("", "1", b"old")]) is True
    outcome = await finish(
        store,
        acquired.epoch,
        log=[("s:s1", b"1:99")],
        forget=["1"],
        entries=ids[:2],
        messages=[
            (store.keys.replies("f1"), "2", b"[1]"),
            ("", "3", b"\x00moved"),
            (store.keys.replies("f2"), "", b"[2]"),
        ],
    )
    assert outcome is True
    since = acquired.since.encode()
    assert await store.read_log() == {"2": b"[1]", "3": b"\x00moved", "s:s1": b"1:99", "since": since}
    assert await link.call("XLEN", store.keys.requests) == 1
    await wait_until(lambda: replies and others, "both replies arrived")
    assert (replies, others) == ([[1]], [[2]])


async def test_finish_may_be_empty(store: ObjectStore) -> None:
    acquired = await own(store)
    assert await finish(store, acquired.epoch) is True


async def test_finish_takes_batches_larger_than_luas_stack(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    count = 10_001
    log = [(f"s1:{number}", b"reply") for number in range(count)]
    assert await finish(store, acquired.epoch, log=log) is True
    assert len(await store.read_log()) == count + 1
    ids = [f"1-{number}" for number in range(count)]
    assert await finish(store, acquired.epoch, forget=[field for field, _ in log], entries=ids) is True
    assert await store.read_log() == {"since": acquired.since.encode()}


async def test_finish_of_an_epoch_that_is_over_writes_and_publishes_nothing(
    store: ObjectStore, link: Link, hear: Hear
) -> None:
    first = await own(store)
    entry = await add_entry(link, store)
    second = await own(store)
    replies = await hear(store.keys.replies("f1"))
    channel = store.keys.replies("f1")
    outcome = await finish(
        store, first.epoch, log=[("s1:1", b"x")], entries=[entry], messages=[(channel, "", b'"first"')]
    )
    assert outcome is False
    assert await finish(store, second.epoch, messages=[(channel, "", b'"second"')]) is True
    await wait_until(lambda: replies, "the second owner's reply arrived")
    assert replies == ["second"]
    assert "s1:1" not in await store.read_log()
    assert await link.call("XLEN", store.keys.requests) == 1


async def test_finish_without_any_record_writes_nothing(store: ObjectStore, link: Link) -> None:
    assert await finish(store, "1-a", log=[("s1:1", b"x")]) is False
    assert not await link.call("EXISTS", store.keys.log)


@pytest.mark.parametrize("wrong", ["log", "requests"])
async def test_finish_says_nothing_when_a_key_has_a_wrong_type_and_may_be_sent_again(
    store: ObjectStore, link: Link, hear: Hear, wrong: str
) -> None:
    acquired = await own(store)
    key = getattr(store.keys, wrong)
    channel = store.keys.replies("f1")
    replies = await hear(channel)
    await link.call("SET", key, "of a wrong type", "EX", 60)

    async def send() -> bool | BrokerError:
        return await finish(
            store, acquired.epoch, log=[("s1:1", b"x")], entries=["1-1"], messages=[(channel, "r1", b'"done"')]
        )

    outcome = await send()
    assert isinstance(outcome, ReplyError)
    assert outcome.code == "WRONGTYPE"
    await link.call("PUBLISH", channel, '"the next message"')
    await wait_until(lambda: replies, "a later message arrived")
    assert replies == ["the next message"]
    await link.call("DEL", key)
    await store.rejoin(acquired.epoch, "0-0")  # it makes a stream that is gone
    assert await send() is True
    await wait_until(lambda: len(replies) == 2, "the reply arrived")
    assert replies[1] == "done"
    assert await link.call("HMGET", store.keys.log, "s1:1", "r1") == [b"x", b'"done"']
    await link.call("DEL", store.keys.log)  # it lives without bound: only `acquire` makes one


async def test_finish_says_nothing_when_an_entry_id_is_none(store: ObjectStore, link: Link, hear: Hear) -> None:
    acquired = await own(store)
    entry = await add_entry(link, store)
    channel = store.keys.replies("f1")
    replies = await hear(channel)
    outcome = await finish(store, acquired.epoch, entries=[entry, "first"], messages=[(channel, "", b'"done"')])
    assert isinstance(outcome, ReplyError)
    await link.call("PUBLISH", channel, '"the next message"')
    await wait_until(lambda: replies, "a later message arrived")
    assert replies == ["the next message"]
    assert await link.call("XLEN", store.keys.requests) == 1


async def test_finish_passes_when_memory_is_full(store: ObjectStore, link: Link, hear: Hear) -> None:
    acquired = await own(store)
    entry = await add_entry(link, store)
    replies = await hear(store.keys.replies("f1"))
    await fill_memory(link)
    try:
        outcome = await finish(
            store,
            acquired.epoch,
            log=[("s1:1", b"x")],
            entries=[entry],
            messages=[(store.keys.replies("f1"), "", b"1")],
        )
        # ... and a request does not.
        with pytest.raises(ReplyError) as caught:
            await add_entry(link, store)
    finally:
        await free_memory(link)
    assert outcome is True
    assert caught.value.code == "OOM"
    assert "s1:1" in await store.read_log()
    await wait_until(lambda: replies == [1], "the reply arrived")


async def test_a_batch_may_be_sent_again_after_its_link_broke(
    valkey: EmbeddedServer, store: ObjectStore, link: Link, open_link: OpenLink, hear: Hear
) -> None:
    acquired = await own(store)
    entry = await add_entry(link, store)
    replies = await hear(store.keys.replies("f1"))
    async with Relay(valkey.url) as relay:
        fragile = ObjectStore(owner_link := await open_link(relay.url), store.keys)
        relay.is_swallowing = True
        batch = {
            "log": [("s1:1", b"reply")],
            "entries": [entry],
            "messages": [(store.keys.replies("f1"), "2", b"1")],
        }
        outcomes: list[object] = []
        fragile.finish(acquired.epoch, **batch, forget=[], on_reply=outcomes.append)
        await wait_until(lambda: replies == [1], "the batch was executed")
        relay.cut()
        await wait_until(lambda: outcomes, "its outcome is unknown")
        assert type(outcomes[0]) is LinkLost
        relay.is_swallowing = False
        await owner_link.wait_connected()
        assert await finish(fragile, acquired.epoch, **batch) is True
        await owner_link.stop()
    assert (await store.read_log())["s1:1"] == b"reply"
    await wait_until(lambda: replies == [1, 1], "only the message was repeated")


async def test_finish_without_a_connection_says_that_it_was_not_sent(store: ObjectStore, open_link: OpenLink) -> None:
    down = ObjectStore(await open_link("unix:///nowhere/s", wait=False), store.keys)
    assert type(await finish(down, "1-a")) is LinkDown


# -- what a former owner left


async def test_delivered_entries_come_in_pages(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    for number in range(1100):
        link.send(
            ("XADD", store.keys.requests, "NOMKSTREAM", f"7-{number + 1}", "e", b"%d" % number), lambda reply: None
        )
    beyond = await add_entry(link, store)
    first = await store.delivered_unfinished("7-1100")
    assert len(first) == 1000
    assert first[0] == ("7-1", b"0")
    second = await store.delivered_unfinished("7-1100", after=first[-1][0])
    assert len(second) == 100
    assert second[-1] == ("7-1100", b"1099")
    assert await store.delivered_unfinished("7-1100", after="7-1100") == []
    assert len(await read_entries(link, store, acquired.group, count=2000)) == 1101
    assert beyond not in [entry_id for entry_id, _ in first + second]


# -- withdraw


async def test_an_entry_that_no_owner_has_received_is_withdrawn(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    received = await add_entry(link, store)
    await read_entries(link, store, acquired.group)
    waiting = [await add_entry(link, store) for _ in range(3)]
    assert await store.withdraw(waiting[1])
    assert not await store.withdraw(waiting[1])  # once
    assert not await store.withdraw(received)
    assert await read_entries(link, store, acquired.group) == [waiting[0], waiting[2]]


async def test_an_entry_is_withdrawn_also_without_an_owner(store: ObjectStore, link: Link) -> None:
    assert not await store.withdraw("1-1")  # no stream
    acquired = await own(store)
    entry = await add_entry(link, store)
    await store.release(acquired.epoch, "0-0")
    assert await store.withdraw(entry)
    entry = await add_entry(link, store)
    for group in await link.call("XINFO", "GROUPS", store.keys.requests):
        await link.call("XGROUP", "DESTROY", store.keys.requests, group[1])
    assert await store.withdraw(entry)


async def test_what_was_received_and_is_finished_is_not_withdrawn(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    entry = await add_entry(link, store)
    await read_entries(link, store, acquired.group)
    await finish(store, acquired.epoch, entries=[entry])
    assert not await store.withdraw(entry)


async def test_withdrawing_passes_when_memory_is_full(store: ObjectStore, link: Link) -> None:
    await own(store)
    entry = await add_entry(link, store)
    await fill_memory(link)
    try:
        assert await store.withdraw(entry)
    finally:
        await free_memory(link)
