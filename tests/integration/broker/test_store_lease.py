"""The scripts of the lease: acquire, renew, rejoin, release."""

import asyncio
import re
import time

import pytest

from tests.integration.broker.conftest import Hear, OpenLink
from tests.integration.broker.support import add_entry, fill_memory, finish, free_memory, own, publish, read_entries
from tests.support.waiting import wait_until
from wispy.broker.errors import LinkDown, ReplyError
from wispy.broker.keys import OBJECT_TTL_MS
from wispy.broker.link import Link
from wispy.broker.store import GivenOut, ObjectStore, StoredState, Update
from wispy.protocol.positions import generation_of

# -- acquire


async def test_the_first_owner_of_an_object(store: ObjectStore, link: Link) -> None:
    assert await store.read_record() is None
    acquired = await store.acquire(None, nonce="a1", lease_ms=1500, holder="host pid 7")
    assert acquired is not None
    record = await store.read_record()
    assert record is not None
    assert record.epoch == acquired.epoch == f"{record.generation}-a1"
    assert (record.renewals, record.lease_ms, record.released, record.holder) == (0, 1500, False, "host pid 7")
    assert link.server is not None
    assert record.run_id == link.server.run_id
    assert acquired.cursor == "0-0"
    assert acquired.since == f"{link.server.run_id}:{acquired.server_ms}"
    assert acquired.group == acquired.epoch
    # An estimate, which is as late as the answer by which it was made: that may have been on its way for a while.
    assert abs(acquired.server_ms - link.server.now_ms(time.monotonic())) < 10_000


async def test_of_two_who_saw_the_same_record_one_acquires(store: ObjectStore) -> None:
    both = await asyncio.gather(*(store.acquire(None, nonce=nonce, lease_ms=1500, holder="") for nonce in ("a1", "b2")))
    assert [acquired is not None for acquired in both] == [True, False]
    seen = await store.read_record()
    both = await asyncio.gather(*(store.acquire(seen, nonce=nonce, lease_ms=1500, holder="") for nonce in ("c3", "d4")))
    assert [acquired is not None for acquired in both] == [True, False]


async def test_a_renewal_or_a_release_since_it_was_seen_keeps_the_record(store: ObjectStore) -> None:
    acquired = await own(store)
    seen = await store.read_record()
    assert await store.renew(acquired.epoch, [])
    assert await store.acquire(seen, nonce="b2", lease_ms=1500, holder="") is None
    seen = await store.read_record()
    assert await store.release(acquired.epoch, "0-0")
    assert await store.acquire(seen, nonce="b2", lease_ms=1500, holder="") is None
    assert await store.acquire(await store.read_record(), nonce="b2", lease_ms=1500, holder="") is not None


async def test_a_record_that_has_vanished_is_not_what_was_seen(store: ObjectStore, link: Link) -> None:
    await own(store)
    seen = await store.read_record()
    await link.call("DEL", store.keys.owner)
    assert await store.acquire(seen, nonce="b2", lease_ms=1500, holder="") is None


async def test_generations_rise_also_when_the_clock_was_set_back(store: ObjectStore, link: Link) -> None:
    await own(store)
    future = int(time.time() * 1e6) + 10**12
    await link.call("HSET", store.keys.owner, "generation", future)
    acquired = await own(store)
    assert acquired.epoch == f"{future + 1}-a1"


async def test_generations_rise_beyond_what_the_caller_knows(store: ObjectStore, link: Link) -> None:
    """The record is lost, and the clock is that of another server, which is behind."""
    future = int(time.time() * 1e6) + 10**12
    acquired = await store.acquire(None, nonce="a1", lease_ms=1500, holder="", known=future)
    assert acquired is not None
    assert acquired.epoch == f"{future + 1}-a1"


async def lineage(link: Link, store: ObjectStore) -> list[int]:
    return [int(generation) for generation in (await link.call("HGET", store.keys.owner, "lineage")).split()]


async def test_owners_on_one_run_of_a_server_are_a_lineage(store: ObjectStore, link: Link) -> None:
    generations = [generation_of((await own(store)).epoch) for _ in range(20)]
    assert await lineage(link, store) == generations[-16:], "it is bounded"
    await link.call("HSET", store.keys.log, "since", "another-run:1")
    next_one = await own(store)
    assert await lineage(link, store) == [generation_of(next_one.epoch)], "another run may lack something"


async def test_an_owner_that_acquires_again_goes_on_from_what_it_has_given_out(store: ObjectStore, link: Link) -> None:
    first = await own(store)
    await publish(store, first.epoch, Update("a", 7, b"7", True, 0), Update("b", 3, b"3", True, 0))
    given_out = GivenOut(generation_of(first.epoch), {"a": 9, "b": 2, "c": 1})
    await link.call("HSET", store.keys.log, "since", "another-run:1")
    seen = await store.read_record()
    second = await store.acquire(seen, nonce="a1", lease_ms=1500, holder="", given_out=given_out)
    assert second is not None
    assert await store.heads() == {"a": 9, "b": 3, "c": 1}
    assert await lineage(link, store) == [generation_of(each.epoch) for each in (first, second)]
    await link.call("DEL", store.keys.owner, store.keys.log)
    known = GivenOut(generation_of(second.epoch), {})
    third = await store.acquire(None, nonce="a1", lease_ms=1500, holder="", given_out=known)
    assert third is not None
    assert await lineage(link, store) == [generation_of(each.epoch) for each in (second, third)], "it knows itself"


async def test_a_lost_record_repeats_no_generation(store: ObjectStore, link: Link) -> None:
    first = await own(store)
    await link.call("DEL", store.keys.owner)
    second = await own(store)
    assert int(second.epoch.partition("-")[0]) > int(first.epoch.partition("-")[0])


async def test_the_cursor_goes_on_where_the_former_owner_stopped_reading(store: ObjectStore, link: Link) -> None:
    first = await own(store)
    ids = [await add_entry(link, store) for _ in range(4)]
    reply = await link.call(
        "XREADGROUP", "GROUP", first.group, "o", "COUNT", 2, "NOACK", "STREAMS", store.keys.requests, ">"
    )
    assert len(reply[0][1]) == 2
    second = await own(store)
    assert second.cursor == ids[1]
    assert [entry_id for entry_id, _ in await store.delivered_unfinished(second.cursor)] == ids[:2]
    assert await read_entries(link, store, second.group) == ids[2:]


async def test_a_cursor_beyond_the_end_is_set_back_to_it(store: ObjectStore, link: Link) -> None:
    """A failover can lose entries that a group has passed; entries with lower ids would never be read."""
    first = await own(store)
    newest = await add_entry(link, store)
    await link.call("XGROUP", "SETID", store.keys.requests, first.group, "99999999999999-0")
    second = await own(store)
    assert second.cursor == newest


async def test_of_several_groups_the_least_cursor_counts(store: ObjectStore, link: Link) -> None:
    await own(store)
    ids = [await add_entry(link, store) for _ in range(3)]
    await link.call("XGROUP", "CREATE", store.keys.requests, "one", ids[1])
    await link.call("XGROUP", "SETID", store.keys.requests, (await own(store)).group, ids[2])
    await link.call("XGROUP", "CREATE", store.keys.requests, "two", ids[1])
    acquired = await own(store)
    assert acquired.cursor == ids[1]
    groups = await link.call("XINFO", "GROUPS", store.keys.requests)
    assert [group[1] for group in groups] == [acquired.group.encode()]


async def test_ids_of_one_millisecond_are_compared_as_numbers(store: ObjectStore, link: Link) -> None:
    first = await own(store)
    for sequence in (9, 10):
        await link.call("XADD", store.keys.requests, f"99999999999999-{sequence}", "e", "x")
    await link.call("XGROUP", "SETID", store.keys.requests, first.group, "99999999999999-9")
    assert (await own(store)).cursor == "99999999999999-9"


async def test_a_stream_without_any_group_counts_as_read(store: ObjectStore, link: Link) -> None:
    """Nobody knows what was received of it, so nothing of it may run."""
    first = await own(store)
    newest = await add_entry(link, store)
    await link.call("XGROUP", "DESTROY", store.keys.requests, first.group)
    assert (await own(store)).cursor == newest


async def test_the_log_is_kept_within_one_run_of_the_server(store: ObjectStore, link: Link) -> None:
    first = await own(store)
    await finish(store, first.epoch, log=[("s1:1", b"reply")])
    second = await own(store)
    assert second.since == first.since
    assert (await store.read_log())["s1:1"] == b"reply"


async def test_memory_starts_anew_with_another_run_of_the_server(store: ObjectStore, link: Link) -> None:
    first = await own(store)
    await finish(store, first.epoch, log=[("s1:1", b"reply"), ("since", b"another-run:12345")])
    second = await own(store)
    assert link.server is not None
    assert second.since == f"{link.server.run_id}:{second.server_ms}"
    assert await store.read_log() == {"since": second.since.encode()}


async def test_the_log_is_a_table_from_the_start(store: ObjectStore, link: Link) -> None:
    await own(store)
    assert await link.call("OBJECT", "ENCODING", store.keys.log) == b"hashtable"


async def test_a_new_owner_publishes_its_epoch_and_all_heads(store: ObjectStore, hear: Hear) -> None:
    first = await own(store)
    await publish(store, first.epoch, Update('odd "name', 1, b"1", True, 0), Update("b", 7, b"1", False, 3))
    notices = await hear(store.keys.notices)
    second = await own(store)
    await wait_until(lambda: notices, "the notice arrived")
    assert notices == [{"epoch": second.epoch, "heads": {'odd "name': 1, "b": 7}, "renewals": 0}]


async def test_every_key_gets_its_time_to_live(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    await publish(store, acquired.epoch, Update("a", 1, b"1", True, 5))
    await store.declare(acquired.epoch, {"a": b"{}"})
    await store.write_interface(acquired.epoch, b"{}")
    await store.write_state(acquired.epoch, StoredState("an instance", False, b"{}"))
    keys = store.keys.lasting(["a"])
    for key in keys:
        assert OBJECT_TTL_MS - 60_000 < await link.call("PTTL", key) <= OBJECT_TTL_MS
        await link.call("PEXPIRE", key, 10_000)
    await own(store)  # extends all but the histories, whose names it does not know
    for key in store.keys.lasting():
        assert await link.call("PTTL", key) > 10_000


async def test_a_state_outlives_its_owner_who_cannot_write_it_any_more(store: ObjectStore) -> None:
    assert await store.read_state() is None
    first = await own(store)
    states = [StoredState("one", True, b"\x00\xff"), StoredState("two", False, b"[1]")]
    for state in states:
        assert await store.write_state(first.epoch, state)
        assert await store.read_state() == state
    second = await own(store)
    assert not await store.write_state(first.epoch, states[0])
    assert await store.read_state() == states[1]
    assert await store.write_state(second.epoch, states[0])


async def test_a_state_is_refused_when_memory_is_full(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    await fill_memory(link)
    try:
        with pytest.raises(ReplyError, match="OOM"):
            await store.write_state(acquired.epoch, StoredState("one", True, b"x" * 1000))
    finally:
        await free_memory(link)


async def test_acquire_passes_when_memory_is_full(store: ObjectStore, link: Link) -> None:
    await fill_memory(link)
    try:
        first = await own(store)
        assert await store.renew(first.epoch, [], store.keys.lasting())
        assert await store.rejoin(first.epoch, "0-0")
        assert await store.release(first.epoch, "0-0")
        assert await own(store)
    finally:
        await free_memory(link)


async def test_nothing_is_written_when_a_key_has_a_wrong_type(store: ObjectStore, link: Link) -> None:
    await link.call("SET", store.keys.heads, "not a hash", "EX", 60)
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        await store.acquire(None, nonce="a1", lease_ms=1500, holder="")
    assert await store.read_record() is None


async def test_acquire_needs_a_connection(open_link: OpenLink, store: ObjectStore) -> None:
    down = ObjectStore(await open_link("unix:///nowhere/s", wait=False), store.keys)
    with pytest.raises(LinkDown):
        await down.acquire(None, nonce="a1", lease_ms=1500, holder="")


# -- renew


async def test_renewals_are_counted_and_published_with_the_heads_asked_for(store: ObjectStore, hear: Hear) -> None:
    acquired = await own(store)
    await publish(store, acquired.epoch, Update("a", 3, b"1", True, 0), Update("b", 1, b"1", True, 0))
    notices = await hear(store.keys.notices)
    assert await store.renew(acquired.epoch, ["a", "unknown"])
    assert await store.declare(acquired.epoch, {"a": b"{}"})
    assert await store.renew(acquired.epoch, [])
    await wait_until(lambda: len(notices) == 2, "both notices arrived")
    now_ms = int(time.time() * 1000)  # it is the server's own clock that counts, and here it is the same
    assert now_ms - 60_000 < notices[0].pop("ms") <= notices[1].pop("ms") <= now_ms + 1
    assert notices == [
        {"epoch": acquired.epoch, "heads": {"a": 3}, "renewals": 1, "declared": 0},
        {"epoch": acquired.epoch, "heads": {}, "renewals": 2, "declared": 1},
    ]
    record = await store.read_record()
    assert record is not None
    assert record.renewals == 2


async def test_a_renewal_extends_the_keys_it_is_told(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    await publish(store, acquired.epoch, Update("a", 1, b"1", True, 5))
    keys = [store.keys.owner, store.keys.history("a")]
    for key in keys:
        await link.call("PEXPIRE", key, 10_000)
    assert await store.renew(acquired.epoch, [])
    assert await link.call("PTTL", keys[0]) <= 10_000
    assert await store.renew(acquired.epoch, [], store.keys.lasting(["a"]))
    for key in keys:
        assert await link.call("PTTL", key) > 10_000


async def test_an_epoch_that_is_over_renews_nothing(store: ObjectStore, hear: Hear) -> None:
    assert not await store.renew("1-a", [])
    first = await own(store)
    second = await own(store)
    notices = await hear(store.keys.notices)
    assert not await store.renew(first.epoch, [])
    assert await store.release(second.epoch, "0-0")
    assert not await store.renew(second.epoch, [])
    await wait_until(lambda: notices, "the release was heard")
    assert [notice.get("released") for notice in notices] == [True]


# -- rejoin and release


@pytest.mark.parametrize("change", ["acquire", "rejoin", "release"])
async def test_a_reader_blocked_on_a_former_group_hears_of_it_at_once(
    store: ObjectStore, link: Link, open_link: OpenLink, change: str
) -> None:
    reader = await open_link(command_timeout_s=None, name="reader")
    acquired = await own(store)
    blocked = asyncio.create_task(read_entries(reader, store, acquired.group, block_ms=0))
    await wait_until(lambda: is_blocked(link, "reader"), "the reader is blocked")
    if change == "acquire":
        await own(store)
    elif change == "rejoin":
        await store.rejoin(acquired.epoch, "0-0")
    else:
        await store.release(acquired.epoch, "0-0")
    with pytest.raises(ReplyError) as caught:
        await asyncio.wait_for(blocked, 10)
    assert caught.value.code == "NOGROUP"


async def is_blocked(link: Link, name: str) -> bool:
    """Whether Redis holds this link's read; others may wait there, too."""
    clients: bytes = await link.call("CLIENT", "LIST")
    return re.search(rf" name=wispy-{name} .* flags=\w*b", clients.decode()) is not None


async def test_after_rejoin_what_was_lost_with_the_link_is_read_again(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    ids = [await add_entry(link, store) for _ in range(3)]
    assert await read_entries(link, store, acquired.group) == ids
    group = await store.rejoin(acquired.epoch, ids[0])
    assert group is not None
    assert await read_entries(link, store, group) == ids[1:]
    again = await store.rejoin(acquired.epoch, ids[1])
    assert again not in (None, group)  # so that no reader of the former group takes the entries


async def test_a_released_lease_is_free_at_once(store: ObjectStore, link: Link, hear: Hear) -> None:
    first = await own(store)
    assert await store.renew(first.epoch, [])
    ids = [await add_entry(link, store) for _ in range(2)]
    await read_entries(link, store, first.group)
    notices = await hear(store.keys.notices)
    assert await store.release(first.epoch, ids[0])
    await wait_until(lambda: notices, "the notice arrived")
    assert notices == [{"epoch": first.epoch, "heads": {}, "renewals": 1, "released": True}]
    record = await store.read_record()
    assert record is not None
    assert record.released
    second = await own(store)
    assert second.cursor == ids[0]
    assert not await store.release(first.epoch, ids[1])


async def test_rejoin_and_release_of_an_epoch_that_is_over_change_nothing(store: ObjectStore, link: Link) -> None:
    assert await store.rejoin("1-a", "0-0") is None
    assert not await link.call("EXISTS", store.keys.requests)
    first = await own(store)
    second = await own(store)
    assert await store.rejoin(first.epoch, "0-0") is None
    assert not await store.release(first.epoch, "0-0")
    assert await read_entries(link, store, second.group) == []  # its group is still there


async def test_rejoin_makes_a_stream_that_was_deleted(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    await link.call("DEL", store.keys.requests)
    assert await store.rejoin(acquired.epoch, "0-0")
    assert await link.call("PTTL", store.keys.requests) > 0


async def test_a_cursor_that_is_no_entry_id_is_refused_before_anything_changes(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    with pytest.raises(ReplyError, match="not an entry id"):
        await store.rejoin(acquired.epoch, "last")
    assert await read_entries(link, store, acquired.group) == []
