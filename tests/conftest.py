"""Fixtures for all tests: a Valkey server, and the check that a test leaves nothing behind."""

import asyncio
import inspect
import logging
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from hypothesis import settings

from tests.support.leaks import ErrorLog, ProcessLeaks, clients, keys_without_end, unfinished_tasks
from tests.support.waiting import wait_until, wait_until_blocking
from wispy.broker.embedded import EmbeddedServer

# Transports close in a later turn of the loop, and processes take a moment to end: a long one on a busy machine.
CLOSING_TIMEOUT_S = 30.0

# How long an example takes says more about the machine's neighbours than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell that runs the tests in the background has them ignore Ctrl-C, and with them all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[EmbeddedServer]:
    """One server for all tests of the run; tests take `valkey`."""
    server = EmbeddedServer.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """The server, empty and with nobody else at it. Every key that the test leaves in it must have a time to live.

    Processes that are no children (any more) of the tests' could still be there, which no check of this process finds.
    """
    path = valkey_server.url.removeprefix("unix://")
    with redis.Redis(unix_socket_path=path, protocol=2) as client:
        client.flushall()
        client.script_flush()
    yield valkey_server
    wait_until_blocking(
        lambda: not clients(path), lambda: f"nobody is connected to Redis: {clients(path)}", CLOSING_TIMEOUT_S
    )
    lasting = keys_without_end(path)
    assert not lasting, f"Redis keys without a time to live: {lasting}"


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a task, a socket, a child process, or an error that asyncio could only log."""
    if "valkey" in request.fixturenames:
        request.getfixturevalue("valkey_server")  # its process is no leak of the first test that uses it
    is_asynchronous = inspect.iscoroutinefunction(getattr(request, "function", None))
    errors = ErrorLog()
    logging.getLogger("asyncio").addHandler(errors)
    request.getfixturevalue("clean_loop" if is_asynchronous else "clean_process")
    yield
    logging.getLogger("asyncio").removeHandler(errors)
    assert not errors.lines, f"asyncio logged errors: {errors.lines}"


@pytest.fixture
def clean_process() -> Iterator[None]:
    """No socket and no child process is left."""
    leaks = ProcessLeaks()
    yield
    wait_until_blocking(lambda: not leaks.find(), lambda: f"the test cleans up: {leaks.find()}", CLOSING_TIMEOUT_S)


@pytest.fixture
async def clean_loop() -> AsyncIterator[None]:
    """No socket, no child process and no task of the test's loop is left."""
    leaks = ProcessLeaks()
    fixture_task = asyncio.current_task()
    yield
    loop = asyncio.get_running_loop()

    def tasks() -> set["asyncio.Task[object]"]:
        return unfinished_tasks(loop) - {asyncio.current_task(), fixture_task}

    def found() -> str:
        return f"{leaks.find()}{tasks() or ''}"

    await wait_until(lambda: not found(), lambda: f"the test cleans up: {found()}", CLOSING_TIMEOUT_S)
