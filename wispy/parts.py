"""What one process runs: objects, frontends, or both, and Redis where none is named.

Rules:
- The first Ctrl-C, SIGTERM or SIGHUP never raises inside object code, a second one ends the process at once.
- Whatever was started is ended: frontends, the private server, threads; also when starting fails half-way, and the
  children also when this process is killed.
"""

import asyncio
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

import msgspec

from wispy.broker.embedded import RevivedServer
from wispy.config.prepare import with_redis_url, without_draining
from wispy.config.schema import Config
from wispy.errors import StartError
from wispy.frontend.kin import NoChild
from wispy.frontend.processes import supervise, with_session_secret
from wispy.frontend.server import Listening, listen, listen_for_metrics, serve, url_of
from wispy.loops import calm_garbage_collector, new_event_loop
from wispy.metrics import Snapshot
from wispy.reload.files import own_folders
from wispy.reload.handover import Handover
from wispy.scrape import Tell
from wispy.surroundings import ending_signals
from wispy.timing import wait_until
from wispy.worker.process import Worker
from wispy.worker.source import ObjectSource

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
        sockets = Listening([], [])
        server: RevivedServer | None = None
        web: _Web | None = None
        try:
            if self.has_web:
                sockets.public.extend(self._listen())
                sockets.metrics.extend(listen_for_metrics(self.config))
            self._warn_without_secret()
            self._warn_of_settings_for_none()
            server = self._start_redis()
            if self.has_web:
                self.url = url_of(self.config, sockets.public)
                web = _Web(self.config, sockets, self._fail, self._worker_metrics)
            if self.sources:
                self._worker = Worker(self.sources, self.config, self._drain_s, self._fail)
                await self._worker.start()
                await self._wait_for_objects()
            if not self._stop.is_set():  # else there is nothing to announce
                self._tell_started(on_started)
            calm_garbage_collector()
            await self._stop.wait()
        finally:
            if web is not None:
                await web.stop()
            if self._worker is not None:
                await self._worker.stop()
            if server is not None:
                server.stop()
            for each in (*sockets.public, *sockets.metrics):
                each.close()
        if self._error is not None:
            raise self._error

    def wait_for_release(self) -> None:
        """Wait until the objects are handed over, or their hooks have had their time. Not in the objects' thread."""
        if self._worker is not None:
            self._worker.join(2 * self.config.lease.hook_timeout)  # snapshot, on_release

    def _tell_started(self, on_started: Callable[[], None]) -> None:
        on_started()
        if self._handover is not None:
            self._handover.tell_folders(own_folders())

    async def _worker_metrics(self) -> list[Snapshot]:
        """What the worker tells; on the frontends' loop."""
        return [] if self._worker is None else await self._worker.metrics()

    def _warn_without_secret(self) -> None:
        if self.has_web and self.config.redis.url is not None and self.config.session.secret is None:
            log.warning(
                "no session.secret is set: a page cannot go on with its session at another frontend of this Redis, and "
                "what it had sent is `maybe` there; give all of them the same secret"
            )

    def _warn_of_settings_for_none(self) -> None:
        """With a private server nobody else can own what `instance_configs` names: a misspelt name would do nothing."""
        served = [source.name for source in self.sources]
        for name in self.config.instance_configs:
            if self._is_private and name not in served:
                log.warning("instance_configs.%s is for no object that is served: %s", name, ", ".join(served))

    def _start_redis(self) -> RevivedServer | None:
        """Start a private server, where no Redis is named and no watcher has one."""
        server: RevivedServer | None = None
        if self.config.redis.url is None:
            server = RevivedServer()
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

    async def _wait_for_objects(self) -> None:
        """With a private server nobody else can own the objects: who is told of the URL finds them there."""
        stop = self._stop
        assert stop is not None
        await wait_until(lambda: stop.is_set() or not self.still_unserved(), OBJECTS_S)

    def still_unserved(self) -> list[str]:
        """The objects that this process does not serve, where nobody else can."""
        if self._worker is None or not self._is_private:
            return []
        serving = self._worker.serving()
        return [source.name for source in self.sources if source.name not in serving]

    def ask_to_stop(self) -> None:
        """Begin to end; safe from any thread and from signal handlers."""
        if self._worker is not None:
            self._worker.ask_to_stop()
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
        sockets: Listening,
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

    async def stop(self) -> None:
        """Drain and end. No thread of a pool waits for it: there is none any more where the interpreter ends."""
        try:
            self._loop.call_soon_threadsafe(self._stop.set)
        except RuntimeError:
            log.debug("the frontends have ended already")
        await wait_until(lambda: not self._thread.is_alive(), math.inf)


def run_parts(parts: Parts, on_started: Callable[[], None]) -> None:
    """Run the parts in the main thread until a signal ends them."""
    former = {number: signal.getsignal(number) for number in ending_signals()}
    asked: dict[int, float] = {}
    """Signal to when it came first."""
    is_over = threading.Event()
    patience = threading.Thread(target=_end_without_objects, args=(parts, is_over), daemon=True)

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
        is_over.set()
        for number, handler in former.items():
            signal.signal(number, handler)


def _end_without_objects(parts: Parts, is_over: threading.Event) -> None:
    """Where the objects' thread does not come back, go without it: callers have their answers, leases are released."""
    if is_over.wait(DRAIN_S):
        return
    parts.wait_for_release()
    if not is_over.wait(PATIENCE_S):
        log.error("object code does not return; the process ends without it")
        os._exit(1)


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
