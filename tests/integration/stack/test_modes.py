"""How methods are run, end to end: order, pool, lock, deadlines, cancellation, hangs."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stack.conftest import running_stack
from tests.integration.stack.gate import Gate
from tests.support.rpc_client import Client, RemoteError, result
from tests.support.stack import Frontend, Service, Stack
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.config.schema import Config


@pytest.fixture(scope="module")
def shared_stack(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """In place of the package's: with few threads, and delays that even a busy machine does not reach."""
    with running_stack(valkey_server, tmp_path_factory, **{"synchronous_task_lock.max_workers": 2}) as stack:
        yield stack


@pytest.fixture(scope="module")
def hasty_stack(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Delays short enough to wait for."""
    delays = {
        "func_caller.max_start_delay_default": "0.6s",
        "func_caller.run_timeout_default": "1s",
        "func_caller.hang_warning": "0.5s",
    }
    with running_stack(valkey_server, tmp_path_factory, **delays) as stack:
        yield stack


@pytest.fixture
def hasty_worker(hasty_stack: Stack) -> Service:
    return hasty_stack.services[0]


@pytest.fixture
async def hasty(hasty_stack: Stack) -> AsyncIterator[Client]:
    """A client with a session, where delays are short."""
    async with Client(hasty_stack.first_frontend.websocket_url) as client:
        await client.hello()
        yield client


async def begin(client: Client, method: str, gate: Gate, *more: Any) -> "asyncio.Future[dict[str, Any]]":
    """Start a call, again where it could not begin within so short a delay; it runs."""
    calls: list[asyncio.Future[dict[str, Any]]] = []

    async def runs() -> bool:
        if not gate.is_reached and (not calls or calls[-1].done()):
            calls.append(await client.start(method, [gate.path, *more]))
        return gate.is_reached

    await wait_until(runs, "the call runs")
    return calls[-1]


def gates(tmp_path: Path, number: int) -> list[Gate]:
    return [Gate(tmp_path / f"gate{each}") for each in range(number)]


async def test_an_async_call_lets_others_run(client: Client, gate: Gate) -> None:
    waiting = await client.start("sample.wait", [gate.path])
    await gate.wait_until_reached()
    assert await client.call("sample.test_sum", [1, 2]) == 3
    assert not waiting.done()
    gate.open()
    assert result(await waiting) == "waited"


async def test_a_threaded_call_lets_others_run(client: Client, gate: Gate) -> None:
    waiting = await client.start("sample.hold_threaded", [gate.path])
    await gate.wait_until_reached()
    assert await client.call("sample.test_sum", [1, 2]) == 3
    gate.open()
    assert result(await waiting) == "held"


async def test_marks_in_annotations_count(client: Client) -> None:
    assert await client.call("sample.annotated") != "MainThread"


async def test_locking_calls_run_one_after_the_other(client: Client, frontend: Frontend, tmp_path: Path) -> None:
    first, second = gates(tmp_path, 2)
    one = await client.start("sample.wait_locked", [first.path])
    await first.wait_until_reached()
    async with Client(frontend.websocket_url) as other:
        two = await other.start("sample.wait_locked", [second.path])
        assert await client.call("sample.test_sum", [1, 1]) == 2, "what is not locking goes on"
        second.open()
        assert not two.done()
        first.open()
        assert result(await one) == "waited"
        assert result(await two) == "waited"


async def test_a_call_behind_a_blocking_one_is_not_started_in_time(hasty: Client, gate: Gate) -> None:
    """And it does not run later either."""
    held = await begin(hasty, "sample.hold", gate)
    error = await hasty.error("sample.note_run", ["late"])
    assert error.code == -32002
    assert error.data == {"executed": "no", "retryable": True}
    gate.open()
    await held
    ran: list[Any] = []

    async def tells() -> bool:
        """Unless it is too late for this as well."""
        answer = await (await hasty.start("rpc.get", {"path": "sample.ran"}))
        ran.append(answer.get("result"))
        return "result" in answer

    await wait_until(tells, "it tells what has run")
    assert "late" not in ran[-1]


async def test_a_blocking_call_costs_the_object_neither_lease_nor_frontend(
    hasty: Client, hasty_worker: Service, gate: Gate
) -> None:
    """It lasts longer than a lease, and its caller has his answer at the deadline."""
    held = await begin(hasty, "sample.hold", gate)
    began = time.monotonic()
    error = RemoteError((await held)["error"])
    assert (error.code, error.data["executed"]) == (-32003, "maybe")
    await wait_until(lambda: hasty_worker.says(r"WARNING.*sample\.hold"), "the call that hangs is named in the log")
    await wait_until(lambda: time.monotonic() - began > 1.5 * Config().lease.duration, "its lease would be over")
    gate.open()
    await wait_until(lambda: serves(hasty), "the object serves again")
    assert not hasty_worker.says("not owned by this process any more")


async def serves(client: Client) -> bool:
    return "result" in await (await client.start("sample.test_sum", [1, 2]))


async def test_an_async_call_is_cancelled_at_its_deadline(client: Client) -> None:
    error = await client.error("sample.impatient")
    assert (error.code, error.data["executed"]) == (-32003, "maybe")


async def test_a_caller_may_set_a_shorter_deadline(client: Client, gate: Gate) -> None:
    error = await client.error("rpc.call", {"path": "sample.wait", "args": [gate.path], "timeout_s": 0.1})
    assert error.code == -32003
    await wait_for_note(client, "cancelled")


async def test_a_method_may_have_a_longer_deadline_than_the_default(hasty: Client, gate: Gate) -> None:
    """Also longer than the frontend would wait by itself: start delay, default time-out and its grace, 3.6 s."""
    waiting = await begin(hasty, "sample.patient", gate, 4.5)
    assert result(await waiting) == "done"


async def test_a_running_call_can_be_cancelled(client: Client, gate: Gate) -> None:
    waiting = await client.start("sample.wait", [gate.path])
    await gate.wait_until_reached()
    assert await client.call("rpc.cancel", {"id": 2}) is None, "the second request of this client"
    error = RemoteError((await waiting)["error"])
    assert (error.code, error.data["executed"]) == (-32007, "maybe")


async def test_a_call_that_waits_can_be_cancelled_and_never_runs(
    client: Client, frontend: Frontend, tmp_path: Path
) -> None:
    first, second = gates(tmp_path, 2)
    held = await client.start("sample.wait_locked", [first.path])
    await first.wait_until_reached()
    async with Client(frontend.websocket_url) as other:
        waiting = await other.start("sample.wait_locked", [second.path])
        await other.call("rpc.cancel", {"id": 1})
        error = RemoteError((await waiting)["error"])
        assert (error.code, error.data["executed"]) == (-32007, "no")
    first.open()
    assert result(await held) == "waited"
    assert not second.is_reached


async def test_only_the_caller_can_cancel(client: Client, frontend: Frontend, gate: Gate) -> None:
    async with Client(frontend.websocket_url) as plain, Client(frontend.websocket_url) as stranger:
        waiting = await plain.start("sample.wait", [gate.path])
        await gate.wait_until_reached()
        for each in (stranger, client):
            await each.call("rpc.cancel", {"id": 1})
        await client.call("sample.test_sum", [1, 1])
        assert not waiting.done()
        gate.open()
        assert result(await waiting) == "waited"


async def test_requests_of_a_client_that_is_gone_end(client: Client, frontend: Frontend, gate: Gate) -> None:
    async with Client(frontend.websocket_url) as other:
        await other.hello()
        await other.start("sample.wait", [gate.path])
        await gate.wait_until_reached()
    gate.open()
    assert await client.call("sample.test_sum", [1, 2]) == 3


async def wait_for_note(client: Client, note: Any) -> None:
    async def is_noted() -> bool:
        return note in await client.get("sample.ran")

    await wait_until(is_noted, f"{note} is noted")
