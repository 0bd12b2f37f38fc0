"""Objects that several workers share: whose work it is, what a lost one leaves, and what is refused."""

import asyncio
import json
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.gate import Gate
from tests.integration.stack.logins import SECRET, bearer, settings, write_tokens
from tests.support.books import Books
from tests.support.files import lines
from tests.support.rpc_client import Client
from tests.support.stack import RestartableRedis, Service, Stack, metrics_at
from tests.support.waiting import wait_until
from wispy.protocol.envelope import Seal
from wispy.protocol.errors import INVALID_PARAMS, NO_OWNER, NOT_FOUND, OUTCOME_UNKNOWN

with_and_without_login = pytest.mark.parametrize("has_login", [False, True], ids=["open", "auth"])

LEDGER = "ledger=stateless:Ledger"
OBJECT = "ledger"
SHARED: dict[str, Any] = {"shared": "true", "console": "true", "lease.duration": "10s"}
"""Nobody is held for dead on a busy machine: only the tests that wait for it have shorter leases."""

MORTAL: dict[str, Any] = {**SHARED, "lease.duration": "4s"}
"""For tests that kill workers."""


def login_settings(folder: Path) -> dict[str, Any]:
    write_tokens(folder / "tokens.yaml", alice=["bookkeeper"], bob=[])
    return settings(kind="tokens", tokens=folder / "tokens.yaml")


def ask(stack: Stack, *command: str | int) -> Any:
    with redis.Redis(
        unix_socket_path=stack.redis_url.removeprefix("unix://"), protocol=2, decode_responses=True
    ) as connection:
        return connection.execute_command(*command)


def key(stack: Stack, name: str) -> str:
    return f"{stack.prefix}{{{OBJECT}}}:{name}"


def is_nothing_left(stack: Stack) -> bool:
    """The stream is empty, and no worker has anything that it has not finished."""
    pending = [group["pending"] for group in groups(stack)]
    return ask(stack, "XLEN", key(stack, "requests")) == 0 and pending == [0]


def groups(stack: Stack) -> list[dict[str, Any]]:
    rows = ask(stack, "XINFO", "GROUPS", key(stack, "requests"))
    return [dict(zip(row[::2], row[1::2], strict=True)) if isinstance(row, list) else row for row in rows]


def serve(make_stack: MakeStack, workers: int, url: str | None = None, **config: Any) -> tuple[Stack, list[Service]]:
    """Workers of one ledger, and a frontend."""
    stack = make_stack(url, **{**SHARED, **config})
    services = [stack.worker(LEDGER) for _ in range(workers)]
    stack.frontend()
    return stack, services


@asynccontextmanager
async def clients(stack: Stack, **options: Any) -> AsyncIterator[tuple[Client, Client]]:
    """One with a session, and a plain one."""
    url = stack.first_frontend.websocket_url
    async with Client(url, **options) as client, Client(url, **options) as plain:
        await client.hello()
        yield client, plain


@asynccontextmanager
async def load(pair: tuple[Client, Client], folder: Path, run_s: float) -> AsyncIterator[Books]:
    """Calls of both that last for `run_s` each; at the end they run again, and the books balance.

    Between workers there is no order.
    """
    async with Books(folder / "executions", *pair, method="ledger.note_slowly", params=(run_s,)) as books:
        await books.wait_for_more()
        yield books
        await books.wait_for_more()
    books.check_runs()


async def test_each_of_several_workers_gets_calls_and_each_call_runs_once(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    stack, workers = serve(make_stack, 3)
    async with clients(stack) as pair:
        client, _ = pair
        async with load(pair, tmp_path, 0.01) as books:

            def shares() -> list[float]:
                """Of the workers, in what has run so far."""
                runs = Counter(answer.get("result") for answer in books.answers.values())
                return [runs[worker.pid] / runs.total() for worker in workers]

            await books.wait_for_more(100)
            await wait_until(lambda: min(shares()) > 1 / 6, lambda: f"nobody has much more than the others: {shares()}")
        assert len(await client.call("ledger.large", [3 << 20])) == 3 << 20, "more than a message has"
        await wait_until(lambda: is_nothing_left(stack), "all is finished")
        calls = len(books.sent) + 1
        row = await status_of(client, lambda row: (row["workers"], row["counts"]["calls"]) == (3, calls))
        assert row["owner"] is not None


async def calls_at_each(
    client: Client, path: Path, gate: Path, workers: list[Service]
) -> list["asyncio.Future[dict[str, Any]]"]:
    """Calls that run until the gate is there: a dozen, or as many as it takes until each worker has some of them."""
    calls: list[asyncio.Future[dict[str, Any]]] = []
    pids = {str(worker.pid) for worker in workers}

    def busy() -> set[str]:
        return {file.read_text() for file in gate.parent.glob(f"{gate.name}.*")}

    async def each_has() -> bool:
        if len(lines(path)) < len(calls):
            return False
        if len(calls) >= 12 and busy() >= pids:
            return True
        calls.append(await client.start("ledger.note_and_wait", [str(path), f"held-{len(calls)}", str(gate)]))
        return False

    await wait_until(each_has, lambda: f"each has some: {busy()} of {pids}")
    return calls


async def status_of(client: Client, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The object's row, once it is as it should be."""
    rows: list[dict[str, Any]] = []

    async def is_so() -> bool:
        rows[:] = (await client.call("rpc.status"))["objects"]
        return holds(rows[0])

    await wait_until(is_so, lambda: f"the status is as it should be: {rows}")
    return rows[0]


@with_and_without_login
async def test_of_a_worker_that_is_killed_each_call_is_answered_and_none_runs_twice(
    make_stack: MakeStack, tmp_path: Path, *, has_login: bool
) -> None:
    login = login_settings(tmp_path) if has_login else {}
    stack, workers = serve(make_stack, 3, **MORTAL, **login)
    gate, held = tmp_path / "gate", tmp_path / "held"
    async with clients(stack, **(bearer("alice-token") if has_login else {})) as pair:
        client, _ = pair
        calls = await calls_at_each(client, held, gate, workers)
        async with load(pair, tmp_path, 0.005) as books:
            for victim in workers[:2]:
                victim.kill()
                await books.wait_for_more()
            # Those of a lost worker are answered while it goes on; the others', when they end.
            await wait_until(lambda: any(call.done() for call in calls), "what was lost is answered")
            gate.touch()
            answers = await asyncio.wait_for(asyncio.gather(*calls), 20)
        doubtful = [answer for answer in answers if "error" in answer]
        assert 0 < len(doubtful) < len(calls)
        assert {answer["error"]["code"] for answer in doubtful} == {OUTCOME_UNKNOWN.code}
        assert {answer["result"] for answer in answers if "result" in answer} == {workers[2].pid}
        assert sorted(lines(held)) == sorted(f"held-{n}" for n in range(len(calls))), "each ran once"
        await wait_until(lambda: is_nothing_left(stack), "all is finished")
        await status_of(client, lambda row: row["workers"] == 1)


async def test_a_paused_worker_runs_nothing_that_others_have_answered_twice(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    stack, (paused, _) = serve(make_stack, 2, **{"lease.duration": "1.5s"})
    async with clients(stack) as pair, load(pair, tmp_path, 0.02) as books:
        client, _ = pair
        for turn in range(2):
            await books.wait_for_more(20)
            paused.send(signal.SIGSTOP)
            claims = len(books.executed("maybe"))
            await wait_until(lambda claims=claims: len(books.executed("maybe")) > claims, "what it had is answered")
            paused.send(signal.SIGCONT)
            await wait_until(lambda turn=turn: paused.output.count("joins anew") > turn, "it notices")
            await status_of(client, lambda row: row["workers"] == 2)


async def test_a_worker_that_is_asked_to_end_loses_nothing(make_stack: MakeStack, tmp_path: Path) -> None:
    # No call is to wait for too long on a busy machine.
    stack, _ = serve(make_stack, 1, **{"func_caller.max_start_delay_default": "20s"})
    async with clients(stack) as pair:
        async with load(pair, tmp_path, 0.01) as books:
            for _ in range(3):
                other = stack.worker(LEDGER)
                await books.wait_for_more()
                assert other.stop() == 0
                await books.wait_for_more()
        errors = [answer["error"] for answer in books.answers.values() if "error" in answer]
        assert not errors, "no failed and no doubtful call"


async def test_what_a_worker_is_given_while_it_goes_is_run_by_another(make_stack: MakeStack, tmp_path: Path) -> None:
    stack, _ = serve(make_stack, 1)
    other = stack.worker("ledger=stateless:Lingering")
    path = tmp_path / "executions"
    calls = 0
    async with Client(stack.first_frontend.websocket_url) as client:
        await client.hello()
        other.send(signal.SIGTERM)
        while other.is_running:  # it asked Redis for work before it was told to end, and may be given some
            calls += 1
            answer = await asyncio.wait_for(await client.start("ledger.note", [str(path), f"{calls}"]), 30)
            assert "error" not in answer
    assert other.wait() == 0
    assert lines(path) == [f"{number}" for number in range(1, calls + 1)]


@with_and_without_login
async def test_what_waits_for_the_last_worker_is_for_the_next_one(
    make_stack: MakeStack, tmp_path: Path, *, has_login: bool
) -> None:
    config = {"func_caller.max_start_delay_default": "30s", **(login_settings(tmp_path) if has_login else {})}
    stack = make_stack(**SHARED, **config)
    first = stack.worker(LEDGER)
    path = tmp_path / "executions"
    async with Client(stack.frontend().websocket_url, **(bearer("alice-token") if has_login else {})) as client:
        await client.hello()
        await client.call("ledger.note", [str(path), "first"])
        slow = [await client.start("ledger.note_slowly", [str(path), f"{n}", 0.3]) for n in range(14)]
        await wait_until(lambda: len(lines(path)) >= 2, "the first of them runs")
        assert first.stop() == 0
        assert len(lines(path)) < 15, "some had not begun"
        second = stack.worker(LEDGER)
        answers = await asyncio.wait_for(asyncio.gather(*slow), 20)
        assert {answer.get("result") for answer in answers} == {first.pid, second.pid}
        assert sorted(lines(path)) == sorted([*map(str, range(14)), "first"])


async def test_without_a_worker_calls_are_answered_in_time(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack(**SHARED, **{"func_caller.max_start_delay_default": "4s"})
    worker = stack.worker(LEDGER)
    async with Client(stack.frontend().websocket_url) as client:
        await client.hello()
        path = str(tmp_path / "executions")
        await client.call("ledger.note", [path, "first"])
        assert worker.stop() == 0
        answer = await asyncio.wait_for(await client.start("ledger.note", [path, "second"]), 20)
        assert answer["error"]["code"] == NO_OWNER.code
        await wait_until(lambda: is_nothing_left(stack), "it was taken back")
        stack.worker(LEDGER)
        await client.call("ledger.note", [path, "third"])
        assert lines(Path(path)) == ["first", "third"]


async def test_a_copy_of_a_call_is_not_run(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack(**SHARED, **{"session.secret": "s" * 32})
    stack.worker(LEDGER)
    path, gate = tmp_path / "executions", tmp_path / "gate"
    async with Client(stack.frontend().websocket_url) as first, Client(stack.frontend().websocket_url) as second:
        hello = await first.hello()
        await first.start("ledger.note_and_wait", [str(path), "once", str(gate)])
        await wait_until(lambda: Path(f"{gate}.once").exists(), "it runs")
        await second.hello(hello)
        copy = {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "ledger.note_and_wait",
            "params": [str(path), "once", str(gate)],
            "wispy": {"ack": 1, "at": hello["ms"], "run": hello["run"], "retry": True},
        }
        answer = await second.ask_raw(json.dumps(copy))
        gate.touch()
        assert answer["id"] == 2
        assert answer["error"]["data"]["executed"] == "maybe"
        assert lines(path) == ["once"]


async def test_health_and_metrics_tell_of_the_workers(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack(**MORTAL, health_port=0)
    worker, victim = [stack.worker(LEDGER) for _ in range(2)]
    url = worker.wait_until_says(r"health is told at (http://\S+)/healthz")[1]
    path, gate = tmp_path / "executions", tmp_path / "gate"

    def numbers() -> dict[str, float]:
        found = r'^(wispy_object_\w+)\{[^}]*object="ledger"[^}]*\} (\S+)$'
        rows = re.findall(found, metrics_at(url), re.MULTILINE)
        return {name: float(value) for name, value in rows}

    def is_ready() -> bool:
        return httpx.get(f"{url}/readyz", trust_env=False, timeout=30).status_code == 200

    await wait_until(lambda: numbers()["wispy_object_workers"] == 2, "both are counted")
    await wait_until(is_ready, "a worker among others is ready")
    async with Client(stack.frontend().websocket_url) as client:
        calls = await calls_at_each(client, path, gate, [worker, victim])
        victim.kill()
        await wait_until(lambda: numbers()["wispy_object_workers"] == 1, "one is left")
        await wait_until(lambda: sum(call.done() for call in calls) > 0, "what the other had is answered")
        gate.touch()
        answers = await asyncio.gather(*calls)
        lost = [answer for answer in answers if "error" in answer]
        await wait_until(
            lambda: numbers()["wispy_object_entries_claimed_total"] == len(lost), "what was taken over is counted"
        )


async def test_connections_that_break_again_and_again(
    make_stack: MakeStack, redis_server: RestartableRedis, tmp_path: Path
) -> None:
    stack, _ = serve(make_stack, 2, redis_server.url)
    async with clients(stack) as pair, load(pair, tmp_path, 0.005) as books:
        for _ in range(5):
            await books.wait_for_more()
            for kind in ("normal", "pubsub"):
                redis_server.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        await books.wait_for_more()
        redis_server.stop()
        redis_server.start()
    await wait_until(lambda: redis_server.ask("XLEN", key(stack, "requests")) == 0, "all is finished")
    stack.close()


# --- who asks ---------------------------------------------------------------------------------------------------------


async def test_each_worker_knows_who_asks_and_what_he_may(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack(**SHARED, **login_settings(tmp_path))
    workers = [stack.worker(LEDGER) for _ in range(2)]
    pids = {worker.pid for worker in workers}
    url = stack.frontend().websocket_url
    path = tmp_path / "executions"
    async with Client(url, **bearer("alice-token")) as alice, Client(url, **bearer("bob-token")) as bob:
        for client, identity in ((alice, ["alice", ["bookkeeper"]]), (bob, ["bob", []])):
            await client.hello()
            await ask_until_all_were(client, identity, pids)
        noted: list[int] = []

        async def all_have() -> bool:
            params = [[str(path), f"{len(noted) + n}", 0.01] for n in range(20)]
            noted.extend(await asyncio.gather(*[alice.call("ledger.note_as_bookkeeper", each) for each in params]))
            return set(noted) == pids

        await wait_until(all_have, "each worker has noted something")
        params = [str(path), "bob's", 0.01]
        errors = await asyncio.gather(*[bob.error("ledger.note_as_bookkeeper", params) for _ in range(20)])
        assert {error.code for error in errors} == {NOT_FOUND.code}
        assert sorted(lines(path)) == sorted(f"{n}" for n in range(len(noted))), "and bob notes nothing"
        described = await bob.call("rpc.describe", {"path": "ledger"})
        assert "note_as_bookkeeper" not in {method["name"] for method in described["methods"]}


async def ask_until_all_were(client: Client, identity: list[Any], workers: set[int]) -> None:
    """Ask who asks, until each worker has been asked; all say the same."""
    asked: set[int] = set()

    async def all_were() -> bool:
        for answer in await asyncio.gather(*[client.call("ledger.who", [0.01]) for _ in range(10)]):
            assert answer[:2] == identity
            asked.add(answer[2])
        return asked == workers

    await wait_until(all_were, "each worker was asked")


async def test_workers_run_only_what_a_frontend_has_sealed_and_that_for_a_while_only(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    start_delay = {"func_caller.max_start_delay_default": "4s"}
    stack = make_stack(**SHARED, **login_settings(tmp_path), **start_delay)
    workers = [stack.worker(LEDGER) for _ in range(2)]
    path = tmp_path / "executions"
    async with Client(stack.frontend().websocket_url, **bearer("alice-token")) as alice:
        hello = await alice.hello()
        await alice.call("ledger.note", [str(path), "alice"])
        stream = key(stack, "requests")
        request = [1, hello["ms"], False, "ledger.note", [str(path), "thief"]]
        entry = json.dumps(
            ["f", [["a session", hello["run"], 0, [], [request], ["alice", ["bookkeeper"], 0]]]]
        ).encode()
        seal = Seal(SECRET, stream).seal
        seals = [lambda it: it, Seal("another secret", stream).seal, lambda it: seal(it).replace(b"alice", b"bobby")]
        for sealed in seals:
            write(stack, sealed(entry))
        await wait_until(lambda: is_nothing_left(stack), "all are refused")
        await wait_until(
            lambda: sum(worker.output.count('"reason": "seal"') for worker in workers) == len(seals),
            "each forgery is told of, and once",
        )
        # Nobody remembers what ran: whoever may write to the stream can have it run again, until it is too old.
        await wait_until(lambda: server_ms(stack) > hello["ms"] + 4000, "it is too old")
        write(stack, seal(entry))
        await wait_until(lambda: is_nothing_left(stack), "it is refused, too")
        assert lines(path) == ["alice"]


def write(stack: Stack, entry: bytes) -> None:
    with redis.Redis(unix_socket_path=stack.redis_url.removeprefix("unix://"), protocol=2) as thief:
        thief.xadd(key(stack, "requests"), {"e": entry})


def server_ms(stack: Stack) -> int:
    seconds, microseconds = ask(stack, "TIME")
    return int(seconds) * 1000 + int(microseconds) // 1000


# --- refused ----------------------------------------------------------------------------------------------------------


async def test_who_would_own_what_others_share_is_refused_and_the_other_way_round(make_stack: MakeStack) -> None:
    stack = make_stack()
    shared = stack.worker(LEDGER, **SHARED)
    sole = stack.worker(LEDGER, wait=False)
    assert sole.wait() == 2
    assert sole.says("ledger is shared by workers that were started with --shared")
    assert "Traceback" not in sole.output
    assert shared.stop() == 0
    owner = stack.worker(LEDGER)  # at once: the last one has given it up
    refused = stack.worker(LEDGER, wait=False, **SHARED)
    assert refused.wait() == 2
    assert refused.says("which was started without --shared")
    assert owner.is_running
    owner.kill()
    stack.worker(LEDGER, **SHARED)  # once its lease is over


async def test_the_other_objects_of_a_worker_that_is_refused_end_their_calls(make_stack: MakeStack, gate: Gate) -> None:
    # A long lease: that somebody else has it is known once it is renewed, which is each third of it.
    stack = make_stack(**{"func_caller.max_start_delay_default": "20s", "lease.duration": "5s"})
    stack.worker(LEDGER, **SHARED)
    assert stack.worker("sample=served:Sample").stop() == 0
    async with Client(stack.frontend().websocket_url) as client:
        await client.hello()
        waiting = await client.start("sample.wait", [gate.path])
        refused = stack.worker("sample=served:Sample", LEDGER, wait=False)
        await gate.wait_until_reached()
        await wait_until(lambda: refused.says("ledger cannot be served, the other objects"), "it is refused")
        gate.open()
        assert (await waiting).get("result") == "waited"
    assert refused.wait() == 2


@pytest.mark.parametrize(
    ("spec", "reason"),
    [("telling=stateless:Telling", r"it has channels \(newest\)"), ("keeping=stateless:Keeping", "it has a state")],
)
def test_an_object_with_channels_or_a_state_is_refused(make_stack: MakeStack, spec: str, reason: str) -> None:
    worker = make_stack(**SHARED).worker(spec, wait=False)
    assert worker.wait() == 2
    assert worker.says(reason)
    assert "Traceback" not in worker.output


async def test_nothing_of_a_shared_object_is_set_or_published(make_stack: MakeStack) -> None:
    stack = make_stack(**SHARED)
    stack.worker(LEDGER)
    async with Client(stack.frontend().websocket_url) as client:
        await client.hello()
        assert await client.get("ledger.unit") == "euro"
        described = await client.call("rpc.describe", {"path": "ledger.unit"})
        assert described["settable"] is False
        for method, params in (
            ("rpc.set", {"path": "ledger.unit", "value": "yen"}),
            ("rpc.delete", {"path": "ledger.unit"}),
        ):
            answer = await (await client.start(method, params))
            assert answer["error"]["code"] == INVALID_PARAMS.code
            assert "shared by several workers" in answer["error"]["message"]
        answer = await (await client.start("ledger.declare", ["newest"]))
        assert answer["error"]["data"]["type"] == "ValueError"
        assert "cannot have channels" in answer["error"]["message"]
        assert await client.call("rpc.channels", {"object": "ledger"}) == {}
