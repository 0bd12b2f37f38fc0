"""A Cluster under the whole service: objects spread over its nodes, and a slot that moves under load."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.redis_acl import rules
from tests.integration.frontend.test_hub import Listener
from tests.integration.stack.test_shared import clients
from tests.integration.stack.test_shared import load as shared_load
from tests.integration.topologies.conftest import BOOKS, start_stack
from tests.integration.topologies.test_matrix import LEDGER, SHARED, load, names
from tests.support.cluster import ClusterDeployment
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Stack
from tests.support.topologies import of_cluster, strictness_of_nodes
from tests.support.waiting import wait_until
from wispy.broker.deployment import Deployment
from wispy.broker.store import ObjectStore
from wispy.config.schema import Config, RedisConfig
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.hub import Hub
from wispy.protocol.errors import NOT_FOUND

VALKEY, STRICT = "Valkey 9", "Redis 7, TLS and ACL"


@pytest.fixture(scope="module", params=[VALKEY, STRICT])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterDeployment]:
    folder = tmp_path_factory.mktemp("cluster")
    strictness = strictness_of_nodes(folder) if request.param == STRICT else None
    with ClusterDeployment(folder, strictness=strictness) as running:
        yield running


@pytest.fixture(scope="module")
def stack(cluster: ClusterDeployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = start_stack(of_cluster(cluster), tmp_path_factory.mktemp("logs"))
    try:
        stack.worker(*BOOKS)
        stack.frontend()
        for _ in range(2):
            stack.worker(LEDGER, **SHARED)
        yield stack
    finally:
        stack.close()


@pytest.fixture
def frontend(stack: Stack) -> Frontend:
    frontend = stack.services[1]
    assert isinstance(frontend, Frontend)
    return frontend


def key_of(stack: Stack, name: str) -> str:
    return f"{stack.prefix}{{{name}}}:owner"


def test_objects_are_on_all_nodes(cluster: ClusterDeployment, stack: Stack) -> None:
    assert {cluster.master_of(key_of(stack, name)) for name in names(BOOKS)} == set(cluster.ports)


async def test_a_slot_that_moves_under_load_is_like_a_failover_of_its_object_alone(
    cluster: ClusterDeployment, stack: Stack, frontend: Frontend, tmp_path: Path
) -> None:
    moved, *others = names(BOOKS)
    key = key_of(stack, moved)
    async with load(frontend, BOOKS, tmp_path) as (books, *books_of_others):
        for _ in range(2):
            target = next(port for port in cluster.ports if port != cluster.master_of(key))
            await asyncio.to_thread(cluster.move, key, target)
            await wait_until(lambda: frontend.readiness()[0] == 200, lambda: f"all is well: {frontend.readiness()}")
            await books.wait_for_more()
    for each in books_of_others:
        assert each.results == len(each.sent), "the others notice nothing"
    worker = stack.services[0]
    await wait_until(lambda: worker.output.count(f"{moved} is served here") >= 3, "the owner says that it serves anew")
    assert worker.output.count(f"{moved} is served here") == 3
    for name in others:
        assert worker.output.count(f"{name} is served here") == 1
    for service in stack.services:
        assert "Traceback" not in service.output


PARTS = {
    "the requests first": ("requests",),
    "the lease first": ("owner",),
    "all but the lease": ("requests", "log", "heads", "values", "channels", "interface", "state", "workers"),
}
"""Keys of an object that are on the other node, while the others are not."""


WAITS = "TRYAGAIN|is moving to another node"
"""What an owner says whose keys are at two nodes."""


def errors_of(stack: Stack) -> list[str]:
    """The lines of all logs that call somebody."""
    lines = [line for service in stack.services for line in service.output.splitlines()]
    return [line for line in lines if " ERROR " in line or " CRITICAL " in line or "Traceback" in line]


@asynccontextmanager
async def half_moved(cluster: ClusterDeployment, key: str, part: Sequence[str]) -> AsyncIterator[None]:
    """The slot of an object moves: for longer than a lease, some of its keys are there, and the others are not."""
    target = next(port for port in cluster.ports if port != cluster.master_of(key))
    moving = cluster.moving(key, target, *[key.replace("owner", each) for each in part])
    await asyncio.to_thread(moving.__enter__)
    since = time.monotonic()
    try:
        yield
        await wait_until(lambda: time.monotonic() - since > 1.5 * Config().lease.duration, "a lease is over")
    finally:
        await asyncio.to_thread(moving.__exit__, None, None, None)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
async def test_while_a_slot_is_half_moved_its_objects_wait_and_nobody_is_called(
    cluster: ClusterDeployment, stack: Stack, frontend: Frontend, tmp_path: Path, part: tuple[str, ...]
) -> None:
    """Scripts name several keys, and both nodes refuse them (TRYAGAIN); the stream may be where nobody reads it."""
    name = names(BOOKS)[1]
    worker = stack.services[0]
    waits, acquisitions = (len(re.findall(text, worker.output)) for text in (WAITS, f"{name} is served here"))
    async with load(frontend, BOOKS[1:2], tmp_path) as (books,):
        async with half_moved(cluster, key_of(stack, name), part):
            await wait_until(lambda: len(re.findall(WAITS, worker.output)) > waits, "the owner waits")
        await wait_until(lambda: worker.output.count(f"{name} is served here") > acquisitions, "it is acquired", 20)
        await books.wait_for_more()
    assert errors_of(stack) == []


async def test_what_is_shared_moves_with_its_slot(cluster: ClusterDeployment, stack: Stack, tmp_path: Path) -> None:
    async with clients(stack) as pair, shared_load(pair, tmp_path, 0.005) as books:
        for part in ((), ("requests",), ("owner", "workers")):
            async with half_moved(cluster, key_of(stack, "ledger"), part):
                pass
            await books.wait_for_more()
    assert errors_of(stack) == []


@pytest.mark.parametrize("name", ["}", "}x", "a}b", "", "a b"])
async def test_a_name_that_no_object_can_have_is_not_found(stack: Stack, frontend: Frontend, name: str) -> None:
    """Its braces would name no slot, or another object's: the nodes refuse scripts with such keys (CROSSSLOT)."""
    said = len(frontend.output)
    async with Client(frontend.websocket_url) as client:
        assert (await client.subscribe(f"{name}.a"))[f"{name}.a"]["error"]["code"] == NOT_FOUND.code
        for method, params in (
            (f"{name}.f", []),
            ("rpc.get", {"path": [name, "a"]}),
            ("rpc.channels", {"object": name}),
        ):
            assert (await client.error(method, params)).code == NOT_FOUND.code, method
        await client.hello()
        assert (await client.error(f"{name}.f")).code == NOT_FOUND.code
        assert (await client.error("rpc.get", {"path": ["a.b", "c"]})).code == NOT_FOUND.code
        assert "result" in await asyncio.to_thread(frontend.post, f"{names(BOOKS)[0]}.note", "/dev/null", "key")
    assert "WARNING" not in frontend.output[said:]
    assert errors_of(stack) == []


@pytest.mark.parametrize("cluster", [VALKEY], indirect=True)
async def test_declarations_are_read_where_their_object_is(cluster: ClusterDeployment) -> None:
    """Asked elsewhere, a node says that the slot has moved, and the way that was taken there counts as lost."""
    deployment = Deployment(RedisConfig(url=cluster.url, prefix="declared:"))
    keys = deployment.keys
    link = deployment.commands("test")
    subscriber = deployment.subscriber("test", link)
    hub = Hub(link, subscriber, keys, FrontendCounts(), max_feeds=10)
    await link.start()
    await subscriber.start()
    await wait_until(lambda: link.connected, "all masters are connected")
    by_node = {cluster.master_of(keys.of(f"lamp{number}").owner): f"lamp{number}" for number in range(30)}
    assert set(by_node) == set(cluster.ports)
    listeners: list[Listener] = []
    for name in by_node.values():
        store = ObjectStore(link, keys.of(name))
        acquired = await store.acquire(None, nonce="a", lease_ms=60_000, holder="test")
        assert acquired is not None
        await store.declare(acquired.epoch, {"value": b'{"kind":"value"}'})
        feed = hub.join(f"{name}.value")
        await hub.wait_open(feed)
        listeners.append(Listener())
        hub.add(feed, listeners[-1])
        hub.release(feed)
        assert await store.renew(acquired.epoch, [])
    await wait_until(lambda: all(each.roles for each in listeners), "all of them are read")
    assert link.connection == 1, "no way was lost"
    await hub.close()
    await subscriber.stop()
    await link.stop()


@pytest.mark.parametrize("cluster", [VALKEY], indirect=True)  # it takes its time, and TLS is nothing to it
@pytest.mark.parametrize("away", names(BOOKS))
async def test_a_node_that_is_away_makes_a_frontend_unready_and_leaves_the_other_objects(
    cluster: ClusterDeployment, stack: Stack, frontend: Frontend, away: str
) -> None:
    port = cluster.master_of(key_of(stack, away))
    reachable = [name for name in names(BOOKS) if cluster.master_of(key_of(stack, name)) != port]
    await wait_until(lambda: frontend.readiness()[0] == 200, lambda: f"{frontend.readiness()}", 30)
    with cluster.paused(port):
        await wait_until(lambda: frontend.readiness()[0] == 503, "it is not ready", 20)
        for name in reachable:
            assert "result" in frontend.post(f"{name}.note", "/dev/null", "key")
    await wait_until(lambda: frontend.readiness()[0] == 200, lambda: f"{frontend.readiness()}", 30)
    await wait_until(lambda: "result" in frontend.post(f"{away}.note", "/dev/null", "key"), "it is served again", 30)


async def test_the_users_of_the_roles_have_the_rights_that_they_need(
    cluster: ClusterDeployment, tmp_path: Path
) -> None:
    stack = start_stack(of_cluster(cluster), tmp_path)
    for port in cluster.ports:
        for role in ("frontend", "worker"):
            cluster.ask(port, "ACL", "SETUSER", role, "on", f">{role}-password", *rules(role, stack.prefix))
        cluster.ask(port, "ACL", "LOG", "RESET")
    users: dict[str, dict[str, Any]] = {
        role: {"redis.user": role, "redis.password": f"{role}-password"} for role in ("frontend", "worker")
    }
    try:
        owner = stack.worker(*BOOKS, "sample=served:Sample", **users["worker"])
        stack.standby("sample=served:Sample", **users["worker"])
        frontend = stack.frontend(**users["frontend"])
        async with Client(frontend.websocket_url) as client:
            await client.hello()
            assert (await client.subscribe("sample.a"))["sample.a"]["value"] == 1
            moved = key_of(stack, "sample")
            target = next(port for port in cluster.ports if port != cluster.master_of(moved))
            await asyncio.to_thread(cluster.move, moved, target)
            await wait_until(lambda: frontend.post("sample.test_sum", 1, 2).get("result") == 3, "calls run again")
            assert await client.call("sample.large", [3 << 20])  # by a key of its own
            owner.kill_alone()
            assert await client.call("sample.test_sum", [4, 5]) == 9  # the standby's answer
    finally:
        stack.close()
    assert [cluster.ask(port, "ACL", "LOG") for port in cluster.ports] == [[]] * len(cluster.ports)
