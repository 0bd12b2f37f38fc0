"""Fixtures for all tests: a Valkey server, and the check that a test leaves nothing behind."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from tests.support.leaks import ErrorLog, ProcessLeaks, keys_without_end, unfinished_tasks
from wispy.broker.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[EmbeddedServer]:
    """One server for all tests of the run; tests take `valkey`."""
    server = EmbeddedServer.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The server, empty. Every key that the test leaves in it must have a time to live."""
    path = valkey_server.url.removeprefix("unix://")
    with redis.Redis(unix_socket_path=path, protocol=2) as client:
        client.flushall()
        client.script_flush()
    yield valkey_server
    lasting = keys_without_end(path)
    assert not lasting, f"Redis keys without a time to live: {lasting}"


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a task, a socket, a child process, or an error that asyncio could only log."""
    if "valkey" in request.fixturenames:
        request.getfixturevalue("valkey_server")  # its process is no leak of the first test that uses it
    leaks = ProcessLeaks()
    errors = ErrorLog()
    logging.getLogger("asyncio").addHandler(errors)
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("no_task_left_behind")
    yield
    logging.getLogger("asyncio").removeHandler(errors)
    leaks.check()
    assert not errors.lines, f"asyncio logged errors: {errors.lines}"


@pytest.fixture
async def no_task_left_behind() -> AsyncIterator[None]:
    """No asynchronous test leaves a task that still runs."""
    yield
    loop = asyncio.get_running_loop()
    for _ in range(3):  # a task that was just cancelled needs a turn or two to end
        await asyncio.sleep(0)
    left = unfinished_tasks(loop) - {asyncio.current_task()}
    assert not left, f"tasks still run: {[task.get_coro() for task in left]}"
