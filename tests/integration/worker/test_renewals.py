"""The renewals of a lease on a real server: what they confirm, what goes with them, and how they end."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.broker.conftest import QUICK
from tests.integration.broker.support import own, publish
from tests.support.relay import Relay
from tests.support.waiting import wait_until
from wispy.broker.directory import ObjectDirectory
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.store import ObjectStore, Update
from wispy.broker.subscriber import Subscriber
from wispy.config.redis_address import RedisAddress
from wispy.protocol.ownership import HeldLease
from wispy.timing import boottime
from wispy.worker.renewals import REMEMBERED_RENEWALS, Renewals

LEASE_S = 30.0


@dataclass
class World:
    """A lease of "lamp", and what its renewals have told."""

    relay: Relay
    link: Link
    store: ObjectStore
    directory: ObjectDirectory
    lease: HeldLease
    changed: set[str] = field(default_factory=set[str])
    renewed: int = 0
    fenced: int = 0
    notices: list[Any] = field(default_factory=list[Any])
    """What was published with the renewals."""

    def __post_init__(self) -> None:
        self.renewals = Renewals(
            self.link,
            self.store,
            self.lease,
            self.directory,
            "lamp",
            take_changed=self._take_changed,
            channels=lambda: ["level"],
            on_renewed=self._renewed,
            on_fenced=self._fenced,
        )

    def _take_changed(self) -> set[str]:
        taken, self.changed = self.changed, set()
        return taken

    def _renewed(self) -> None:
        self.renewed += 1

    def _fenced(self) -> None:
        self.fenced += 1

    async def heads(self) -> dict[str, int]:
        """Renew; the heads that are published with it."""
        count = len(self.notices)
        await self.renewals.renew()
        await wait_until(lambda: len(self.notices) > count, "the renewal is told of")
        return self.notices[-1]["heads"]


@pytest.fixture
async def world(valkey: EmbeddedServer) -> AsyncIterator[World]:
    keys = Keys()
    async with Relay(valkey.url) as relay:
        link = Link(RedisAddress.parse(relay.url), name="commands", backoff=QUICK)
        await link.start()
        await link.wait_connected()
        subscriber = Subscriber(RedisAddress.parse(valkey.url), name="hears", command_link=link, backoff=QUICK)
        await subscriber.start()
        store = ObjectStore(link, keys.of("lamp"))
        acquired = await own(store, lease_ms=int(LEASE_S * 1000))
        assert link.server is not None
        lease = HeldLease(acquired.epoch, link.server.run_id, LEASE_S, boottime())
        world = World(relay, link, store, ObjectDirectory(link, keys), lease)
        await subscriber.subscribe(store.keys.notices, lambda payload: world.notices.append(json.loads(payload)))
        yield world
        await subscriber.stop()
        await link.stop()


async def test_a_confirmed_renewal_prolongs_the_lease_from_when_it_was_sent(world: World) -> None:
    before = boottime()
    await world.renewals.renew()
    after = boottime()
    assert (world.renewed, world.fenced) == (1, 0)
    assert world.lease.is_valid(before + LEASE_S)
    assert not world.lease.is_valid(after + LEASE_S)


async def test_what_changed_is_told_with_this_renewal_and_the_next_ones(world: World) -> None:
    """A subscriber may miss the last update, and then some renewals; not so many."""
    assert await publish(world.store, world.lease.epoch, Update("level", 1, b"5", True, 3)) is True
    assert await world.heads() == {}, "nobody has said that it changed"
    world.changed = {"level"}
    for _ in range(REMEMBERED_RENEWALS):
        assert await world.heads() == {"level": 1}
    assert await world.heads() == {}


async def test_what_a_new_owner_finds_is_told_too(world: World) -> None:
    assert await publish(world.store, world.lease.epoch, Update("level", 1, b"5", True, 3)) is True
    world.renewals.changed(["level", "absent"])
    assert await world.heads() == {"level": 1}


async def test_another_owner_ends_it(world: World) -> None:
    await own(world.store, nonce="b2")
    await world.renewals.renew()
    assert (world.renewed, world.fenced) == (0, 1)


async def test_what_another_server_confirms_is_lost(world: World) -> None:
    """As after a failover to a replica that has the record, and lacks what came last."""
    world.lease.run_id = "another run"
    await world.renewals.renew()
    assert (world.renewed, world.fenced) == (0, 1)


async def test_an_outage_is_told_once_and_so_is_its_end(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "wispy.worker")
    ends = world.lease._ends
    world.relay.is_refusing = True
    world.relay.cut()
    await wait_until(lambda: not world.link.connected, "the link is down")
    for _ in range(3):
        await world.renewals.renew()
    assert caplog.text.count("the lease of lamp was not renewed, trying on") == 1
    assert (world.renewed, world.fenced) == (0, 0), "it runs out by itself"
    assert world.lease._ends == ends
    world.relay.is_refusing = False
    await world.link.wait_connected()
    for _ in range(2):
        await world.renewals.renew()
    assert caplog.text.count("the lease of lamp: Redis answers again") == 1
    assert world.renewed == 2


async def test_keys_live_on_with_the_lease(world: World) -> None:
    keys = world.store.keys
    await world.link.call("PEXPIRE", keys.requests, 5000)
    await world.renewals.renew()
    assert await world.link.call("PTTL", keys.requests) <= 5000
    await world.renewals.renew([keys.requests])
    assert await world.link.call("PTTL", keys.requests) > 5000


async def test_the_object_is_announced(world: World) -> None:
    assert await world.directory.names() == []
    await world.renewals.announce()
    assert await world.directory.names() == ["lamp"]
