"""What the tests of the dispatchers share: a caller that keeps its answers, and methods of the frontend's own."""

import asyncio
import json
from typing import Any

import msgspec

from tests.unit.frontend.recorders import open_plain
from wispy.frontend.dispatch import Caller, Dispatcher
from wispy.frontend.flights import SessionFlights
from wispy.protocol import errors, jsonrpc
from wispy.protocol.identity import ANONYMOUS
from wispy.protocol.jsonrpc import Request


class Client:
    """A caller, and the sink of its requests."""

    remote = "10.0.0.7"
    identity = ANONYMOUS

    def __init__(self, flights: SessionFlights | None = None) -> None:
        self.flights = flights
        self.texts: list[bytes] = []
        self._plain = open_plain()

    def plain(self) -> SessionFlights:
        return self._plain

    def answered(self, text: bytes) -> None:
        self.texts.append(text)

    def abandoned(self) -> None: ...

    @property
    def codes(self) -> list[int]:
        return [json.loads(text)["error"]["code"] for text in self.texts]


def now(caller: Caller, params: msgspec.Raw) -> bytes:
    del caller
    return b"[1," + params + b"]"


async def later(caller: Caller, params: msgspec.Raw) -> bytes:
    await asyncio.sleep(0)
    return now(caller, params)


async def refuse(caller: Caller, params: msgspec.Raw) -> bytes:
    del caller, params
    raise errors.NOT_FOUND()


async def fail(caller: Caller, params: msgspec.Raw) -> bytes:
    del caller, params
    raise RuntimeError("a bug")


def start(dispatcher: Dispatcher, client: Client, method: str, params: Any = None, **members: Any) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or [], **members}
    request = jsonrpc.parse(json.dumps({k: v for k, v in message.items() if v is not ...}).encode(), batch_limit=1)
    assert isinstance(request, Request)
    dispatcher.start(client, request, client)
