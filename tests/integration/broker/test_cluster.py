"""Commands and messages in a Cluster: where they go, and what becomes of them when slots move and nodes go."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.broker.support import own, publish
from tests.support.cluster import ClusterDeployment
from tests.support.deployment import FAILOVER_S
from tests.support.stack import free_port
from tests.support.waiting import wait_until
from wispy.broker.cluster_link import ClusterLink
from wispy.broker.cluster_subscriber import ClusterSubscriber
from wispy.broker.deployment import Deployment
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.errors import LinkDown, LinkLost, Unfit
from wispy.broker.keys import Keys
from wispy.broker.slots import slot_of
from wispy.broker.store import ObjectStore, Update
from wispy.config.schema import RedisConfig

NAMES = [f"object{number}" for number in range(9)]

RIGHTS = (
    *("+@hash", "+@stream", "+@string", "+@sortedset", "+@pubsub", "+@scripting", "+@connection", "+@keyspace"),
    *("+time", "+info", "-@admin", "+cluster|slots"),
)
"""What docs/how-to/redis.md gives a user for all roles."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterDeployment]:
    with ClusterDeployment(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def deployment(cluster: ClusterDeployment) -> Deployment:
    return Deployment(RedisConfig(url=cluster.url))


@pytest.fixture
async def link(deployment: Deployment) -> AsyncIterator[ClusterLink]:
    """Connected to all nodes."""
    link = deployment.commands("test")
    assert isinstance(link, ClusterLink)
    await link.start()
    await wait_until(lambda: link.connected, "all masters are connected")
    yield link
    await link.stop()


@pytest.fixture
async def subscriber(deployment: Deployment, link: ClusterLink) -> AsyncIterator[ClusterSubscriber]:
    subscriber = deployment.subscriber("test", link)
    assert isinstance(subscriber, ClusterSubscriber)
    await subscriber.start()
    yield subscriber
    await subscriber.stop()


def key_of(name: str) -> str:
    return f"wispy:{{{name}}}:test"


def other_node(cluster: ClusterDeployment, name: str) -> int:
    """The port of a master that does not have it."""
    return next(port for port in cluster.masters() if port != cluster.master_of(key_of(name)))


async def test_keys_are_spread_over_the_nodes_and_found_there(cluster: ClusterDeployment, link: ClusterLink) -> None:
    servers: set[str] = set()
    for name in NAMES:
        route = link.route(key_of(name))
        assert await route.call("SET", key_of(name), name, "PX", 60_000) == b"OK"
        assert cluster.ask(cluster.master_of(key_of(name)), "GET", key_of(name)) == name
        assert route.server is not None
        servers.add(route.server.run_id)
    assert len(servers) == 3
    assert link.route(key_of("a")) is link.route("{a}"), "one way for each slot"


async def test_scripts_publish_on_the_node_of_their_object(
    deployment: Deployment, link: ClusterLink, subscriber: ClusterSubscriber
) -> None:
    heard: list[str] = []
    for name in NAMES:
        store = ObjectStore(link, deployment.keys.of(name))
        await subscriber.subscribe(store.keys.updates("a"), lambda _, name=name: heard.append(name))
        acquired = await own(store)
        next_offset = (await store.heads()).get("a", 0) + 1
        assert await publish(store, acquired.epoch, Update("a", next_offset, b"1", True, 5)) is True
        assert await store.release(acquired.epoch, acquired.cursor)
    # Each node has a connection of its own, and nothing puts them in an order.
    await wait_until(lambda: sorted(heard) == NAMES, lambda: f"all is heard: {heard}")
    await wait_until(lambda: subscriber.connected and not subscriber.deaf, "each connection has heard itself")


async def test_a_slot_that_moves_is_followed(cluster: ClusterDeployment, link: ClusterLink) -> None:
    name = NAMES[0]
    stays = next(each for each in NAMES[1:] if cluster.master_of(key_of(each)) == cluster.master_of(key_of(name)))
    route = link.route(key_of(name))
    await route.call("SET", key_of(name), "kept", "PX", 60_000)
    events: list[str] = []
    route.on_connected(lambda: events.append("connected"))
    other = link.route(key_of(stays))
    former, count, others_count = route.server, route.connection, other.connection
    await asyncio.to_thread(cluster.move, key_of(name), other_node(cluster, name))
    with pytest.raises(LinkLost, match="another node"):
        await route.call("GET", key_of(name))
    await wait_until(lambda: route.connected, "the way is up again")
    assert await route.call("GET", key_of(name)) == b"kept"
    assert route.server is not former
    assert route.connection == count + 1
    assert events == ["connected"]
    assert other.connection == others_count, "the other object's way was not lost"


async def test_a_channel_that_moves_is_heard_where_it_has_gone(
    cluster: ClusterDeployment, subscriber: ClusterSubscriber, link: ClusterLink
) -> None:
    name = NAMES[1]
    channel = f"{{{name}}}:channel"
    heard: list[bytes] = []
    await subscriber.subscribe(channel, heard.append)
    events: list[str] = []
    subscriber.on_lost(lambda: events.append("lost"))
    subscriber.on_connected(lambda: events.append("heard anew"))
    await asyncio.to_thread(cluster.move, key_of(name), other_node(cluster, name))
    await wait_until(lambda: subscriber.connected and events == ["lost", "heard anew"], lambda: f"{events}")
    link.publish(channel, "hello", lambda _: None)
    await wait_until(lambda: heard == [b"hello"], "it is heard on the other node")
    subscriber.unsubscribe(channel)
    assert events == ["lost", "heard anew"]


async def test_what_was_missed_is_told_though_some_of_it_is_given_up_meanwhile(
    cluster: ClusterDeployment, subscriber: ClusterSubscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = NAMES[4]
    kept, given_up = f"{{{name}}}:kept", f"{{{name}}}:given-up"
    for channel in (kept, given_up):
        await subscriber.subscribe(channel, lambda _: None)
    events: list[str] = []
    subscriber.on_lost(lambda: events.append("lost"))
    subscriber.on_connected(lambda: events.append("heard anew"))
    first, placed = subscriber._channels[kept], subscriber._placed

    def give_up_behind(entry: Any, future: asyncio.Future[None]) -> None:
        placed(entry, future)
        if entry is first:
            subscriber.unsubscribe(given_up)

    monkeypatch.setattr(subscriber, "_placed", give_up_behind)
    await asyncio.to_thread(cluster.move, key_of(name), other_node(cluster, name))
    await wait_until(lambda: events == ["lost", "heard anew"], lambda: f"{events}")


async def test_a_channel_that_is_given_up_and_followed_again_has_not_moved(
    link: ClusterLink, subscriber: ClusterSubscriber
) -> None:
    heard: list[bytes] = []
    events: list[str] = []
    subscriber.on_lost(lambda: events.append("lost"))
    maps: list[object] = []
    link.on_map(lambda: maps.append(link.map))
    channel = "{a}:channel"
    await subscriber.subscribe(channel, heard.append)
    for _ in range(5):
        subscriber.unsubscribe(channel)
        await subscriber.subscribe(channel, heard.append)
    link.publish(channel, "hello", lambda _: None)
    await wait_until(lambda: heard == [b"hello"], "it is heard once")
    assert not maps, "nobody was asked where it is"
    assert not events


async def test_a_master_that_no_way_leads_to_is_followed_too(tmp_path: Path) -> None:
    with ClusterDeployment(tmp_path, replicas=True) as cluster:
        deployment = Deployment(RedisConfig(url=cluster.url))
        link = deployment.commands("test")
        await link.start()
        try:
            await wait_until(lambda: link.connected, "all masters are connected")
            home = cluster.master_of(deployment.keys.objects)
            cluster.kill(next(port for port in cluster.masters() if port != home))
            await wait_until(lambda: not link.connected, "the loss is noticed")
            await wait_until(lambda: link.connected, "the replica has taken its place", FAILOVER_S)
        finally:
            await link.stop()


async def test_channels_are_heard_again_by_one_command_for_each_slot(
    cluster: ClusterDeployment, subscriber: ClusterSubscriber, link: ClusterLink
) -> None:
    channels = [f"{{{name}}}:{number}" for name in NAMES for number in range(100)]
    heard: set[str] = set()
    await asyncio.gather(*[subscriber.subscribe(each, lambda _, each=each: heard.add(each)) for each in channels])
    await wait_until(lambda: subscriber.connected, "each connection is up")
    before = subscriber.connection
    for port in cluster.ports:
        cluster.ask(port, "CONFIG", "RESETSTAT")
        cluster.ask(port, "CLIENT", "KILL", "TYPE", "pubsub")
    await wait_until(
        lambda: subscriber.connection == before + len(cluster.ports) and subscriber.connected, "all are up again"
    )
    counts = [cluster.ask(port, "INFO", "commandstats")["cmdstat_ssubscribe"]["calls"] for port in cluster.ports]
    assert sum(counts) == len(NAMES) + len(cluster.ports), "and one each for a probe"
    for each in channels:
        link.publish(each, "hello", lambda _: None)
    await wait_until(lambda: heard == set(channels), "all are heard")


async def test_a_command_is_sent_where_its_key_has_gone_before_its_slot(
    cluster: ClusterDeployment, link: ClusterLink
) -> None:
    name = NAMES[2]
    key, slot = key_of(name), slot_of(key_of(name))
    source, target = cluster.master_of(key), other_node(cluster, name)
    route = link.route(key)
    cluster.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.node_id(source))
    cluster.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.node_id(target))
    try:
        replies = await asyncio.gather(
            route.call("SET", key, 1, "PX", 60_000), *[route.call("INCR", key) for _ in range(5)]
        )
        assert replies == [b"OK", 2, 3, 4, 5, 6], "in order"
        assert route.connected
    finally:
        for port in (source, target):
            cluster.ask(port, "CLUSTER", "SETSLOT", slot, "STABLE")


async def test_a_reader_finds_its_slot_and_follows_it(cluster: ClusterDeployment, deployment: Deployment) -> None:
    name = NAMES[3]
    reader = deployment.reader("test", key_of(name), 1.0)
    await reader.start()
    await reader.wait_connected()
    assert await reader.call("SET", key_of(name), "kept", "PX", 60_000) == b"OK"
    await asyncio.to_thread(cluster.move, key_of(name), other_node(cluster, name))
    with pytest.raises(Unfit, match="MOVED"):
        await reader.call("GET", key_of(name))
    await wait_until(lambda: reader.connection == 2 and reader.connected, "it has found the slot again")
    assert await reader.call("GET", key_of(name)) == b"kept"
    await reader.stop()


async def test_a_time_on_one_nodes_clock_is_never_later_on_anothers(link: ClusterLink) -> None:
    servers = {route.server.run_id: route.server for route in map(link.route, map(key_of, NAMES)) if route.server}
    assert len(servers) == 3
    assert link.clocks is not None
    now = time.monotonic()
    for sender in servers.values():
        for owner in servers.values():
            if sender is not owner:  # all of them read this machine's clock: a true shift is 0
                shift_ms = link.clocks.shift_ms(sender.run_id, owner, now)
                assert shift_ms is not None
                assert -10_000 < shift_ms <= 0  # as late as answers were on their way
    assert link.clocks.shift_ms("another", next(iter(servers.values())), now) is None


@pytest.mark.parametrize(
    ("scheme", "reason"), [("redis", "redis+cluster:// is the scheme for it"), ("redis+cluster", "")]
)
async def test_the_wrong_scheme_for_a_cluster_is_said(
    cluster: ClusterDeployment, caplog: pytest.LogCaptureFixture, scheme: str, reason: str
) -> None:
    link = Deployment(RedisConfig(url=f"{scheme}://127.0.0.1:{cluster.ports[2]}")).commands("test")
    await link.start()
    await wait_until(lambda: link.connected or (reason and reason in caplog.text), "the reason is logged")
    assert link.connected is not bool(reason)
    await link.stop()


async def test_a_single_server_is_no_cluster(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    server = EmbeddedServer.start(extra=["--port", str(port), "--bind", "127.0.0.1"])
    link = Deployment(RedisConfig(url=f"redis+cluster://127.0.0.1:{port}")).commands("test")
    await link.start()
    try:
        await wait_until(lambda: "redis:// is for a single server" in caplog.text, "the reason is logged")
        assert not link.connected
        with pytest.raises(LinkDown):
            await link.call("PING")
    finally:
        await link.stop()
        server.stop()
    with pytest.raises(LinkDown):
        await link.wait_connected()


async def test_the_password_is_for_all_nodes(cluster: ClusterDeployment, caplog: pytest.LogCaptureFixture) -> None:
    for port in cluster.ports:
        cluster.ask(port, "ACL", "SETUSER", "narrow", "on", ">pw", "~*", "&*", *RIGHTS)
    right = Deployment(RedisConfig(url=cluster.url, user="narrow", password="pw")).commands("right")
    wrong = Deployment(RedisConfig(url=cluster.url, user="narrow", password="a-secret")).commands("wrong")
    await right.start()
    await wrong.start()
    await wait_until(lambda: right.connected and "AUTH was refused" in caplog.text, "one is let in")
    assert not wrong.connected
    assert "a-secret" not in caplog.text
    store = ObjectStore(right, Keys().of("owned"))
    acquired = await own(store)
    assert await publish(store, acquired.epoch, Update("a", 1, b"1", True, 5)) is True
    await right.stop()
    await wrong.stop()
