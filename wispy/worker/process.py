"""The worker: objects' code on one loop in this thread; Redis, leases and heartbeats on another one in a second thread.

Rules:
- A long `def` of an object blocks the objects' loop, never the I/O thread: it does not cost the object its lease.
- Whatever ends unexpectedly ends the worker, with a log line: a half-alive worker keeps its leases and serves nobody.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from tornado.httpserver import HTTPServer

from wispy import scrape
from wispy.broker.deployment import Deployment
from wispy.broker.errors import BrokerError
from wispy.broker.keys import status_reports
from wispy.broker.metrics import tell_links
from wispy.broker.route import Commands
from wispy.broker.subscriber import Subscriptions
from wispy.config.schema import Config
from wispy.errors import StartError, UnservableError
from wispy.loops import new_event_loop
from wispy.metrics import Snapshot, label_of
from wispy.protocol.status import Report
from wispy.worker.health import Health
from wispy.worker.owner import Owner
from wispy.worker.shared_owner import SharedOwner
from wispy.worker.source import ObjectSource
from wispy.worker.stage import Stage

log = logging.getLogger("wispy.worker")

PORT_HINT: Final = "choose another one with --health-port N or `health_port: N`"

CLOSE_S: Final = 1.0
"""How long owners may take to give released instances back: object code may be in the way."""

JOIN_S: Final = 10.0
"""How long the I/O thread may take to end, beyond the drain, before the process goes without it."""

_decode_cancel: Final = msgspec.json.Decoder(tuple[str, int]).decode


class Worker:
    """Serves objects: call `start`, later `stop`, both on the objects' loop.

    Args:
        sources: the objects.
        config: the worker's configuration; `redis.url` names a server.
        drain_s: seconds that running calls have to end when the objects are handed over.
        on_failure: called on the objects' loop when the worker cannot go on.
    """

    def __init__(
        self,
        sources: Sequence[ObjectSource],
        config: Config,
        drain_s: float,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        if not sources:
            raise StartError("there is no object to serve: name one with --object [NAME=]MODULE:OBJECT")
        self._name = secrets.token_hex(8)
        """For those who ask what it does."""
        self._sources = sources
        self._config = config
        self._drain_s = drain_s
        self._on_failure = on_failure
        self._deployment = Deployment(config.redis)
        self._keys = self._deployment.keys
        self._loop = asyncio.get_running_loop()
        self._io_loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._owners: list[Owner] = []
        self._stop_asked: asyncio.Event | None = None
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._links: tuple[Commands, Subscriptions] | None = None
        self._health: Health | None = None
        self._began = time.time()
        port = config.health_port
        self._health_sockets = [] if port is None else scrape.bind(config.address, port, PORT_HINT)

    # --- the objects' thread ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start serving; returns once the I/O thread runs."""
        self._thread = threading.Thread(target=self._run_io, name="wispy-io", daemon=True)
        self._thread.start()
        await self._started.wait()

    def ask_to_stop(self) -> None:
        """Begin to hand all objects over; safe from any thread and from signal handlers, at once even if object code
        blocks this thread.
        """
        if self._io_loop is not None and self._stop_asked is not None:
            try:
                self._io_loop.call_soon_threadsafe(self._stop_asked.set)
            except RuntimeError:
                log.debug("the I/O thread has ended already")

    async def stop(self) -> None:
        """Hand all objects over."""
        self.ask_to_stop()
        await self._stopped.wait()
        self.join(JOIN_S)

    def join(self, timeout_s: float) -> None:
        """Wait until the I/O thread has ended: the objects are handed over. From any other thread."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def serving(self) -> list[str]:
        """The names of the objects that this process owns now."""
        return [owner.stage.name for owner in self._owners if owner.is_serving]

    async def metrics(self) -> list[Snapshot]:
        """The numbers of this process; from any loop. None before it has begun, and after its end."""
        io_loop = self._io_loop
        if io_loop is None or self._health is None or self._stopped.is_set():
            return []
        collecting = self._snapshots()
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(collecting, io_loop))
        except RuntimeError:
            collecting.close()
            log.debug("the I/O thread has ended already")
            return []

    def _ended(self, error: BaseException | None) -> None:
        self._started.set()
        self._stopped.set()
        if error is not None:
            self._on_failure(error)

    # --- the I/O thread ---------------------------------------------------------------------------------------------

    def _run_io(self) -> None:
        error: BaseException | None = None
        self._io_loop = new_event_loop()
        try:
            with asyncio.Runner(loop_factory=lambda: self._io_loop) as runner:  # pyright: ignore[reportArgumentType]
                runner.run(self._serve())
        except UnservableError as caught:  # its text says it all to who started this
            error = caught
        except BaseException as caught:
            log.exception("the worker's I/O failed")
            error = caught
        finally:
            self._loop.call_soon_threadsafe(self._ended, error)

    async def _serve(self) -> None:
        self._stop_asked = asyncio.Event()
        link = self._deployment.commands("worker")
        subscriber = self._deployment.subscriber("worker", link)
        subscriber.subscribe(self._keys.status_wanted, lambda payload: self._report(link, payload))
        await link.start()
        await subscriber.start()
        self._owners = [self._owner(source, link) for source in self._sources]
        for owner in self._owners:
            cancels = self._keys.of(owner.stage.name).cancels
            subscriber.subscribe(cancels, lambda payload, owner=owner: _cancel(owner, payload))
        self._links = (link, subscriber)
        self._health = Health(self._owners, link, subscriber, self._loop, self._config.health_hang)
        server = self._serve_health()
        self._loop.call_soon_threadsafe(self._started.set)
        try:
            await self._own_until_asked_to_stop()
        finally:
            if server is not None:
                server.stop()
                await server.close_all_connections()
            await subscriber.stop()
            await link.stop()

    def _serve_health(self) -> HTTPServer | None:
        sockets = self._health_sockets
        if not sockets:
            return None
        health = self._health
        assert health is not None
        log.info("health is told at %s", scrape.url_of(sockets, "/healthz"))
        return scrape.serve(
            sockets, self._snapshots, not_alive=health.reasons_not_alive, not_ready=health.reasons_not_ready
        )

    async def _snapshots(self) -> list[Snapshot]:
        return [self._snapshot()]

    def _snapshot(self) -> Snapshot:
        """The numbers of this process."""
        assert self._links is not None
        assert self._health is not None
        link, subscriber = self._links
        snapshot = Snapshot("worker")
        snapshot.put_process(self._began)
        tell_links(snapshot, link, subscriber)
        snapshot.put("wispy_ready", not self._health.reasons_not_ready())
        for place, owner in enumerate(self._owners):
            owner.tell_metrics(snapshot, label_of(owner.stage.name, place))
        return snapshot

    def _report(self, link: Commands, asker: bytes) -> None:
        """A frontend asks what is known here: it is told, whether there is much to tell or nothing."""
        reports = [owner.report() for owner in self._owners]
        told = Report(self._name, objects=[report for report in reports if report is not None])
        channel = status_reports(self._keys.prefix, asker.decode("ascii", "replace"))
        link.publish(channel, msgspec.json.encode(told), _log_failure)

    def _owner(self, source: ObjectSource, link: Commands) -> Owner:
        settings = self._config.of_object(source.name)
        if settings.interface.roles is not None and not self._config.auth.is_on:
            log.warning(
                "nobody can use %s: it takes a role (interface.roles), and without authentication (auth.kind) nobody "
                "has one",
                source.name,
            )
        stage = Stage(source, self._config, self._loop)
        kind = SharedOwner if settings.shared else Owner
        return kind(stage, self._deployment, link, self._config)

    async def _own_until_asked_to_stop(self) -> None:
        assert self._stop_asked is not None
        refusals: list[UnservableError] = []

        async def own(owner: Owner) -> None:
            try:
                await owner.run()
            except UnservableError as error:  # the others are handed over as they should be
                if len(self._owners) > 1:
                    log.error("%s cannot be served, the other objects are handed over", owner.stage.name)
                refusals.append(error)
                stop_asked.set()

        stop_asked = self._stop_asked
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(own(owner), name=f"owner of {owner.stage.name}") for owner in self._owners]
            await self._stop_asked.wait()
            await asyncio.gather(*[owner.release(self._drain_s) for owner in self._owners])
            _, waiting = await asyncio.wait(tasks, timeout=CLOSE_S)
            for task in waiting:
                task.cancel()
        if refusals:
            raise refusals[0]


def _log_failure(reply: object) -> None:
    if isinstance(reply, BrokerError):
        log.info("what this worker does was not told: %s", reply)


def _cancel(owner: Owner, payload: bytes) -> None:
    try:
        session, id = _decode_cancel(payload)
    except msgspec.MsgspecError as error:
        log.warning("a cancellation for %s cannot be read: %s", owner.stage.name, error)
        return
    owner.cancel(session, id)
