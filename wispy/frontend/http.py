"""The HTTP side of a frontend: routes and handlers.

Rules:
- Host is checked on every request, Origin on every websocket and POST, before anything else.
- An answer to a client never holds a traceback or a path of the server's.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler

from wispy.config.schema import Config
from wispy.frontend.console_files import console_routes
from wispy.frontend.core import FULL, Core
from wispy.frontend.folders import static_folders, upload_folders
from wispy.frontend.forwarded import Forwarded
from wispy.frontend.handler import Handler, access_of, finish, set_retry_after
from wispy.frontend.incoming import sweep
from wispy.frontend.landing import LANDING_POLICY
from wispy.frontend.rpc_post import Rpc
from wispy.frontend.security_headers import headers_of
from wispy.frontend.session import NO_CREDENTIALS
from wispy.frontend.static import Home, Shared, StaticFiles
from wispy.frontend.upload_rules import UploadFolder
from wispy.frontend.uploads import Place, Uploads
from wispy.frontend.websocket.endpoint import WebSocketEndpoint
from wispy.frontend.websocket.seam import MessageHandler
from wispy.protocol import errors
from wispy.protocol.denials import Reason
from wispy.resources import wispyjs_folder
from wispy.scrape import Tell

log = logging.getLogger("wispy.frontend")


class Socket(WebSocketEndpoint):
    """`/ws`: one session on each websocket."""

    _core: Core

    def initialize(self, core: Core) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().initialize(core.websockets)
        self._core = core

    async def admit(self) -> MessageHandler | None:
        core = self._core
        if core.guard.refuses_host(self.request):
            self._denied("host")
            return self._refuse(421, "this server does not answer to this host name (allowed_hosts)")
        if core.guard.refuses_origin(self.request):
            self._denied("origin")
            return self._refuse(403, "this origin may not connect (allowed_origins)")
        if core.is_full:
            core.counts.hit("connections")
            self._denied("limit")
        if core.is_draining or core.is_full:
            return self._refuse(503, FULL)
        remote = str(self.request.remote_ip)
        try:
            core.quotas.check_opening(remote)
        except errors.RPCError as error:
            return self._refuse_for_now(error)
        if core.gate is None:
            return core.new_session(remote, None, NO_CREDENTIALS)
        credentials = core.gate.credentials_of(self.request)
        try:
            grant = await core.gate.check(credentials)
        except errors.RPCError as error:
            return self._refuse(503, error.message)
        if grant is not None:
            try:
                core.quotas.check_user(grant.identity.user)
            except errors.RPCError as error:
                return self._refuse_for_now(error)
        elif credentials.token is not None:
            self._denied("login")
        # Who has shown something that is no good is let in like one who has shown nothing, and told why: a page cannot
        # read with which status a handshake failed.
        return core.new_session(remote, grant, credentials)

    def _refuse_for_now(self, error: errors.RPCError) -> None:
        self._denied(error.denied or "limit")
        set_retry_after(self, error)
        self._refuse(429, error.message)

    def _denied(self, reason: Reason) -> None:
        self._core.audit.denied(reason, access_of(self.request, None))

    def _refuse(self, status: int, reason: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        finish(self, reason + "\n")


class OpenRpc(Handler):
    """`/openrpc.json`."""

    async def get(self) -> None:
        await self.learn_who()
        if not self.is_known:
            self.set_header("WWW-Authenticate", "Bearer")
            raise HTTPError(401)
        self.set_header("Cache-Control", "no-cache")  # it is this caller's, whose cookie keeps no cache off
        try:
            self.reply_json(await self._core.methods.discover(self.identity.roles))
        except errors.RPCError as error:
            raise HTTPError(503, reason="Redis cannot be reached") from error

    head = get


class Health(Handler):
    """`/healthz`: the process serves."""

    is_rated = False  # balancers ask, and a flood must not make them take this process for a dead one

    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        finish(self, "ok\n")

    head = get


class Ready(Handler):
    """`/readyz`: new clients are welcome here."""

    is_rated = False

    def get(self) -> None:
        reasons = self._core.reasons_not_ready()
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        if reasons:
            self.set_status(503)
        finish(self, "\n".join(reasons or ["ready"]) + "\n")

    head = get


class Metrics(Handler):
    """`/metrics`: the numbers of this process and of those beside it, for Prometheus."""

    def initialize(self, core: Core, tell: Tell) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().initialize(core)
        self._tell = tell

    async def get(self) -> None:
        from wispy.exposition import CONTENT_TYPE, exposition

        text = exposition(await self._tell())
        self.set_header("Content-Type", CONTENT_TYPE)
        finish(self, text)

    head = get


class Missing(Handler):
    """Everything else."""

    def _absent(self) -> None:
        # Not in `prepare`: Tornado ends a connection whose request was answered before it was read.
        raise HTTPError(404)

    get = head = post = put = patch = delete = options = _absent


class FrontendApplication(Application):
    """Tornado's application, in which a request is what it was before a trusted proxy passed it on."""

    def __init__(self, routes: list[Any], forwarded: Forwarded, **settings: Any) -> None:
        super().__init__(routes, **settings)
        self._forwarded = forwarded

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        self._forwarded.apply(request)
        return super().find_handler(request, **kwargs)


def application(core: Core, tell: Tell) -> Application:
    """The Tornado application of one frontend.

    Args:
        core: its parts.
        tell: tells the metrics of this process and of those beside it.
    """
    config = core.config
    base = re.escape(config.base_path)
    given = {"core": core}
    uploading = upload_folders(config)
    files = {**given, "shared": Shared(uploading.values())}  # for whatever is a `StaticFiles`
    routes: list[Any] = [
        *((f"{base}{re.escape(place)}/ws", Socket, given) for place in _websocket_places(config)),
        (f"{base}/rpc", Rpc, given),
        (f"{base}/openrpc.json", OpenRpc, given),
        (f"{base}/healthz", Health, given),
        (f"{base}/readyz", Ready, given),
        *([(f"{base}/metrics", Metrics, {**given, "tell": tell})] if config.has_metrics else ()),
        *_file_routes(config, base, uploading, files),
        # After them, so that a folder of the user's with this name stays his.
        *(console_routes(config, files) if config.has_console else ()),
        (f"{base}/?", Home, given),
    ]
    return FrontendApplication(
        routes,
        Forwarded(config),
        default_handler_class=Missing,
        default_handler_args=given,
        log_function=_log_request,
        security_headers=headers_of(config.headers, LANDING_POLICY),
    )


def _websocket_places(config: Config) -> set[str]:
    """Below `base_path`, where a websocket is found: there, and beside the last folder of a `wispy_static_path` of
    several. For rpc.js looks beside its own folder: it cannot know where in its address the base path ends.
    """
    above, slash, _ = config.wispy_static_path.rpartition("/")
    return {"", slash + above}


def _file_routes(config: Config, base: str, uploading: Mapping[str, Path], files: Mapping[str, Any]) -> list[Any]:
    """wispyjs, static folders and uploads; a longer route comes before a shorter one that it begins with."""
    static = static_folders(config)
    place = Place(config.upload)
    ours = {**files, "path": str(wispyjs_folder())}
    routes: list[Any] = [(f"{base}/{re.escape(config.wispy_static_path)}/(.*)", StaticFiles, ours)]
    for route in sorted({*static, *uploading}, key=len, reverse=True):
        pattern = f"{base}/{re.escape(route)}(?:/(.*))?"
        served = str(static[route]) if route in static else None
        if route in uploading:
            sweep(uploading[route])
            folder = UploadFolder(uploading[route], config.upload.rules)
            routes.append((pattern, Uploads, {**files, "folder": folder, "static": served, "place": place}))
        else:
            routes.append((pattern, StaticFiles, {**files, "path": served, "default_filename": "index.html"}))
    return routes


def _log_request(handler: RequestHandler) -> None:
    status = handler.get_status()
    write = log.error if status >= 500 and status != 503 else log.debug
    request = handler.request
    write(
        "%d %s %s (%s) %.1f ms", status, request.method, request.path, request.remote_ip, 1000 * request.request_time()
    )
