"""What the tests of limits share: clients, each with the address that it says, and what they are told."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from tests.support.rpc_client import Client
from tests.support.stack import Frontend
from wispy.protocol import errors

SLOW = 0.02
"""A second: what is used up stays so for the length of a test's next lines."""

BEHIND: dict[str, Any] = {"metrics": "true", "trusted_proxies": "[127.0.0.1]"}
"""The tests are the proxy: each client has the address that it says."""

RATE_LIMITED = errors.RATE_LIMITED.code
OVERLOADED = errors.OVERLOADED.code

StartFrontend = Callable[..., Frontend]


def client_of(frontend: Frontend, address: str = "192.0.2.1", token: str | None = None) -> Client:
    headers = {"X-Forwarded-For": address} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    return Client(frontend.websocket_url, additional_headers=headers)


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=10, trust_env=False)


def hits(frontend: Frontend) -> dict[str, float]:
    """How often each limit was reached; nothing of it while this is turned away as well."""
    answer = get(f"{frontend.url}/metrics")
    families = text_string_to_metric_families(answer.text) if answer.status_code == 200 else []
    samples = [sample for family in families for sample in family.samples]
    return {
        sample.labels["limit"]: sample.value
        for sample in samples
        if sample.name == "wispy_frontend_limit_hits_total" and sample.value
    }


def request(id: int | None, method: str = "sample.test_sum", params: Any = (1, 2)) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if id is None else {**message, "id": id}


def codes(answers: list[dict[str, Any]]) -> list[int]:
    """0 for a result, else the error's code; in the order of ids."""
    return [each["error"]["code"] if "error" in each else 0 for each in sorted(answers, key=lambda each: each["id"])]


async def status_of(client: Client) -> tuple[int, str | None]:
    """With what a handshake is refused, and when to come again."""
    with pytest.raises(InvalidStatus) as raised:
        async with client:
            pass
    response = raised.value.response
    return response.status_code, response.headers.get("Retry-After")


async def told(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes the connection."""
    return await asyncio.wait_for(reader.read(), 20)
