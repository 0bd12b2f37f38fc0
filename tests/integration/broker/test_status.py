"""What Redis tells of an object: its owner, and what waits."""

import pytest

from tests.integration.broker.support import add_entry, own, read_entries
from tests.support.waiting import wait_until
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.status import ObjectStatuses
from wispy.broker.store import ObjectStore


@pytest.fixture
def statuses(link: Link) -> ObjectStatuses:
    return ObjectStatuses(link, Keys())


async def test_an_object_that_nobody_knows(statuses: ObjectStatuses, link: Link) -> None:
    status = await statuses.of("sample")
    assert (status.epoch, status.unread, status.oldest_unread_ms) == (None, 0, None)
    assert status.server_ms > 1_700_000_000_000
    assert not await link.call("EXISTS", *Keys().of("sample").lasting())


async def test_an_owner_is_one_until_it_releases(statuses: ObjectStatuses, store: ObjectStore) -> None:
    acquired = await own(store)
    status = await statuses.of("sample")
    assert (status.epoch, status.holder) == (acquired.epoch, "a test")
    assert abs(status.generation / 1000 - status.server_ms) < 10_000
    await store.release(acquired.epoch, "0-0")
    assert (await statuses.of("sample")).epoch is None


async def test_an_owner_that_does_not_renew_is_none_after_a_lease(statuses: ObjectStatuses, store: ObjectStore) -> None:
    acquired = await own(store, lease_ms=3000)

    async def is_free() -> bool:
        return (await statuses.of("sample")).epoch is None

    await wait_until(is_free, "the lease is over")
    assert await store.renew(acquired.epoch, [])
    assert (await statuses.of("sample")).epoch == acquired.epoch


async def test_what_waits_is_what_no_owner_has_read(statuses: ObjectStatuses, store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    ids = [await add_entry(link, store) for _ in range(3)]
    status = await statuses.of("sample")
    assert (status.unread, status.oldest_unread_ms) == (3, int(ids[0].partition("-")[0]))
    read = await read_entries(link, store, acquired.group, count=2)
    assert read == ids[:2]
    status = await statuses.of("sample")
    assert (status.unread, status.oldest_unread_ms) == (1, int(ids[2].partition("-")[0]))
    await link.call("XDEL", store.keys.requests, ids[0])
    assert (await statuses.of("sample")).unread == 1
    await read_entries(link, store, acquired.group, count=2)
    status = await statuses.of("sample")
    assert (status.unread, status.oldest_unread_ms) == (0, None)


async def test_what_waits_for_a_next_owner_is_counted_too(
    statuses: ObjectStatuses, store: ObjectStore, link: Link
) -> None:
    acquired = await own(store)
    for _ in range(2):
        await add_entry(link, store)
    await read_entries(link, store, acquired.group, count=1)
    await store.release(acquired.epoch, "0-0")
    await add_entry(link, store)
    status = await statuses.of("sample")
    assert status.epoch is None
    assert status.unread == 3
