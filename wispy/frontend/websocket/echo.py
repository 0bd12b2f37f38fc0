"""A websocket server that echoes each message: what the conformance suite and the benchmarks talk to.

    python -m wispy.frontend.websocket.echo --port 9001 --shell tornado

It has no Origin check and no bound on who may connect: it listens on the loopback interface only.
"""

import argparse
import asyncio
import signal
import sys

import uvloop
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from wispy.frontend.websocket.endpoint import WebSocketEndpoint
from wispy.frontend.websocket.seam import Connection, MessageHandler, WebSocketSettings
from wispy.frontend.websocket.service import WebSocketService

_LOOPBACK = "127.0.0.1"

_MAX_MESSAGE_SIZE = 32 * 1024 * 1024
"""The conformance suite's largest message is 16 MiB."""


class Echo:
    """Sends back what comes, and reads no further while the peer does not take it."""

    _connection: Connection

    def connection_made(self, connection: Connection) -> None:
        self._connection = connection

    def message_received(self, data: bytes, is_text: bool) -> None:
        self._connection.send(data, is_text=is_text)
        if self._connection.is_full:
            self._connection.pause_reading()

    def writable(self) -> None:
        self._connection.resume_reading()

    def connection_lost(self, code: int, reason: str) -> None:
        del self._connection


class EchoEndpoint(WebSocketEndpoint):
    """Lets everybody in."""

    async def admit(self) -> MessageHandler:
        return Echo()


async def serve(port: int, settings: WebSocketSettings) -> None:
    """Echo on every path of `port` (0: any free one, which is printed) until SIGTERM or SIGINT."""
    service = WebSocketService(settings)
    server = HTTPServer(Application([(".*", EchoEndpoint, {"service": service})]))
    sockets = bind_sockets(port, _LOOPBACK)
    server.add_sockets(sockets)
    sys.stdout.write(f"ws://{_LOOPBACK}:{sockets[0].getsockname()[1]}/\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        service.loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    server.stop()
    service.stop()


def main() -> None:
    """Run the echo server as a command."""
    parser = argparse.ArgumentParser(description="Echo websocket messages.")
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--shell", choices=("detached", "tornado"), default="detached")
    parser.add_argument("--compression", action="store_true", help="offer permessage-deflate (Tornado's shell)")
    options = parser.parse_args()
    settings = WebSocketSettings(
        shell=options.shell, compression=options.compression, max_message_size=_MAX_MESSAGE_SIZE
    )
    uvloop.run(serve(options.port, settings))


if __name__ == "__main__":
    main()
