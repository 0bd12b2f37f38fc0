"""How large messages and bodies may be, what they hold while they come, and how long they may take."""

import asyncio
import json
import re

from tests.integration.stack.limits.visitors import OVERLOADED, StartFrontend, client_of, get, hits, request, told
from tests.integration.websocket.wire import connect
from tests.support.waiting import wait_until
from wispy.protocol import errors

# --- messages ---------------------------------------------------------------------------------------------------------


async def test_messages_past_their_limits(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, message_size="4 KiB", batch=2, depth=8, digits=30, http_body=2000)
    deep = "[" * 9 + "]" * 9
    messages = {
        "batch": json.dumps([request(1)] * 3),
        "depth": '{"jsonrpc":"2.0","id":1,"method":"sample.echo","params":[' + deep + "]}",
        "digits": '{"jsonrpc":"2.0","id":1,"method":"sample.echo","params":[' + "7" * 31 + "]}",
    }
    async with client_of(frontend) as client:
        for limit, message in messages.items():
            before = hits(frontend).get(limit, 0)
            assert (await client.ask_raw(message))["error"]["code"] == errors.TOO_LARGE.code, limit
            assert frontend.post_text(message).json()["error"]["code"] == errors.TOO_LARGE.code, limit
            assert hits(frontend)[limit] == before + 2
        answer = frontend.post_text(json.dumps(request(1, params=["x" * 2000])))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, errors.TOO_LARGE.code)
        await client.send_raw("x" * 5000)
        assert await client.wait_until_closed() == 1009
    assert hits(frontend) == {"batch": 2, "depth": 2, "digits": 2, "http_body": 1, "websocket_max_message_size": 1}


async def test_messages_that_come_in_part_share_a_room(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, message_size="300 KiB", http_body=300 << 10, partial_messages="300 KiB")
    port = int(frontend.address.rpartition(":")[2])

    async def held() -> bool:
        text = (await asyncio.to_thread(get, f"{frontend.url}/metrics")).text
        found = re.search(r"^wispy_frontend_partial_message_bytes\{.*\} (\S+)$", text, re.MULTILINE)
        return found is not None and float(found[1]) > 200_000

    async with connect(port) as first, connect(port) as second:
        for client in (first, second):
            await client.upgrade(path="/ws", host=frontend.address)
        first.send("text+*250000")
        await wait_until(held, "the first message holds most of it")
        second.send("text+*250000")
        close = (await second.receive_all())[-1]
        assert (close.code, b"limits.partial_messages" in close.payload) == (1013, True)
        body = json.dumps(request(1, "sample.echo", ["x" * 250_000]))
        answer = frontend.post_text(body)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json()["error"]["code"] == OVERLOADED
        async with client_of(frontend) as client:
            assert await client.call("sample.test_sum", [1, 2]) == 3
    await wait_until(lambda: frontend.post_text(body).status_code == 200, "who is gone holds nothing")
    assert hits(frontend)["partial_messages"] >= 2


async def test_who_has_not_logged_in_sends_small_messages(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, message_size="1 MiB", **{"auth.kind": "tokens"})
    async with client_of(frontend) as client:
        await client.send_raw("x" * (64 << 10) + "x")
        assert await client.wait_until_closed() == 1009
    assert hits(frontend) == {"login_size": 1}


# --- bodies -----------------------------------------------------------------------------------------------------------


async def test_a_body_that_does_not_come(start: StartFrontend) -> None:
    frontend = start(http_body_time=1)
    host, _, port = frontend.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /rpc HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    writer.write(head.encode())
    assert await told(reader) == b""
    writer.close()
    await wait_until(lambda: hits(frontend) == {"http_body_time": 1}, "it is counted")


async def test_a_message_that_does_not_come(start: StartFrontend, shell: str) -> None:
    # It is looked at twice in a ping's interval, and has time for its pongs.
    frontend = start(shell, http_body_time=1, **{"websocket.ping_interval": 3, "websocket.pong_timeout": 5})
    async with connect(int(frontend.address.rpartition(":")[2])) as client:
        await client.upgrade(path="/ws", host=frontend.address)
        client.send("text+:{")
        while (frame := await client.receive()) is not None and frame.kind == "ping":
            client.send("pong:")
        assert frame is not None
        assert (frame.code, b"limits.http_body_time" in frame.payload) == (1008, True)
    await wait_until(lambda: hits(frontend) == {"http_body_time": 1}, "it is counted")
