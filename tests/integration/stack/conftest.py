from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stack.gate import Gate
from tests.integration.stack.inbox import Inbox
from tests.support.rpc_client import Client
from tests.support.stack import SERVED, Frontend, RestartableRedis, Stack, check_keys, clean_stack
from wispy.broker.embedded import EmbeddedServer

MakeStack = Callable[..., Stack]


@pytest.fixture(scope="module")
def shared_stack(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A frontend and a worker for all tests of a module, which leave `sample` as they found it."""
    with running_stack(valkey_server, tmp_path_factory) as stack:
        yield stack


@contextmanager
def running_stack(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, **config: Any) -> Generator[Stack]:
    """A worker with `sample` and `quiet`, and a frontend, in this order; it must leave no key that lasts."""
    with clean_stack(server, tmp_path_factory, **config) as stack:
        stack.worker("sample=served:Sample", "quiet=served:quiet")
        stack.frontend()
        yield stack


@pytest.fixture
def frontend(shared_stack: Stack) -> Frontend:
    return shared_stack.first_frontend


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
        stack = Stack(redis_url or valkey_server.url, folder=SERVED, logs=logs, **config)
        stacks.append(stack)
        return stack

    yield make
    for stack in stacks:
        stack.close()
        if stack.redis_url == valkey_server.url:
            check_keys(valkey_server, stack)


@pytest.fixture(scope="module")
def shared_inbox(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inbox]:
    """A frontend that takes uploads, for all tests of a module."""
    folder = tmp_path_factory.mktemp("inbox")
    with clean_stack(valkey_server, tmp_path_factory, folder=folder) as stack:
        yield Inbox(folder, stack)


@pytest.fixture
def redis_server() -> Iterator[RestartableRedis]:
    """Without persistence; running."""
    server = RestartableRedis()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Open at the end, so that a test that fails leaves nothing behind."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()
