"""All of wispy in one program: objects in this process, frontends beside it, and Redis where none is named.

Rules:
- `run` blocks, in the main thread, and ends on Ctrl-C or SIGTERM; the first of them never raises inside object code,
  a second one ends the process at once.
- `start` serves from threads of its own, so that it works in a notebook and beside a running loop.
- Whatever was started is ended: frontends, the private server, threads; also when starting fails half-way, and the
  children also when this process is killed.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

import msgspec

from wispy import log as logs
from wispy.broker.embedded import EmbeddedServer
from wispy.config.load import load
from wispy.config.schema import Config, StaticConfig
from wispy.config.units import Seconds
from wispy.errors import StartError, WispyError
from wispy.frontend.kin import NoChild, Tell
from wispy.frontend.processes import supervise, with_session_secret
from wispy.frontend.server import listen, serve, url_of
from wispy.loops import calm_garbage_collector, new_event_loop
from wispy.metrics import Snapshot
from wispy.reload.files import own_folders
from wispy.reload.handover import Handover
from wispy.reload.watcher import enter
from wispy.timing import wait_until
from wispy.worker.process import Worker
from wispy.worker.source import ObjectSource, from_instances

log = logging.getLogger("wispy.app")

DRAIN_S: Final = 10.0
"""How long running calls may take to end when the program is asked to."""

RELOAD_DRAIN_S: Final = 1.0
"""The same for a program that is watched: who has just saved a file waits for it."""

PATIENCE_S: Final = 5.0
"""How much longer a process waits for object code that holds its thread, once everything else has ended."""

ECHO_S: Final = 0.3
"""The same signal again within this time is an echo: a process group and its leader are often both told.
A person who insists takes longer."""

OBJECTS_S: Final = 10.0
"""How long the start waits for the objects to be made: an instrument may take its time, and is then served later."""

START_S: Final = 30.0
"""How long `start` waits for all this: without a slow object it takes a fifth of a second."""


class Parts:
    """What one process runs: objects, frontends, or both.

    Args:
        config: the configuration.
        sources: the objects; none: no worker.
        has_web: whether frontends are run.
        handover: what a watcher gives and keeps (`autoreload`); None where there is none.
    """

    def __init__(
        self, config: Config, sources: Sequence[ObjectSource], *, has_web: bool, handover: Handover | None = None
    ) -> None:
        given = config if handover is None else _with_given(config, handover)
        self.config = _with_sealing_secret(given, is_alone=not (sources and has_web))
        self.sources = sources
        self.has_web = has_web
        self.url = ""
        """Of the page, once it is served."""
        self._handover = handover
        self._is_private = config.redis.url is None
        self._drain_s = DRAIN_S if handover is None else RELOAD_DRAIN_S
        self._worker: Worker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._is_asked_to_stop = False
        self._error: BaseException | None = None

    async def serve(self, on_started: Callable[[], None]) -> None:
        """Run everything until `ask_to_stop`; the loop is the objects' loop.

        Raises:
            StartError: it cannot be started as configured.
        """
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        if self._is_asked_to_stop:  # a signal came before there was an event to set
            self._stop.set()
        sockets = self._listen() if self.has_web else []
        self._warn_without_secret()
        server: EmbeddedServer | None = None
        web: _Web | None = None
        try:
            server = self._start_redis()
            if self.has_web:
                self.url = url_of(self.config, sockets)
                web = _Web(self.config, sockets, self._fail, self._worker_metrics)
            if self.sources:
                self._worker = Worker(self.sources, self.config, self._fail)
                await self._worker.start()
                if self._is_private:
                    await self._wait_for_objects(self._worker)
            on_started()
            if self._handover is not None:
                self._handover.tell_folders(own_folders())
            calm_garbage_collector()
            await self._stop.wait()
        finally:
            if web is not None:
                await asyncio.to_thread(web.stop)
            if self._worker is not None:
                await self._worker.stop(self._drain_s)
            if server is not None:
                server.stop()
            for each in sockets:
                each.close()
        if self._error is not None:
            raise self._error

    async def _worker_metrics(self) -> list[Snapshot]:
        """What the worker tells; on the frontends' loop."""
        return [] if self._worker is None else await self._worker.metrics()

    def _warn_without_secret(self) -> None:
        if self.has_web and self.config.redis.url is not None and self.config.session.secret is None:
            log.warning(
                "no session.secret is set: a page cannot go on with its session at another frontend of this Redis, and "
                "what it had sent is `maybe` there; give all of them the same secret"
            )

    def _start_redis(self) -> EmbeddedServer | None:
        """Start a private server, where no Redis is named and no watcher has one."""
        server: EmbeddedServer | None = None
        if self.config.redis.url is None:
            server = EmbeddedServer.start()
            self.config = with_redis_url(self.config, server.url)
        if self._is_private:
            self.config = without_draining(self.config)
        return server

    def _listen(self) -> list[socket.socket]:
        """Listen, or go on listening where the program listened before it was started again."""
        address, port = self.config.address, self.config.port
        sockets = [] if self._handover is None else self._handover.sockets(address, port)
        if not sockets:
            sockets = listen(self.config)
            if self._handover is not None:
                self._handover.keep(address, port, sockets)
        return sockets

    async def _wait_for_objects(self, worker: Worker) -> None:
        """With a private server nobody else can own the objects: who is told of the URL finds them there."""
        stop = self._stop
        assert stop is not None
        await wait_until(lambda: stop.is_set() or len(worker.serving()) == len(self.sources), OBJECTS_S)

    def ask_to_stop(self) -> None:
        """Begin to end; safe from any thread and from signal handlers."""
        if self._worker is not None:
            self._worker.ask_to_stop(self._drain_s)
        self._is_asked_to_stop = True
        if self._loop is not None and self._stop is not None:
            try:
                self._loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                log.debug("the loop has ended already")

    def _fail(self, error: BaseException) -> None:
        """A part cannot go on: nor can the others."""
        self._error = self._error or error
        self.ask_to_stop()


class _Web:
    """The frontends, on a loop and thread of their own: object code may hold the main one.

    Args:
        config: the configuration; `redis.url` names a server.
        sockets: already listening.
        on_failure: called when the frontends cannot go on.
        beside: tells the metrics of the worker.
    """

    def __init__(
        self,
        config: Config,
        sockets: Sequence[socket.socket],
        on_failure: Callable[[BaseException], None],
        beside: Tell,
    ) -> None:
        self._beside = beside
        self._config = config
        self._sockets = sockets
        self._on_failure = on_failure
        self._loop = new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="wispy-web", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        config = self._config
        if config.multiprocessed or config.processes > 1:
            serving = supervise(config, self._sockets, config.processes, self._stop, self._beside)
        else:
            serving = serve(config, self._sockets, self._stop, NoChild(self._beside))
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(serving)
        except BaseException as error:
            log.exception("the frontends failed")
            self._on_failure(error)

    def stop(self) -> None:
        """Drain and end; blocks."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()


def run_parts(parts: Parts, on_started: Callable[[], None]) -> None:
    """Run the parts in the main thread until Ctrl-C or SIGTERM."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    asked: dict[int, float] = {}
    """Signal to when it came first."""
    patience = threading.Timer(DRAIN_S + PATIENCE_S, _end_without_objects)
    patience.daemon = True

    def handle(number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if number in asked:
            if now - asked[number] > ECHO_S:
                # The private server and the frontends notice that this process is gone, and go too.
                os._exit(128 + number)
            return
        is_first = not asked
        asked[number] = now  # before anything else: the next signal may come in between
        parts.ask_to_stop()
        if is_first:
            patience.start()

    for number in former:
        signal.signal(number, handle)
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(parts.serve(on_started))
    finally:
        patience.cancel()
        for number, handler in former.items():
            signal.signal(number, handler)


def _end_without_objects() -> None:
    """The objects' thread does not come back. Its callers have their answers, the lease is released: go without it."""
    log.error("object code does not return; the process ends without it")
    os._exit(1)


class RPCWebApp:
    """A web application that serves Python objects to browsers.

        RPCWebApp(sample=sample).run()

    Args:
        config: a YAML file, a dict of the same keys, or nothing.
        objects: the objects by the name that pages know them by; a class is instantiated once it is served.

    Raises:
        ConfigError: a key is unknown, or a value impossible.
        StartError: a name cannot be an object's.
    """

    def __init__(self, config: str | Path | Mapping[str, Any] | Config | None = None, /, **objects: object) -> None:
        self._config = prepared(_loaded(config), is_all_in_one=True)
        self._files = [config] if isinstance(config, str | Path) else []
        self._sources = from_instances(objects)
        if not self._sources:
            raise StartError("there is no object to serve: RPCWebApp(sample=sample)")
        self._parts: Parts | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """The address of the page, while it is served."""
        return self._parts.url if self._parts is not None else ""

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM; call it in the main thread.

        With `autoreload` the program is started anew from its first line whenever one of its files changes.

        Raises:
            StartError: the port is in use, or an object cannot be served.
        """
        run_all_in_one(self._config, self._sources, enter(self._config, self._files))

    def start(self) -> Self:
        """Serve in the background, until `stop`; the objects' code runs in a thread of its own.

        Raises:
            StartError: it cannot be started as configured.
        """
        if self._parts is not None:
            raise StartError("it is running already")
        logs.configure(self._config.logging_config)
        if self._config.autoreload or self._config.debug:
            log.warning("autoreload is for programs that call run(): what start() has started is not started again")
        self._parts = Parts(self._config, self._sources, has_web=True)
        self._failure = None
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="wispy-objects", daemon=True)
        self._thread.start()
        if not started.wait(START_S):
            raise StartError(f"it did not start within {START_S} seconds")
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self.stop()
            raise failure
        return self

    def _serve(self, started: threading.Event) -> None:
        parts = self._parts
        assert parts is not None
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(parts.serve(started.set))
        except BaseException as error:
            self._failure = error
            if not isinstance(error, WispyError):
                log.exception("serving failed")
        finally:
            started.set()

    def stop(self) -> None:
        """End what `start` has started, and wait for it. It may be called again."""
        if self._parts is not None and self._thread is not None:
            self._parts.ask_to_stop()
            self._thread.join()
        self._parts = None
        self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def run_all_in_one(config: Config, sources: Sequence[ObjectSource], handover: Handover | None = None) -> None:
    """Serve these objects with frontends and, where none is named, a private Redis; print the URL."""
    logs.configure(config.logging_config)
    parts = Parts(config, sources, has_web=True, handover=handover)
    is_again = handover is not None and handover.given.is_again

    def announce() -> None:
        names = ", ".join(source.name for source in sources)
        sys.stdout.write(f"wispy serves {names} at {parts.url}   (Ctrl-C ends it)\n")
        if config.has_console:
            sys.stdout.write(f"the console: {parts.url}console/\n")
        sys.stdout.flush()
        if not is_again and (config.launch == "always" or (config.launch == "auto" and has_desktop())):
            webbrowser.open(parts.url)

    run_parts(parts, announce)


def has_desktop() -> bool:
    """Whether a person sits before this machine's screen."""
    if sys.platform in ("darwin", "win32"):
        return sys.stdout.isatty()
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.stdout.isatty()


def prepared(config: Config, *, is_all_in_one: bool) -> Config:
    """The configuration with what depends on the kind of program: whether to restore, whether there is a console
    and metrics, and where folders are.
    """
    lease = config.lease
    if lease.restore is None:
        lease = msgspec.structs.replace(lease, restore=not is_all_in_one)
    # A frontend by itself listens on loopback too: behind a proxy, for all the world.
    has_console = config.has_console if is_all_in_one or config.console != "auto" else config.debug
    has_metrics = config.has_metrics if is_all_in_one or config.metrics != "auto" else config.debug
    located = {route: _located(folder) for route, folder in config.static.routes().items()}
    is_default = config.static.folders == StaticConfig().folders
    # The default folder need not exist; one that was asked for is missed in the log.
    folders = {route: str(path) for route, path in located.items() if path.is_dir() or not is_default}
    static = msgspec.structs.replace(config.static, folders=folders)
    uploading = {route: str(_located(folder)) for route, folder in config.upload.routes().items()}
    upload = msgspec.structs.replace(config.upload, folders=uploading)
    return msgspec.structs.replace(
        config, lease=lease, static=static, upload=upload, console=has_console, metrics=has_metrics
    )


def _located(folder: str) -> Path:
    """A relative folder is looked for in the working directory, then beside the program's main file."""
    path = Path(folder)
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    if not path.is_dir() and main_file is not None:
        beside = Path(main_file).parent / folder
        if beside.is_dir():
            return beside.resolve()
    return path.absolute()


def with_redis_url(config: Config, url: str) -> Config:
    """The configuration with this server."""
    return msgspec.structs.replace(config, redis=msgspec.structs.replace(config.redis, url=url))


def _with_given(config: Config, handover: Handover) -> Config:
    """The configuration with what a watcher keeps for all runs of a program."""
    given = handover.given
    if config.session.secret is None:
        config = msgspec.structs.replace(config, session=msgspec.structs.replace(config.session, secret=given.secret))
    if config.redis.url is None and given.redis_url is not None:
        config = with_redis_url(config, given.redis_url)
    return config


def _with_sealing_secret(config: Config, *, is_alone: bool) -> Config:
    """The configuration with the secret that frontends and workers share, where there is `auth`.

    Raises:
        StartError: there is none, and the others are elsewhere.
    """
    if not config.auth.is_on or config.session.secret is not None:
        return config
    if is_alone:
        raise StartError("auth needs session.secret, the same for all frontends and workers")
    return with_session_secret(config)


def without_draining(config: Config) -> Config:
    """The configuration where nobody else serves: clients have nowhere to go, and need not be waited for."""
    return msgspec.structs.replace(config, websocket=msgspec.structs.replace(config.websocket, drain=Seconds(0)))


def _loaded(config: str | Path | Mapping[str, Any] | Config | None) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return load(data=config).config
    return load(config).config
