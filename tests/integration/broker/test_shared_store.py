"""The scripts of a shared object's workers: who belongs to them, whose an entry is, and what of a lost one is left."""

import pytest

from tests.integration.broker.support import add_entry, finish, own
from tests.support.waiting import wait_until
from wispy.broker.errors import BrokerError
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.shared_store import Joined, SharedStore

KEYS = Keys().of("sample")
LEASE_MS = 60_000
"""It does not end by itself within a test."""

SHORT_LEASE_MS = 3000
"""For the test that waits for its end."""


class Worker:
    """One of the workers."""

    def __init__(self, link: Link, name: str) -> None:
        self.store = SharedStore(link, KEYS, name)
        self.lease_ms = LEASE_MS
        self._link = link

    async def join(self) -> Joined:
        record = await self.store.read_record()
        joined = await self.store.join(record, nonce="n", lease_ms=self.lease_ms, holder="here")
        assert joined is not None
        self.epoch = joined.epoch
        return joined

    async def read(self, count: int = 10) -> list[str]:
        command = ("XREADGROUP", "GROUP", self.epoch, self.store.worker, "COUNT", count, "STREAMS", KEYS.requests, ">")
        reply = await self._link.call(*command)
        return [row[0].decode() for row in reply[0][1]] if reply else []

    async def finish(self, *entries: str) -> bool | BrokerError:
        return await finish(self.store, self.epoch, entries=entries)

    async def beat(self) -> list[str] | None:
        beat = await self.store.beat(self.epoch, self.lease_ms)
        return None if beat is None else [entry_id for entry_id, _ in beat.claimed]

    async def workers(self) -> int:
        beat = await self.store.beat(self.epoch, self.lease_ms)
        assert beat is not None
        return beat.workers


@pytest.fixture
def pair(link: Link) -> tuple[Worker, Worker]:
    return Worker(link, "one"), Worker(link, "two")


async def length(link: Link) -> int:
    return await link.call("XLEN", KEYS.requests)


async def test_all_join_one_epoch_and_an_entry_is_for_one_of_them(pair: tuple[Worker, Worker], link: Link) -> None:
    one, two = pair
    assert (await one.join()).epoch == (await two.join()).epoch
    assert await one.workers() == 2
    entries = [await add_entry(link, one.store, b"e") for _ in range(4)]
    assert await one.read(3) + await two.read() == entries
    assert await one.finish(*entries[:3]) is True
    assert await length(link) == 1
    assert await two.finish(entries[3]) is True
    assert await length(link) == 0


async def test_who_does_not_beat_is_dead_and_its_entries_are_taken_over(
    pair: tuple[Worker, Worker], link: Link
) -> None:
    one, two = pair
    one.lease_ms = SHORT_LEASE_MS  # by its own it judges the other one
    await one.join()
    await two.join()
    mine, its = [await add_entry(link, one.store, b"e") for _ in range(2)]
    assert await one.read(1) == [mine]
    assert await two.read(1) == [its]
    assert await one.beat() == []
    claimed: list[str] = []

    async def claims() -> bool:
        claimed.extend(await one.beat() or ())
        return bool(claimed)

    await wait_until(claims, "the other one's lease is over")
    assert claimed == [its]
    assert await one.beat() == [], "once"
    assert await two.finish(its) is False, "it does not count any more"
    assert await two.beat() is None
    assert not await two.store.leave(two.epoch, [its])
    assert await one.finish(mine, its) is True
    assert await one.workers() == 1
    pending = await link.call("XPENDING", KEYS.requests, one.epoch)
    assert pending[0] == 0
    assert len(await link.call("XINFO", "CONSUMERS", KEYS.requests, one.epoch)) == 1, "the dead one's name goes, too"


async def test_what_has_not_begun_goes_back_and_the_last_one_gives_the_object_up(
    pair: tuple[Worker, Worker], link: Link
) -> None:
    one, two = pair
    await one.join()
    await two.join()
    entry = await add_entry(link, one.store, b"e")
    assert await one.read() == [entry]
    assert await one.store.leave(one.epoch, [entry])
    (again,) = await two.read()
    assert again != entry
    record = await two.store.read_record()
    assert record is not None
    assert (record.shared, record.released) == (True, False)
    assert await two.store.leave(two.epoch, [])
    record = await two.store.read_record()
    assert record is not None
    assert record.released


async def test_what_waits_outlasts_the_last_worker(pair: tuple[Worker, Worker], link: Link) -> None:
    one, two = pair
    joined = await one.join()
    entry = await add_entry(link, one.store, b"e")
    assert await one.store.leave(one.epoch, [])
    assert (await two.join())[::2] == joined[::2], "the same epoch"
    assert await two.read() == [entry]


async def test_an_owner_and_workers_follow_each_other_and_the_former_ones_are_refused(
    pair: tuple[Worker, Worker], link: Link
) -> None:
    one, _ = pair
    await own(one.store)
    left = await add_entry(link, one.store, b"e")
    joined = await one.join()
    assert joined.settled == left, "others may have begun it"
    assert await one.read() == []
    assert [entry_id for entry_id, _ in await one.store.delivered_unfinished(joined.settled)] == [left]
    assert not await link.call("EXISTS", KEYS.log), "what runs now is in no log"
    assert await one.store.leave(one.epoch, [])
    acquired = await own(one.store, nonce="b2")
    assert acquired.cursor == left, "and it is settled once more"
    assert acquired.since.endswith(f":{acquired.server_ms}"), "what was sent before is in no log"
    assert await one.beat() is None
    assert await one.finish(left) is False
    assert not await link.call("EXISTS", KEYS.workers)


async def test_a_record_that_has_changed_begins_nothing(pair: tuple[Worker, Worker], link: Link) -> None:
    one, _ = pair
    await own(one.store)
    seen = await one.store.read_record()
    await own(one.store, nonce="b2")
    assert await one.store.join(seen, nonce="n", lease_ms=LEASE_MS, holder="here") is None


async def test_which_entries_are_missing(pair: tuple[Worker, Worker], link: Link) -> None:
    one, _ = pair
    await one.join()
    here, gone = [await add_entry(link, one.store, b"e") for _ in range(2)]
    await one.read()
    await one.finish(gone)
    assert await one.store.missing([here, gone]) == {gone}


async def test_what_an_owner_may_have_begun_is_not_withdrawn_before_a_worker_settles_it(
    pair: tuple[Worker, Worker], link: Link
) -> None:
    one, _ = pair
    await own(one.store)
    left = await add_entry(link, one.store, b"e")
    await one.join()
    since = await add_entry(link, one.store, b"e")
    assert not await one.store.withdraw(left)
    assert await one.store.withdraw(since)
