"""The baseline: bare Tornado, with nothing behind it. `python -m benchmarks.baseline --port N`.

`/echo` answers each message with itself. `/broadcast` calls `write_message` for each subscriber, for each update. The
few control messages of `/broadcast` look like wispy's, so that one load generator drives both; they are no part of what
is measured.
"""

import argparse
import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
import tornado.web
import tornado.websocket

from benchmarks.publisher import Publisher


class EchoHandler(tornado.websocket.WebSocketHandler):
    """Sends back what it gets."""

    def on_message(self, message: str | bytes) -> None:
        self.write_message(message)


class ControlMessage(msgspec.Struct):
    """What `/broadcast` understands of a JSON-RPC request."""

    id: int
    method: str
    params: list[Any] | dict[str, Any]


CONTROL_DECODER = msgspec.json.Decoder(ControlMessage)


class Broadcast:
    """The subscribers, and the loop over them that is measured."""

    def __init__(self) -> None:
        self.subscribers: set[BroadcastHandler] = set()
        self.publisher = Publisher(self._emit)

    def _emit(self, text: str) -> None:
        payload = f'"{text}"'
        for subscriber in self.subscribers:
            subscriber.write_message(payload)


class BroadcastHandler(tornado.websocket.WebSocketHandler):
    """One subscriber, or the connection that tells the server when to publish."""

    def initialize(self, broadcast: Broadcast) -> None:
        self.broadcast = broadcast

    async def on_message(self, message: str | bytes) -> None:
        control = CONTROL_DECODER.decode(message)
        result = await self._obey(control)
        await self.write_message(msgspec.json.encode({"jsonrpc": "2.0", "id": control.id, "result": result}))

    def _obey(self, control: ControlMessage) -> Awaitable[object]:
        publisher = self.broadcast.publisher
        match control.method, control.params:
            case "rpc.hello", _:
                return _done({"run": "baseline", "ms": 0})
            case "rpc.subscribe", _:
                self.broadcast.subscribers.add(self)
                return _done({})
            case "bench.push", [count]:
                return publisher.push(count)
            case "bench.stream", [per_s, seconds, length]:
                return publisher.stream(per_s, seconds, int(length))
            case _:
                raise ValueError(f"the baseline does not know {control.method} with {control.params}")

    def on_close(self) -> None:
        self.broadcast.subscribers.discard(self)


async def _done(result: object) -> object:
    return result


async def serve(port: int) -> None:
    """Serve on the loopback interface until killed."""
    application = tornado.web.Application(
        [("/echo", EchoHandler), ("/broadcast", BroadcastHandler, {"broadcast": Broadcast()})],
    )
    application.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


def main() -> None:
    """Parse the command line, and serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baseline", description="bare Tornado, to compare with")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--uvloop", action="store_true", help="run Tornado on uvloop instead of asyncio's own loop")
    arguments = parser.parse_args()
    if arguments.uvloop:
        import uvloop  # here, because the baseline as most people run it does without

        uvloop.run(serve(arguments.port))
    else:
        asyncio.run(serve(arguments.port))


if __name__ == "__main__":
    main()
