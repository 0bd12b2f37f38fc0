"""The audit log: what is denied at every door of real frontends and workers, with who, from where and why."""

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from websockets.exceptions import InvalidStatus

from tests.integration.stack.attacks import raw_request
from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.logins import LOGIN, SECRET, bearer, call, settings, write_tokens
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Service, Stack, command, metrics_at
from tests.support.waiting import wait_until
from wispy.broker.keys import Keys
from wispy.protocol.labels import public_name

GUARDED = "guarded=served:Guarded"


def audit_lines(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if "process" in line]


def said(service: Service, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(line.get(key) for key in keys) for line in audit_lines(service.output)]


@pytest.fixture
def secured(make_stack: MakeStack, tmp_path: Path) -> Callable[..., tuple[Service, Frontend]]:
    """Starts a worker and a frontend with logins."""

    def start(**config: Any) -> tuple[Service, Frontend]:
        write_tokens(tmp_path / "tokens.yaml", alice=["operator"], bob=[])
        auth = settings(kind="tokens", tokens=tmp_path / "tokens.yaml", recheck=0.3)
        stack = make_stack(console="true", **auth, **config)
        return stack.worker(GUARDED), stack.frontend()

    return start


async def test_what_an_owner_denies_is_written_with_who_from_where_and_why(
    secured: Callable[..., tuple[Service, Frontend]],
) -> None:
    worker, frontend = secured()
    async with Client(frontend.websocket_url, **bearer("bob-token")) as bob:
        welcome = await bob.hello()
        await bob.error("guarded.stop", ["secret-argument"])
        await bob.error("rpc.get", {"path": "guarded.engine.power"})
        await bob.error("rpc.set", {"path": "guarded.gain", "value": "secret-value"})
        await bob.error("rpc.set", {"path": "guarded.calls", "value": 1})
        await bob.error("rpc.get", {"path": "guarded.__class__.__init__"})
        await bob.error("guarded.quick", ["no number"])  # a mistake, and nothing that is denied
        assert await bob.call("guarded.quick", [1]) == 1
    await wait_until(lambda: len(said(frontend)) == 5, lambda: f"all is written: {frontend.output}")
    assert said(frontend, "outcome", "reason", "user", "address", "operation", "object", "path") == [
        ("denied", "role", "bob", "127.0.0.1", "call", "guarded", "stop"),
        ("denied", "role", "bob", "127.0.0.1", "get", "guarded", "engine.power"),
        ("denied", "role", "bob", "127.0.0.1", "set", "guarded", "gain"),
        ("denied", "operation", "bob", "127.0.0.1", "set", "guarded", "calls"),
        ("denied", "absent", "bob", "127.0.0.1", "get", "guarded", "__class__.__init__"),
    ]
    sessions = {request.partition(":")[0] for (request,) in said(frontend, "request")}
    assert sessions == {public_name(welcome["session"])}
    assert said(worker) == []  # one event, one line
    for secret in ("secret-", "bob-token", welcome["session"], welcome["token"]):
        assert secret not in frontend.output + worker.output


async def test_who_is_denied_learns_no_more_than_before(secured: Callable[..., tuple[Service, Frontend]]) -> None:
    _, frontend = secured()
    async with Client(frontend.websocket_url, **bearer("bob-token")) as bob:
        denied = [await bob.error("rpc.get", {"path": f"guarded.{name}"}) for name in ("current", "absent", "_calls")]
    answers = [(error.code, error.message, error.data) for error in denied]
    assert answers[0] == answers[1] == answers[2]
    assert set(answers[0][2]) == {"executed", "retryable"}
    await wait_until(lambda: len(said(frontend)) == 3, "all is written")
    assert [reason for (reason,) in said(frontend, "reason")] == ["role", "absent", "absent"]


async def test_what_the_frontend_denies_is_written(secured: Callable[..., tuple[Service, Frontend]]) -> None:
    _, frontend = secured()
    with pytest.raises(InvalidStatus):
        async with Client(frontend.websocket_url, additional_headers={"Origin": "http://evil.example"}):
            pass
    async with httpx.AsyncClient(base_url=frontend.url, timeout=30) as http:
        await http.get("/healthz?token=secret-query", headers={"Host": "evil.example"})
        await http.post("/rpc", content=call("guarded.calls"), headers={"Content-Type": "application/json"})
    async with Client(frontend.websocket_url) as stranger:
        await stranger.error("guarded.calls")
        await stranger.error(LOGIN, {"token": "secret-guess"})
    async with Client(frontend.websocket_url, **bearer("bob-token")) as bob:
        await bob.hello({"session": "somebody", "token": "secret-forged"})
        await bob.subscribe("guarded.current", "guarded.absent", "guarded.level")
        await bob.error("nothing.here")
        await bob.error("rpc.nothing")
        await bob.send_raw("[" * 1000 + "]" * 1000)
    expected = [
        ("origin", None, "GET", "", "/ws"),
        ("host", None, "GET", "", "/healthz"),
        ("login", None, "POST", "", "/rpc"),
        ("login", None, "call", "guarded", "calls"),
        ("login", None, "rpc.authenticate", "", ""),
        ("session", "bob", "rpc.hello", "", ""),
        ("role", "bob", "rpc.subscribe", "guarded", "current"),
        ("absent", "bob", "rpc.subscribe", "guarded", "absent"),
        ("absent", "bob", "call", "nothing", "here"),
        ("absent", "bob", "rpc.nothing", "", ""),
        ("limit", "bob", "message", "", ""),
    ]
    await wait_until(lambda: len(said(frontend)) >= len(expected), lambda: f"all is written: {frontend.output}")
    seen = said(frontend, "reason", "user", "operation", "object", "path")
    assert sorted(map(str, seen)) == sorted(map(str, expected))
    details = {line["reason"]: line["detail"] for line in audit_lines(frontend.output)}
    assert "http://evil.example" in details["origin"]
    assert "evil.example" in details["host"]
    assert "secret-" not in frontend.output


async def test_what_is_too_large_is_written(secured: Callable[..., tuple[Service, Frontend]]) -> None:
    _, frontend = secured(**{"websocket_max_message_size": 2000, "limits.http_body": 1000, "limits.batch": 2})
    async with Client(frontend.websocket_url, **bearer("bob-token")) as bob:
        await bob.send_raw(json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "guarded.calls"}] * 3))
        await bob.send_raw("x" * 3000)
        await wait_until(lambda: bob.close_code == 1009, "the connection is closed")
    answer = await asyncio.to_thread(frontend.post_text, "x" * 1500, Authorization="Bearer bob-token")
    assert answer.status_code == 413
    await wait_until(lambda: len(said(frontend)) == 3, lambda: f"all is written: {frontend.output}")
    assert sorted(said(frontend, "reason", "user", "operation", "path")) == [
        ("limit", "bob", "POST", "/rpc"),
        ("limit", "bob", "message", ""),
        ("limit", "bob", "message", ""),
    ]


async def test_a_path_out_of_a_folder_is_written_on_one_line(make_stack: MakeStack, tmp_path: Path) -> None:
    config: dict[str, Any] = {"static.folders": f"{{pages: {tmp_path}}}"}
    frontend = make_stack().frontend(**config)
    foreign = "Origin: http://evil.example"
    for method, path in (("GET", "/pages//%0AFORGED%1B%5B2J"), ("POST", "/pages/x")):
        assert (await raw_request(frontend.address, method, path, b"", foreign)).startswith(b"HTTP/1.1 403"), method
    await wait_until(lambda: len(said(frontend)) == 2, lambda: f"both are written: {frontend.output}")
    assert said(frontend, "reason", "operation") == [("file", "GET"), ("origin", "POST")]
    assert "\nFORGED" not in frontend.output
    assert "\x1b" not in frontend.output


async def test_a_login_that_ends_is_written(secured: Callable[..., tuple[Service, Frontend]], tmp_path: Path) -> None:
    _, frontend = secured()
    async with Client(frontend.websocket_url, **bearer("alice-token")) as alice:
        await alice.call("guarded.stop")
        write_tokens(tmp_path / "tokens.yaml", bob=[])
        await wait_until(lambda: len(said(frontend)) == 1, "the connection is closed")
    assert said(frontend, "reason", "user", "operation", "detail") == [
        ("login", "alice", "websocket", "the login was withdrawn")
    ]


async def test_all_accesses_are_written_where_that_is_asked_for(
    secured: Callable[..., tuple[Service, Frontend]],
) -> None:
    _, frontend = secured(**{"audit.events": "all"})
    async with Client(frontend.websocket_url, **bearer("alice-token")) as alice:
        await alice.hello()
        await alice.call("guarded.stop")
        await alice.error("rpc.set", {"path": "guarded.calls", "value": 1})
        await alice.get("guarded.gain")
    await wait_until(lambda: len(said(frontend)) == 5, lambda: f"all is written: {frontend.output}")
    assert said(frontend, "outcome", "reason", "user", "operation", "path") == [
        ("ok", None, "alice", "websocket", ""),
        ("ok", None, "alice", "rpc.hello", ""),
        ("ok", None, "alice", "call", "stop"),
        ("denied", "operation", "alice", "set", "calls"),
        ("ok", None, "alice", "get", "gain"),
    ]
    assert all(line["duration_ms"] >= 0 for line in audit_lines(frontend.output)[1:3])


async def reported(client: Client) -> dict[str, Any]:
    """A status in which nobody is missing because he was too busy to report in time."""
    seen: list[dict[str, Any]] = []

    async def all_report() -> bool:
        seen.append(await client.call("rpc.status"))
        return bool(seen[-1]["frontends"]) and seen[-1]["objects"][0]["counts"]["denied"] > 0

    await wait_until(all_report, lambda: f"all report: {seen[-1]}")
    return seen[-1]


async def test_it_can_be_off_and_denials_are_counted_all_the_same(
    secured: Callable[..., tuple[Service, Frontend]],
) -> None:
    _, frontend = secured(**{"audit.events": "off", "metrics": "true"})
    async with Client(frontend.websocket_url, **bearer("bob-token")) as bob:
        await bob.error("guarded.stop")
        await bob.error("rpc.nothing")
        status = await reported(bob)
    assert status["objects"][0]["counts"]["denied"] == 1
    assert status["frontends"][0]["counts"]["denied"] == 1
    assert status["denials"] == []
    assert said(frontend) == []
    metrics = await asyncio.to_thread(metrics_at, frontend.url)
    assert 'wispy_frontend_denied_total{process="frontend-0",reason="absent"} 1.0' in metrics


async def test_the_status_and_the_metrics_show_denials(secured: Callable[..., tuple[Service, Frontend]]) -> None:
    worker, frontend = secured(health_port=0)
    async with Client(frontend.websocket_url, **bearer("bob-token")) as bob:
        await bob.error("guarded.stop")
        await bob.error("guarded.absent")
        status = await reported(bob)
    row = status["objects"][0]
    assert (row["counts"]["denied"], row["counts"]["refused"]) == (2, 2)
    newest, former = status["denials"]
    assert (newest["reason"], newest["path"], former["reason"], former["path"]) == ("absent", "absent", "role", "stop")
    port = worker.wait_until_says(r"http://127\.0\.0\.1:(\d+)").group(1)
    metrics = await asyncio.to_thread(metrics_at, f"http://127.0.0.1:{port}")
    assert 'wispy_object_denied_total{object="guarded",process="worker",reason="role"} 1.0' in metrics
    assert 'wispy_object_denied_total{object="guarded",process="worker",reason="absent"} 1.0' in metrics


async def test_a_flood_is_cut_and_nothing_goes_missing_silently(
    secured: Callable[..., tuple[Service, Frontend]],
) -> None:
    _, frontend = secured(**{"audit.rate": 10})
    async with Client(frontend.websocket_url, **bearer("bob-token")) as bob:
        await bob.hello()
        await asyncio.gather(*[bob.error("guarded.stop") for _ in range(200)])

    def told() -> int:
        lines = audit_lines(frontend.output)
        left_out = sum(line["counts"]["role"] for line in lines if line["outcome"] == "left out")
        return left_out + sum(line["outcome"] == "denied" for line in lines)

    await wait_until(lambda: told() == 200, lambda: f"each denial is told of: {told()}")
    assert len(audit_lines(frontend.output)) < 60


async def test_processes_write_to_one_file(make_stack: MakeStack, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    stack = make_stack(**{"audit.file": file})
    stack.worker(GUARDED)
    frontends = [stack.frontend(), stack.frontend()]
    for frontend in frontends:
        frontend.post("guarded.absent")
    await wait_until(lambda: len(audit_lines(file.read_text())) == 2, "both have written")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all(said(frontend) == [] for frontend in frontends)


def test_a_file_that_cannot_be_written_is_an_error_at_the_start(make_stack: MakeStack, tmp_path: Path) -> None:
    stack = make_stack()
    file = tmp_path / "absent" / "audit"
    frontend = stack.run([command("wispy-frontend"), "--redis", stack.redis_url, "--set", f"audit.file={file}"])
    assert frontend.wait() == 2
    assert "audit.file" in frontend.output


async def test_forged_entries_are_written_by_the_worker_and_do_not_fill_its_log(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    write_tokens(tmp_path / "tokens.yaml", alice=["operator"])
    stack: Stack = make_stack(**settings(kind="tokens", tokens=tmp_path / "tokens.yaml"))
    worker = stack.worker(GUARDED)
    stream = Keys(stack.prefix).of("guarded").requests
    with redis.Redis(unix_socket_path=stack.redis_url.removeprefix("unix://"), protocol=2) as forger:
        for _ in range(50):
            forger.xadd(stream, {"e": b"\x01" + b"x" * 100 + SECRET.encode()})
        await wait_until(lambda: forger.xlen(stream) == 0, "all are deleted")
    await wait_until(lambda: len(said(worker)) == 50, "each is in the audit log")
    assert set(said(worker, "outcome", "reason", "operation", "object", "user")) == {
        ("denied", "seal", "entry", "guarded", None)
    }
    assert worker.output.count("is deleted: no frontend") == 1
