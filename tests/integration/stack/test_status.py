"""`rpc.status` and `wispy top`, the access log and the warnings of slow calls, over the whole service."""

import asyncio
import contextlib
import functools
import json
import signal
import subprocess
from typing import Any

import pytest
import redis

from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.gate import Gate
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Service, Stack, command, free_port
from tests.support.waiting import wait_until, wait_until_blocking
from wispy.protocol.errors import METHOD_NOT_FOUND
from wispy.protocol.labels import public_name
from wispy.protocol.status import MAX_SESSIONS

SAMPLE = "sample=served:Sample"


@pytest.fixture
def make_stack(make_stack: MakeStack) -> MakeStack:
    """In place of the package's: with a console, which a frontend by itself has only if it is told."""
    return functools.partial(make_stack, console="true")


def status_of(frontend: Frontend) -> dict[str, Any]:
    answer = frontend.post("rpc.status")
    assert "result" in answer, answer
    return answer["result"]


def object_of(status: dict[str, Any], name: str = "sample") -> dict[str, Any]:
    (row,) = [row for row in status["objects"] if row["name"] == name]
    return row


async def wait_for_status(frontend: Frontend, condition: Any, description: str) -> dict[str, Any]:
    """Ask until the status is as it should be; the frontend answers anew twice a second.

    A process that is too busy to report within a moment is missing in an answer, and its numbers with it.
    """
    seen: list[dict[str, Any]] = []

    async def holds() -> bool:
        seen.append(await asyncio.to_thread(status_of, frontend))
        return condition(seen[-1])

    await wait_until(holds, lambda: f"{description}: {seen[-1]}", 20)
    return seen[-1]


# --- rpc.status -----------------------------------------------------------------------------------------------------


async def test_the_status_tells_owners_counts_frontends_and_sessions(make_stack: MakeStack) -> None:
    stack = make_stack()
    worker = stack.worker(SAMPLE, "quiet=served:quiet")
    frontend, other = stack.frontend(), stack.frontend()
    async with Client(frontend.websocket_url) as client, Client(other.websocket_url) as plain:
        welcome = await client.hello()
        await client.subscribe("sample.a", "sample.b")
        for number in range(3):
            assert await client.call("sample.test_sum", [number, 1]) == number + 1
        await client.error("sample.fail", ["secret-argument"])
        await client.error("sample.nothing")
        assert await plain.get("sample.limit") == 10
        await plain.set("sample.note", "secret-value")
        await client.set("sample.a", 2)
        await client.wait_for_update("sample.a", 2)
        status = await wait_for_status(
            other,
            lambda status: len(status["frontends"]) == 2 and object_of(status)["counts"]["calls"],
            "all report in time",
        )
    row = object_of(status)
    assert row["counts"] | {"updates": 0} == {
        "denied": 1,
        "calls": 5, "gets": 1, "sets": 2, "deletes": 0, "errors": 1, "refused": 1, "updates": 0
    }  # fmt: skip
    assert row["counts"]["updates"] >= 1
    assert row["busy_ms"] >= 0
    assert (row["running"], row["queue"]) == (0, {"length": 0, "oldest_ms": None})
    assert row["owner"]["pid"] == worker.pid
    assert row["owner"]["id"].startswith(f"{row['owner']['generation']}-")
    assert status["clock_ms"] - 60_000 < row["owner"]["since_ms"] <= status["clock_ms"]
    assert object_of(status, "quiet")["counts"] == dict.fromkeys(row["counts"], 0)

    frontends = {each["pid"]: each for each in status["frontends"]}
    assert set(frontends) == {frontend.pid, other.pid}
    one, two = frontends[frontend.pid], frontends[other.pid]
    assert (one["connections"], one["sessions"]) == (1, 1)
    assert (two["connections"], two["sessions"]) == (1, 0)
    assert one["counts"]["requests"] == 8  # hello, subscribe, five calls, a set
    assert one["counts"]["deliveries"] >= 1
    assert one["since_ms"] <= two["since_ms"] <= status["clock_ms"]

    assert status["sessions_total"] == 2
    sessions = {each["id"]: each for each in status["sessions"]}
    row = sessions[public_name(welcome["session"])]
    assert (row["frontend"], row["subscriptions"], row["in_flight"]) == (one["id"], 2, 0)
    assert (row["address"], row["user"]) == ("127.0.0.1", None)
    assert status["sessions"][0]["since_ms"] >= status["sessions"][1]["since_ms"]
    told = json.dumps(status)
    assert welcome["session"] not in told
    assert welcome["token"] not in told
    assert "secret" not in told


async def test_the_queue_tells_what_waits_behind_a_call_that_runs(make_stack: MakeStack, gate: Gate) -> None:
    stack = make_stack()
    stack.worker(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        holding = await client.start("sample.hold", [gate.path])
        await gate.wait_until_reached()
        waiting = [await client.start("sample.test_sum", [1, 2]) for _ in range(5)]
        status = await wait_for_status(
            frontend,
            lambda status: object_of(status)["queue"]["length"] == 5 and object_of(status)["running"] == 1,
            "one runs, and five requests wait",
        )
        row = object_of(status)
        assert 0 <= row["queue"]["oldest_ms"] < 20_000
        await wait_for_status(
            frontend, lambda status: [each["in_flight"] for each in status["sessions"]] == [6], "of one session"
        )
        gate.open()
        await asyncio.gather(holding, *waiting)
        status = await wait_for_status(
            frontend, lambda status: object_of(status)["counts"]["calls"] == 6, "all have ended"
        )
        assert object_of(status)["running"] == 0
        assert object_of(status)["queue"] == {"length": 0, "oldest_ms": None}


async def test_without_an_owner_requests_wait_in_redis_and_a_new_owner_counts_anew(make_stack: MakeStack) -> None:
    stack = make_stack(**{"func_caller.max_start_delay_default": "30s"})
    worker = stack.worker(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        await client.call("sample.test_sum", [1, 2])
        former = object_of(await asyncio.to_thread(status_of, frontend))["owner"]["id"]
        worker.kill_alone()
        waiting = await client.start("sample.test_sum", [1, 2])
        status = await wait_for_status(
            frontend, lambda status: object_of(status)["owner"] is None, "a lease later nobody owns it"
        )
        row = object_of(status)
        assert row["queue"]["length"] == 1
        assert row["queue"]["oldest_ms"] > 0
        assert set(row["counts"].values()) == {0}
        stack.worker(SAMPLE)
        await waiting
        row = object_of(
            await wait_for_status(
                frontend, lambda status: object_of(status)["counts"]["calls"], "its new owner reports in time"
            )
        )
        assert row["owner"]["id"] != former
        assert row["counts"]["calls"] == 1


async def test_a_frontend_that_does_not_answer_is_missing_and_the_others_are_told_of(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.worker(SAMPLE)
    frontend, hanging = stack.frontend(), stack.frontend()
    await wait_for_status(frontend, lambda status: len(status["frontends"]) == 2, "both report in time")
    hanging.send(signal.SIGSTOP)
    try:
        status = await wait_for_status(
            frontend, lambda status: [each["pid"] for each in status["frontends"]] == [frontend.pid], "one is missing"
        )
    finally:
        hanging.send(signal.SIGCONT)
    assert object_of(status)["owner"]
    await wait_for_status(frontend, lambda status: len(status["frontends"]) == 2, "it is back")


async def test_the_newest_sessions_are_shown_and_all_are_counted(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.worker(SAMPLE)
    frontend = stack.frontend()
    number = MAX_SESSIONS + 5
    async with contextlib.AsyncExitStack() as clients:
        for _ in range(number):
            await clients.enter_async_context(Client(frontend.websocket_url))
        newest = await clients.enter_async_context(Client(frontend.websocket_url))
        welcome = await newest.hello()
        status = await wait_for_status(
            frontend, lambda status: status["sessions_total"] == number + 1, "all of them are counted"
        )
    assert len(status["sessions"]) == len({each["id"] for each in status["sessions"]}) == MAX_SESSIONS
    assert status["sessions"][0]["id"] == public_name(welcome["session"])


def test_where_the_console_is_off_there_is_no_such_method(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.worker(SAMPLE)
    shown, *hidden = stack.frontend(), stack.frontend(console="false"), stack.frontend(console="auto")
    for frontend in hidden:
        answer = frontend.post("rpc.status")
        assert answer["error"]["code"] == METHOD_NOT_FOUND.code
        assert answer["error"]["message"] == frontend.post("rpc.statux")["error"]["message"].replace("statux", "status")
    pids = {each.pid for each in (shown, *hidden)}
    wait_until_blocking(
        lambda: {each["pid"] for each in status_of(shown)["frontends"]} == pids, "those that show none are shown"
    )


def test_a_program_that_is_all_in_one_tells_its_status(make_stack: MakeStack) -> None:
    stack = make_stack()
    port = free_port()
    flags = ("--port", str(port), "--set", "launch=never")
    serving = stack.run([command("wispy"), "serve", "--object", SAMPLE, *flags])
    serving.wait_until_says("wispy serves sample")
    seen = top(f"http://127.0.0.1:{port}", "--once", "--interval", "0.5")
    assert (seen.returncode, seen.stderr) == (0, "")
    assert f"pid {serving.pid}" in seen.stdout


def test_the_status_leaves_nothing_in_redis(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.worker(SAMPLE)
    frontend = stack.frontend()
    path = stack.redis_url.removeprefix("unix://")
    with redis.Redis(unix_socket_path=path, protocol=2) as connection:
        before = set(connection.scan_iter(match=f"{stack.prefix}*", count=1000))
        for _ in range(3):
            status_of(frontend)
        assert set(connection.scan_iter(match=f"{stack.prefix}*", count=1000)) == before


# --- wispy top ------------------------------------------------------------------------------------------------------


def top(frontend: Frontend | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    url = frontend if isinstance(frontend, str) else frontend.url
    return subprocess.run(
        [command("wispy"), "top", "--url", url, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


async def test_top_looks_once_and_its_exit_status_says_whether_all_is_owned(make_stack: MakeStack) -> None:
    stack = make_stack()
    worker = stack.worker(SAMPLE)
    frontend = stack.frontend()
    frontend.post("sample.test_sum", 1, 2)
    seen = await asyncio.to_thread(top, frontend, "--once", "--interval", "0.5")
    assert (seen.returncode, seen.stderr) == (0, "")
    assert f"pid {worker.pid}" in seen.stdout
    assert "\x1b" not in seen.stdout

    async def shows_the_frontend() -> bool:
        """Unless it was too busy to report to itself in time."""
        return f"pid {frontend.pid}" in (await asyncio.to_thread(top, frontend, "--once", "--interval", "0.5")).stdout

    await wait_until(shows_the_frontend, "the frontend is shown, too")
    worker.kill_alone()
    await wait_for_status(frontend, lambda status: object_of(status)["owner"] is None, "nobody owns it")
    seen = await asyncio.to_thread(top, frontend, "--once", "--json", "--interval", "0.5")
    assert seen.returncode == 1
    (line,) = seen.stdout.splitlines()
    row = object_of(json.loads(line))
    assert row["owner"] is None
    assert row["rates"]["calls"] == 0


def test_top_goes_on_until_it_is_interrupted(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.worker(SAMPLE)
    frontend = stack.frontend()
    running = stack.run([command("wispy"), "top", "--url", frontend.url, "--json", "--interval", "0.5"])

    def looks() -> list[dict[str, Any]]:
        return [json.loads(line) for line in running.output.rpartition("\n")[0].splitlines()]

    def rates() -> list[float]:
        """Of the frontend: where it was in two answers in a row."""
        rows = [row["rates"] for look in looks() for row in look["frontends"]]
        return [each["requests"] for each in rows if each is not None]

    wait_until_blocking(rates, lambda: f"it has looked: {running.output}", 20)
    running.send(signal.SIGINT)
    assert running.wait() == 130
    assert object_of(looks()[0])["rates"] is None
    assert rates()[0] > 0


def test_top_says_why_it_cannot_look(make_stack: MakeStack) -> None:
    stack = make_stack()
    frontend = stack.frontend(console="false")
    seen = top(frontend, "--once")
    assert seen.returncode == 3
    assert "console: true" in seen.stderr
    assert top("http://127.0.0.1:1", "--once").returncode == 5
    seen = top(frontend, "--interval", "0.1")
    assert seen.returncode == 2
    assert "0.5" in seen.stderr


# --- the logs -------------------------------------------------------------------------------------------------------


def access_lines(service: Service) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]
    return [line for line in lines if "side" in line]  # the audit log's have none


async def test_frontend_and_worker_name_a_request_alike_and_tell_no_secret(make_stack: MakeStack) -> None:
    stack = make_stack(**{"logging_config.access": "json"})
    worker = stack.worker(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client, Client(frontend.websocket_url) as plain:
        welcome = await client.hello()
        await client.call("sample.echo", ["secret-argument"])
        await client.set("sample.note", "secret-value")
        await client.error("sample.nothing")
        await plain.call("sample.test_sum", [1, 2])
    frontend.post("sample.test_sum", 1, 2)

    def relayed() -> list[dict[str, Any]]:
        return [line for line in access_lines(frontend) if line["object"]]

    await wait_until(lambda: len(relayed()) == len(access_lines(worker)) == 5, "all lines are there")
    for ours, theirs in zip(relayed(), access_lines(worker), strict=True):
        for key in ("request", "operation", "object", "path", "outcome"):
            assert ours[key] == theirs[key]
        assert ours["duration_ms"] >= theirs["duration_ms"] >= 0
    names = [line["request"].partition(":")[0] for line in relayed()]
    assert names[0] == names[1] == names[2] == public_name(welcome["session"])
    assert len(set(names)) == 3
    assert [line["outcome"] for line in relayed()] == ["ok", "ok", "NOT_FOUND", "ok", "ok"]
    assert {line["address"] for line in relayed()} == {"127.0.0.1"}
    for output in (frontend.output, worker.output):
        assert "secret-" not in output
        assert welcome["session"] not in output
        assert welcome["token"] not in output


async def test_what_its_client_did_not_wait_for_is_logged_as_such(make_stack: MakeStack, gate: Gate) -> None:
    stack = make_stack(**{"logging_config.access": "text", "logging_config.access_worker": "false"})
    worker = stack.worker(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        waiting = await client.start("sample.wait", [gate.path])
        await gate.wait_until_reached()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    await wait_until(lambda: frontend.says(r"wispy\.access\.frontend.* call sample\.wait GONE "), "the line is there")
    gate.open()
    assert not worker.says(r"wispy\.access")


async def test_a_logged_call_is_cancelled_as_any_other(make_stack: MakeStack, gate: Gate) -> None:
    stack = make_stack(**{"logging_config.access": "text"})
    worker = stack.worker(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        waiting = await client.start("sample.wait", [gate.path])
        await gate.wait_until_reached()
        await client.call("rpc.cancel", {"id": 2})
        await waiting
    await wait_until(lambda: worker.says(r"call sample\.wait CANCELLED"), "the worker's line is there")
    await wait_until(lambda: frontend.says(r"call sample\.wait CANCELLED"), "and the frontend's")


@pytest.mark.parametrize("method", ["hold", "hold_threaded", "wait"])
async def test_a_slow_call_is_named_with_its_request(make_stack: MakeStack, gate: Gate, method: str) -> None:
    stack: Stack = make_stack(**{"logging_config.slow_call": "200 ms", "logging_config.access": "text"})
    worker = stack.worker(SAMPLE)
    frontend = stack.frontend()
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        waiting = await client.start(f"sample.{method}", [gate.path])
        await gate.wait_until_reached()
        status = await wait_for_status(frontend, lambda status: object_of(status)["running"] == 1, "it runs")
        began = status["clock_ms"]
        await wait_for_status(frontend, lambda status: status["clock_ms"] > began + 300, "some time has passed")
        gate.open()
        await waiting
    said = await asyncio.to_thread(
        worker.wait_until_says, rf"slow: sample\.{method} \(call, request ([0-9a-f]+:\d+)\) took \d+\.\d+ s"
    )
    await wait_until(lambda: frontend.says(rf" {said[1]} call sample\.{method} ok "), "the frontend names it alike")
