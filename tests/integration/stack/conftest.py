from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.stack.gate import Gate
from tests.integration.stack.inbox import Inbox
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Stack
from wispy.broker.embedded import EmbeddedServer

FOLDER = Path(__file__).parent

MakeStack = Callable[..., Stack]


@pytest.fixture(scope="module")
def shared_stack(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A frontend and a worker for all tests of a module, which leave `sample` as they found it."""
    with running_stack(valkey_server, tmp_path_factory) as stack:
        yield stack


@contextmanager
def running_stack(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, **config: Any) -> Generator[Stack]:
    """A worker with `sample` and `quiet`, and a frontend, in this order; it must leave no key that lasts."""
    stack = Stack(server.url, folder=FOLDER, logs=tmp_path_factory.mktemp("logs"), **config)
    try:
        stack.worker("sample=served:Sample", "quiet=served:quiet")
        stack.frontend()
        yield stack
    finally:
        stack.close()
    check_keys(server, stack)


@pytest.fixture
def frontend(shared_stack: Stack) -> Frontend:
    frontend = shared_stack.services[1]
    assert isinstance(frontend, Frontend)
    return frontend


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


@pytest.fixture
def make_stack(valkey_server: EmbeddedServer, tmp_path: Path) -> Iterator[MakeStack]:
    """Empty stacks that end with the test: `make_stack(**config)`; on another server with `redis_url`."""
    stacks: list[Stack] = []

    def make(redis_url: str | None = None, **config: Any) -> Stack:
        logs = tmp_path / f"logs{len(stacks)}"
        logs.mkdir()
        stack = Stack(redis_url or valkey_server.url, folder=FOLDER, logs=logs, **config)
        stacks.append(stack)
        return stack

    yield make
    for stack in stacks:
        stack.close()
        if stack.redis_url == valkey_server.url:
            check_keys(valkey_server, stack)


def check_keys(server: EmbeddedServer, stack: Stack) -> None:
    """Every key that the service leaves has a time to live."""
    with redis.Redis(unix_socket_path=server.url.removeprefix("unix://"), protocol=2) as connection:
        keys = list(connection.scan_iter(match=f"{stack.prefix}*", count=1000))
        lasting = [key for key in keys if connection.pttl(key) == -1]
        if keys:
            connection.delete(*keys)
    assert not lasting, f"Redis keys without a time to live: {lasting}"


@pytest.fixture(scope="module")
def shared_inbox(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inbox]:
    """A frontend that takes uploads, for all tests of a module."""
    folder = tmp_path_factory.mktemp("inbox")
    stack = Stack(valkey_server.url, folder=folder, logs=tmp_path_factory.mktemp("logs"))
    try:
        yield Inbox(folder, stack)
    finally:
        stack.close()
    check_keys(valkey_server, stack)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Open at the end, so that a test that fails leaves nothing behind."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()
