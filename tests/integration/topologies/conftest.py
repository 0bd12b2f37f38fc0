"""The fixtures of the stack's tests, once for each topology."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.stack.gate import Gate
from tests.support.rpc_client import Client
from tests.support.stack import SERVED, Frontend, Stack
from tests.support.topologies import TOPOLOGIES, Topology

SECRET = "a secret that the frontends share"

BOOKS = tuple(f"books{number}=served:Books" for number in range(3))
"""Several, so that a Cluster has them on several of its nodes."""


@pytest.fixture(scope="session", params=list(TOPOLOGIES))
def topology(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with TOPOLOGIES[request.param](tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="session")
def shared_stack(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker with several objects, and two frontends."""
    stack = start_stack(topology, tmp_path_factory.mktemp("logs"))
    try:
        stack.worker("sample=served:Sample", "quiet=served:quiet", *BOOKS)
        stack.frontend()
        stack.frontend()
        yield stack
    finally:
        stack.close()
    check_keys(topology, stack)


@pytest.fixture
def pair(shared_stack: Stack) -> list[Frontend]:
    return [service for service in shared_stack.services if isinstance(service, Frontend)]


@pytest.fixture
def frontend(pair: list[Frontend]) -> Frontend:
    return pair[0]


@pytest.fixture
async def client(frontend: Frontend) -> AsyncIterator[Client]:
    """A client with a session."""
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        yield client


@pytest.fixture
async def plain_client(frontend: Frontend) -> AsyncIterator[Client]:
    async with Client(frontend.websocket_url) as client:
        yield client


def start_stack(topology: Topology, logs: Path) -> Stack:
    """A stack without processes."""
    config = {"session.secret": SECRET, "session.window": 45, **topology.settings}
    return Stack(topology.url, folder=SERVED, logs=logs, **config)


def check_keys(topology: Topology, stack: Stack) -> None:
    lasting = topology.lasting_keys(stack.prefix)
    assert not lasting, f"Redis keys without a time to live: {lasting}"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()
