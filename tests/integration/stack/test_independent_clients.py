"""Clients that know JSON-RPC and nothing of wispy: jsonrpcclient over websockets and HTTP."""

import httpx
from jsonrpcclient import Error, Ok, notification, parse, parse_json, request, request_json
from websockets.asyncio.client import connect

from tests.support.stack import Frontend


async def test_over_a_websocket(frontend: Frontend) -> None:
    async with connect(frontend.websocket_url, proxy=None) as socket:
        await socket.send(request_json("sample.test_sum", params=(4, 5), id=1))
        assert parse_json(await socket.recv()) == Ok(9, 1)

        await socket.send(request_json("sample.test_sum", params={"x": 1, "y": 2}, id="own id"))
        assert parse_json(await socket.recv()) == Ok(3, "own id")

        await socket.send(request_json("sample.fail", params=("text",), id=7))
        failed = parse_json(await socket.recv())
        assert isinstance(failed, Error)
        assert (failed.code, failed.id, failed.data["type"]) == (-32000, 7, "ValueError")


def post(frontend: Frontend, message: object) -> httpx.Response:
    with httpx.Client(trust_env=False, verify=False, timeout=30) as http:
        return http.post(f"{frontend.url}/rpc", json=message)


def test_over_http(frontend: Frontend) -> None:
    assert parse(post(frontend, request("quiet.ping", id=1)).json()) == Ok("pong", 1)
    assert post(frontend, notification("quiet.ping")).status_code == 204


def test_batches(frontend: Frontend) -> None:
    requests = [request("sample.test_sum", params=(number, 1), id=number) for number in range(5)]
    answers = post(frontend, [*requests, notification("quiet.ping")]).json()
    assert sorted(map(parse, answers), key=str) == [Ok(number + 1, number) for number in range(5)]
