"""The HTTP side of a frontend: routes and handlers.

Rules:
- Host is checked on every request, Origin on every websocket and POST, before anything else.
- An answer to a client never holds a traceback or a path of the server's.
"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any, Final, cast

from tornado.http1connection import HTTP1Connection
from tornado.web import (
    Application,
    HTTPError,
    RedirectHandler,
    RequestHandler,
    StaticFileHandler,
    stream_request_body,
)

from wispy.config.schema import Config
from wispy.frontend.core import Core
from wispy.frontend.flights import SessionFlights
from wispy.frontend.landing import landing_page
from wispy.frontend.websocket.endpoint import WebSocketEndpoint
from wispy.frontend.websocket.seam import MessageHandler
from wispy.protocol import errors, jsonrpc
from wispy.protocol.jsonrpc import InvalidMessageError, Request
from wispy.resources import wispyjs_folder

log = logging.getLogger("wispy.frontend")

JSON = "application/json"

BODY_S: Final = 300.0
"""Seconds in which the body of a POST must be here: 10 MiB at 300 kbit/s. It also bounds what is read of a body only to
be thrown away."""


def finish(handler: RequestHandler, body: str | bytes) -> None:
    """End the answer with this body."""
    handler.finish(body)  # pyright: ignore[reportUnknownMemberType] -- Tornado's type holds a bare dict


class Handler(RequestHandler):
    """Base of all handlers: the checks that every request passes."""

    _core: Core

    def initialize(self, core: Core) -> None:
        self._core = core

    def prepare(self) -> None:
        if self._core.guard.refuses_host(self.request):
            raise HTTPError(421, reason="This server does not answer to this host name (allowed_hosts)")
        if self.request.method == "POST" and self._core.guard.refuses_origin(self.request):
            raise HTTPError(403, reason="This origin may not post here (allowed_origins)")
        if self._core.is_draining:
            self.set_header("Connection", "close")  # the next request is another frontend's

    def set_default_headers(self) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        finish(self, f"{status_code} {self._reason}\n")

    def reply_json(self, body: bytes) -> None:
        """Answer with a JSON text."""
        self.set_header("Content-Type", JSON)
        finish(self, body)


class Socket(WebSocketEndpoint):
    """`/ws`: one session on each websocket."""

    _core: Core

    def initialize(self, core: Core) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().initialize(core.websockets)
        self._core = core

    async def admit(self) -> MessageHandler | None:
        core = self._core
        if core.guard.refuses_host(self.request):
            return self._refuse(421, "this server does not answer to this host name (allowed_hosts)")
        if core.guard.refuses_origin(self.request):
            return self._refuse(403, "this origin may not connect (allowed_origins)")
        if core.is_draining or core.is_full:
            return self._refuse(503, "this server takes no more connections; try again")
        return core.new_session()

    def _refuse(self, status: int, reason: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        finish(self, reason + "\n")


class _HttpCaller:
    """One POST: a plain client."""

    def __init__(self, session: SessionFlights) -> None:
        self._session = session

    @property
    def flights(self) -> SessionFlights | None:
        return None

    def plain(self) -> SessionFlights:
        return self._session


class _HttpSink:
    """Waits for the answers to the requests of one POST."""

    def __init__(self, requests: int) -> None:
        self.texts: list[bytes] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = requests

    def answered(self, text: bytes) -> None:
        if text:
            self.texts.append(text)
        self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)


@stream_request_body
class Rpc(Handler):
    """`POST /rpc`: the same JSON-RPC for curl and scripts.

    A body over the limit is read to its end and thrown away: a client that is cut off while it sends does not get to
    read why.
    """

    def initialize(self, core: Core) -> None:
        super().initialize(core)
        self._body = bytearray()
        self._body_size = 0

    def prepare(self) -> None:
        connection = cast(HTTP1Connection, self.request.connection)
        connection.set_max_body_size(sys.maxsize)  # Tornado would end the connection; see `data_received`
        connection.set_body_timeout(BODY_S)
        super().prepare()

    def data_received(self, chunk: bytes) -> None:
        self._body_size += len(chunk)
        if self._body_size <= self._core.config.limits.http_body:
            self._body += chunk
        else:
            self._body.clear()

    async def post(self) -> None:
        media_type = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type != JSON:
            # A form or plain text can be posted by any page, without the browser asking first.
            raise HTTPError(415, reason="Content-Type must be application/json")
        limits = self._core.config.limits
        if self._body_size > limits.http_body:
            text = f"the body has {self._body_size} bytes, the limit (limits.http_body) is {limits.http_body:d}"
            self.set_status(413)
            self.reply_json(InvalidMessageError(errors.TOO_LARGE(text)).reply())
            return
        try:
            message = jsonrpc.parse(bytes(self._body), batch_limit=limits.batch, depth_limit=limits.depth)
        except InvalidMessageError as error:
            self.reply_json(error.reply())
            return
        if isinstance(message, Request):
            texts = await self._answers([message])
            body = texts[0] if texts else b""
        else:
            texts = await self._answers(message)
            body = jsonrpc.batch(texts) if texts else b""
        if body:
            self.reply_json(body)
        else:
            self.set_status(204)

    async def _answers(self, requests: list[Request] | list[Request | InvalidMessageError]) -> list[bytes]:
        core = self._core
        core.posted_at = core.websockets.loop.time()
        core.posts_in_flight += 1
        try:
            return await self._ask(requests)
        finally:
            core.posts_in_flight -= 1

    async def _ask(self, requests: list[Request] | list[Request | InvalidMessageError]) -> list[bytes]:
        sink = _HttpSink(len(requests))
        relay = self._core.relay
        session = relay.open_plain_session()
        caller = _HttpCaller(session)
        for request in requests:
            if isinstance(request, Request):
                self._core.dispatcher.start(caller, request, sink)
            else:
                sink.answered(request.reply())
        await sink.done
        relay.reuse_plain_session(session)
        return sink.texts


class OpenRpc(Handler):
    """`/openrpc.json`."""

    async def get(self) -> None:
        try:
            self.reply_json(await self._core.methods.discover())
        except errors.RPCError as error:
            raise HTTPError(503, reason="Redis cannot be reached") from error


class Health(Handler):
    """`/healthz`: the process serves."""

    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        finish(self, "ok\n")


class Ready(Handler):
    """`/readyz`: new clients are welcome here."""

    def get(self) -> None:
        reasons = self._core.reasons_not_ready()
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        if reasons:
            self.set_status(503)
        finish(self, "\n".join(reasons or ["ready"]) + "\n")


class Landing(Handler):
    """`/` where no page is configured or there: what is served, and how to begin."""

    async def get(self) -> None:
        try:
            objects = await self._core.methods.objects()
        except errors.RPCError:
            objects = []
        finish(self, landing_page(objects, self._core.config))


class Missing(Handler):
    """Everything else."""

    def prepare(self) -> None:
        super().prepare()
        raise HTTPError(404)


class StaticFiles(StaticFileHandler):
    """A static folder, with the checks of all handlers."""

    _core: Core

    def initialize(self, core: Core, path: str, default_filename: str | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().initialize(path, default_filename)
        self._core = core

    def prepare(self) -> None:
        if self._core.guard.refuses_host(self.request):
            raise HTTPError(421, reason="This server does not answer to this host name (allowed_hosts)")

    def set_extra_headers(self, path: str) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")
        # Checked again at each load (by ETag): a page that is being written is never stale.
        self.set_header("Cache-Control", "no-cache")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        finish(self, f"{status_code} {self._reason}\n")


def application(core: Core) -> Application:
    """The Tornado application of one frontend."""
    config = core.config
    base = config.base_path
    given = {"core": core}
    routes: list[Any] = [
        (f"{base}/ws", Socket, given),
        (f"{base}/rpc", Rpc, given),
        (f"{base}/openrpc.json", OpenRpc, given),
        (f"{base}/healthz", Health, given),
        (f"{base}/readyz", Ready, given),
        (f"{base}/{config.wispy_static_path}/(.*)", StaticFiles, {**given, "path": str(wispyjs_folder())}),
    ]
    for route, folder in static_folders(config).items():
        files = {**given, "path": str(folder), "default_filename": "index.html"}
        routes.append((f"{base}/{route}/(.*)", StaticFiles, files))
    routes.append((f"{base}/?", *_home(config, given)))
    return Application(routes, default_handler_class=Missing, default_handler_args=given, log_function=_log_request)


def static_folders(config: Config) -> dict[str, Path]:
    """Route to folder, of the static folders that exist; the others are named in the log."""
    found: dict[str, Path] = {}
    for route, folder in config.static.routes().items():
        path = Path(folder).absolute()
        if path.is_dir():
            found[route.strip("/")] = path
        else:
            log.warning("static.folders: there is no folder %s", path)
    return found


def _home(config: Config, given: dict[str, Any]) -> tuple[type[RequestHandler], dict[str, Any]]:
    """What answers at `base_path`: the homepage if there is one, else the landing page."""
    homepage = config.static.homepage.lstrip("/")
    for route, folder in static_folders(config).items():
        if homepage.startswith(f"{route}/") and (folder / homepage.removeprefix(f"{route}/")).is_file():
            return RedirectHandler, {"url": f"{config.base_path}/{homepage}", "permanent": False}
    return Landing, given


def _log_request(handler: RequestHandler) -> None:
    status = handler.get_status()
    write = log.error if status >= 500 and status != 503 else log.debug
    request = handler.request
    write(
        "%d %s %s (%s) %.1f ms", status, request.method, request.path, request.remote_ip, 1000 * request.request_time()
    )
