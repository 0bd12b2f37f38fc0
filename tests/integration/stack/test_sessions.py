"""Sessions that outlive their connection: what was unanswered is answered elsewhere, and nothing runs twice."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.gate import Gate
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, clean_stack
from wispy.broker.embedded import EmbeddedServer
from wispy.protocol import errors

SECRET = "a secret that the frontends share"


@pytest.fixture(scope="module")
def pair(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Frontend]]:
    """Two frontends with one secret, and a worker."""
    with clean_stack(valkey_server, tmp_path_factory, **{"session.secret": SECRET, "session.window": 45}) as stack:
        stack.worker("sample=served:Sample")
        yield [stack.frontend(), stack.frontend()]


class Page(Client):
    """A client that sends each member of a request as the test says."""

    async def send(
        self, id: int, method: str, params: Any, *, at: int, run: str | None = None, retry: bool = False, ack: int = 0
    ) -> "asyncio.Future[dict[str, Any]]":
        wispy: dict[str, Any] = {"ack": ack, "at": at}
        if run is not None:
            wispy["run"] = run
        if retry:
            wispy["retry"] = True
        future = self._waiting[id] = asyncio.get_running_loop().create_future()
        message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params, "wispy": wispy}
        await self.send_raw(json.dumps(message))
        return future

    async def ask(self, *args: Any, **kwargs: Any) -> Any:
        """The whole answer."""
        return await asyncio.wait_for(await self.send(*args, **kwargs), 20)


async def runs_of(page: Client, name: str) -> int:
    return (await page.get("sample.ran")).count(name)


async def test_a_running_call_is_answered_at_the_other_frontend(pair: list[Frontend], gate: Gate) -> None:
    async with Page(pair[0].websocket_url) as page:
        hello = await page.hello()
        assert (hello["resumed"], hello["session_window_s"]) == (False, 45)
        at = hello["ms"]
        await page.send(2, "sample.note_run", ["twice?"], at=at)
        running = await page.send(3, "sample.wait", [gate.path], at=at)
        await gate.wait_until_reached()
    assert running.cancelled()
    async with Page(pair[1].websocket_url) as page:
        again = await page.hello(hello, last_id=3)
        assert (again["resumed"], again["session"], again["run"]) == (True, hello["session"], hello["run"])
        noted = await page.ask(2, "sample.note_run", ["twice?"], at=at, run=hello["run"], retry=True)
        assert isinstance(noted["result"], int)
        answer = await page.send(3, "sample.wait", [gate.path], at=at, run=hello["run"], retry=True)
        gate.open()
        assert (await asyncio.wait_for(answer, 20))["result"] == "waited"
        assert await runs_of(page, "twice?") == 1


async def test_a_former_connection_that_lingers_here_ends_and_hands_its_call_over(
    pair: list[Frontend], gate: Gate
) -> None:
    async with Page(pair[0].websocket_url) as former, Page(pair[0].websocket_url) as page:
        hello = await former.hello()
        await former.send(2, "sample.wait", [gate.path], at=hello["ms"])
        await gate.wait_until_reached()
        assert (await page.hello(hello, last_id=2))["resumed"]
        assert await former.wait_until_closed() == 1008
        answer = await page.send(2, "sample.wait", [gate.path], at=hello["ms"], run=hello["run"], retry=True)
        gate.open()
        assert (await asyncio.wait_for(answer, 20))["result"] == "waited"
        assert await page.get("sample.note") == "start"


async def test_a_retry_that_arrives_first_runs_and_one_under_another_run_does_not(pair: list[Frontend]) -> None:
    async with Page(pair[0].websocket_url) as page:
        hello = await page.hello()
        # Both in one turn, and so in one entry, in blocks of their own.
        known = await page.send(2, "sample.note_run", ["known"], at=hello["ms"], run=hello["run"], retry=True)
        foreign = await page.send(3, "sample.note_run", ["foreign"], at=hello["ms"], run="0" * 40, retry=True)
        fresh = await page.send(4, "sample.note_run", ["fresh"], at=hello["ms"])
        answers = await asyncio.wait_for(asyncio.gather(known, foreign, fresh), 20)
        assert "result" in answers[0]
        assert answers[1]["error"]["code"] == errors.OUTCOME_UNKNOWN.code
        assert answers[1]["error"]["data"]["executed"] == "maybe"
        assert "result" in answers[2]
        page._last_id = 4  # its own ids go on behind those chosen here
        runs = [await runs_of(page, name) for name in ("known", "foreign", "fresh")]
        assert runs == [1, 0, 1]


async def test_new_ids_come_after_those_of_retries(pair: list[Frontend]) -> None:
    async with Page(pair[0].websocket_url) as page:
        hello = await page.hello()
        await page.ask(7, "sample.test_sum", [1, 2], at=hello["ms"], retry=True)
        answer = await page.ask(7, "sample.test_sum", [3, 4], at=hello["ms"])
        assert answer["error"]["code"] == errors.INVALID_REQUEST.code


async def test_a_run_id_of_any_length_is_no_request(pair: list[Frontend]) -> None:
    async with Page(pair[0].websocket_url) as page:
        hello = await page.hello()
        answer = await page.ask(2, "sample.test_sum", [1, 2], at=hello["ms"], run="x" * 65)
        assert answer["error"]["code"] == errors.INVALID_REQUEST.code


def signed(session: str, **claims: Any) -> str:
    return jwt.encode({"sub": session, "exp": 2**33, **claims}, SECRET, algorithm="HS256")


async def test_what_is_not_this_sessions_token_begins_a_new_session(pair: list[Frontend]) -> None:
    async with Client(pair[0].websocket_url) as client:
        hello = await client.hello()
    session, token = hello["session"], hello["token"]
    forged = [
        {"session": session},
        {"token": token},
        {"session": session, "token": None},
        {"session": "other", "token": token},
        {"session": session, "token": token[:-2] + ("AA" if token[-2:] != "AA" else "BB")},
        {"session": session, "token": ""},
        {"session": session, "token": "no token"},
        {"session": session, "token": "é.é.é"},
        {"session": session, "token": jwt.encode({"sub": session, "exp": 2**33}, "x" * 32, algorithm="HS256")},
        {"session": session, "token": jwt.encode({"sub": session, "exp": 2**33}, "", algorithm="none")},
        {"session": session, "token": signed(session, exp=1)},
        {"session": session, "token": jwt.encode({"sub": session}, SECRET, algorithm="HS256")},
    ]
    names = {session}
    for params in forged:
        async with Client(pair[1].websocket_url) as client:
            answer = await client.call("rpc.hello", params)
            assert answer["resumed"] is False, params
            names.add(answer["session"])
    assert len(names) == len(forged) + 1, "each has a session of its own"
    for good in (token, signed(session)):
        async with Client(pair[1].websocket_url) as client:
            assert (await client.call("rpc.hello", {"session": session, "token": good}))["resumed"] is True


async def test_frontends_without_a_common_secret_say_so_and_begin_anew(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.worker("sample=served:Sample")
    one, other = stack.frontend(), stack.frontend()
    assert one.says("WARNING.* no session.secret is set")
    async with Client(one.websocket_url) as client:
        hello = await client.hello()
    async with Client(other.websocket_url) as client:
        assert (await client.hello(hello))["resumed"] is False
    async with Client(one.websocket_url) as client:
        assert (await client.hello(hello))["resumed"] is True


async def test_processes_of_one_frontend_share_a_secret(make_stack: MakeStack) -> None:
    stack = make_stack()
    stack.worker("sample=served:Sample")
    frontend = stack.frontend("--processes", "2")
    hello: dict[str, Any] | None = None
    for _ in range(10):  # whichever of the two it comes to
        async with Client(frontend.websocket_url) as client:
            former, hello = hello, await client.hello(hello)
            assert hello["resumed"] is (former is not None)
