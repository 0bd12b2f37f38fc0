"""The parts of one frontend process, put together: links, relay, hub, sessions, draining and readiness."""

import asyncio
import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Callable
from itertools import islice
from typing import Final

from wispy.access_log import AccessLog
from wispy.audit_log import Access, AuditLog
from wispy.broker.deployment import Deployment
from wispy.config.schema import Config
from wispy.frontend.audit import Audit
from wispy.frontend.auth.credentials import Credentials
from wispy.frontend.auth.gate import AUTHENTICATE, Gate
from wispy.frontend.auth.verifying import Grant, verifier_of
from wispy.frontend.counts import FrontendCounts
from wispy.frontend.dispatch import Dispatcher
from wispy.frontend.guard import Guard
from wispy.frontend.hub import Hub
from wispy.frontend.logging_dispatcher import LoggingDispatcher
from wispy.frontend.methods import Methods
from wispy.frontend.open_requests import OpenRequests
from wispy.frontend.quotas import Quotas
from wispy.frontend.relay import Relay
from wispy.frontend.session import Session, SessionLimits
from wispy.frontend.status import Status
from wispy.frontend.websocket.seam import WebSocketSettings
from wispy.frontend.websocket.service import WebSocketService
from wispy.protocol import errors, jsonrpc
from wispy.protocol.labels import public_name
from wispy.protocol.status import MAX_SESSIONS, FrontendRow, Report, SessionRow
from wispy.timing import wait_until

log = logging.getLogger("wispy.frontend")

RECONNECT_S: Final = 2.0
"""Over how long clients are spread that have nowhere else to go: until the program is started again."""

LEAVE_S: Final = 1.0
"""How long after its time a client may take to leave by itself, with its last answers; then it is ended with."""

DRAIN_S: Final = 10.0
"""How long a frontend that is asked to end waits for the requests in flight."""

FULL: Final = "this server takes no more connections; try again"
"""Said to whom there is no room for."""

CLOSE_S: Final = 1.0
"""How long closing websockets may take to say goodbye."""


class Core:
    """One frontend process without its HTTP server. Made on the running loop.

    Args:
        config: the configuration; `redis.url` names a server.
        process: its name, in metrics.
    """

    def __init__(self, config: Config, process: str) -> None:
        self.process = process
        self.began = time.time()
        self.counts = FrontendCounts()
        audit_log = AuditLog.of(config.audit, process)
        self.audit = Audit(audit_log)
        self.config = config
        self.name = secrets.token_hex(8)
        self.guard = Guard(config)
        deployment = Deployment(config.redis)
        keys = deployment.keys
        self.link = deployment.commands("frontend")
        self.subscriber = deployment.subscriber("frontend", self.link)
        self.hub = Hub(self.link, self.subscriber, keys, self.counts, max_feeds=config.limits.channels)
        self.subscriber.after_read = self._write_out
        self.subscriber.on_lost(self._write_out)  # a read that ends the connection is not followed by `after_read`
        self.relay = Relay(
            self.name,
            self.link,
            self.subscriber,
            keys,
            settings_of=lambda name: config.of_object(name).func_caller,
            max_in_flight=config.limits.in_flight_per_object,
            max_objects=config.limits.objects,
            before_replies=self._before_replies,
            sealing_secret=config.sealing_secret if config.auth.is_on else None,
            counts=self.counts,
            audit=self.audit,
        )
        self.quotas = Quotas(config.limits, self.counts, time.monotonic)
        self.methods = Methods(
            self.relay, self.hub, keys, config, config.session.secret or secrets.token_hex(32), self.quotas
        )
        self.status = Status(
            self.name,
            self.link,
            self.subscriber,
            keys,
            report=self._report,
            objects=self.methods.objects,
            roles=config.auth.status_roles if config.auth.is_on else None,
        )
        methods = self.methods.table()
        if config.has_console:
            methods["rpc.status"] = self.status.answer
        access_log = AccessLog.of(config.logging_config, "frontend")
        self.dispatcher = (
            Dispatcher(self.relay, methods)
            if access_log is None and (audit_log is None or not audit_log.is_whole)
            else LoggingDispatcher(access_log, self.relay, methods)
        )
        self.websockets = WebSocketService(_websocket_settings(config))
        self.sessions: dict[Session, None] = {}
        """Those with an open websocket, the oldest first."""
        verifier = verifier_of(config.auth)
        self.gate: Gate | None = None
        """None where nobody has to say who he is."""
        if verifier is not None:
            self.gate = Gate(
                config.auth,
                verifier,
                self.dispatcher,
                self.sessions,
                self.quotas,
                self.audit,
                max_message_size=config.websocket_max_message_size,
            )
            methods[AUTHENTICATE] = self.gate.authenticate
        self._started_at = self.websockets.loop.time()
        self.requests = OpenRequests()
        self.is_draining = False
        self.refuses_http: Callable[[], bool] = bool
        """Whether no more HTTP connections are taken; the server's to say."""
        self._partings: list[asyncio.TimerHandle] = []
        """When those who do not leave by themselves are ended with."""
        self.session_limits = _session_limits(config)
        self.link.on_connected(self._tell_clock)
        self.link.on_clock(lambda: self._tell_clock(is_set=True))

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self.sessions) >= self.config.limits.connections

    @property
    def sessions_open(self) -> int:
        """How many of the connections said `rpc.hello`."""
        return sum(session.flights is not None for session in self.sessions)

    async def start(self) -> None:
        """Connect to Redis, in the background."""
        self.status.start()
        if self.gate is not None:
            self.gate.start()
        await self.link.start()
        await self.subscriber.start()

    def new_session(self, remote: str, grant: Grant | None, credentials: Credentials) -> Session:
        """The session of a websocket that is about to open.

        Args:
            remote: its client's address.
            grant: who its client is; None where nobody has to say so, or where he has not yet.
            credentials: what it has shown.
        """
        session = Session(
            self.quotas.websocket(self.dispatcher if self.gate is None else self.gate.lobby, remote, None),
            self.hub,
            self.session_limits,
            self.relay.open_plain_session,
            self._opened,
            self._closed,
        )
        session.credentials = credentials
        if grant is not None:
            assert self.gate is not None
            self.gate.admit(session, grant, credentials)
        return session

    def _before_replies(self) -> None:
        """Replies come: a request's updates precede its reply, and all is written when the read is handed out."""
        self.websockets.collect()
        self.hub.flush()

    def _write_out(self) -> None:
        """One read of the subscription was handed out: write it now, not after another look at the sockets."""
        self.websockets.collect()
        self.hub.flush()
        self.websockets.flush()

    def _opened(self, session: Session) -> None:
        session.opened_at = self.websockets.loop.time()
        access = Access("websocket", "", address=session.remote, user=session.identity.user)
        try:
            if self.is_full:
                self.counts.hit("connections")
                raise errors.OVERLOADED(FULL)
            self.quotas.opened(session)
        except errors.RPCError as error:  # its handshake began when there was room
            self.audit.denied(error.denied or "limit", access)
            session.turn_away(error.message)
            return
        self.counts.opened += 1
        self.sessions[session] = None
        if self.gate is not None:
            self.gate.opened(session)
        if self.audit.log is not None and self.audit.log.is_whole:
            self.audit.log.ended("ok", access)
        if self.is_draining:  # its handshake began before
            self._send_away(session)

    def _closed(self, session: Session) -> None:
        self.sessions.pop(session, None)
        for flights in session.all_flights():
            self.relay.close_session(flights)
        self.quotas.closed(session)

    def _report(self, now_ms: int) -> Report:
        """What this process says of itself, at `now_ms` on the Redis server's clock."""
        now = self.websockets.loop.time()

        def moment_ms(at: float) -> int:
            return now_ms - int((now - at) * 1000)

        row = FrontendRow(
            id=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            since_ms=moment_ms(self._started_at),
            connections=len(self.sessions),
            sessions=self.sessions_open,
            counts={
                "requests": self.dispatcher.requests,
                "deliveries": self.hub.deliveries,
                "denied": sum(self.audit.counts.values()),
            },
        )
        newest = islice(reversed(self.sessions), MAX_SESSIONS)
        rows = [self._row(session, moment_ms(session.opened_at)) for session in newest]
        return Report(self.name, frontend=row, sessions=rows, denials=self.audit.recent)

    def _row(self, session: Session, since_ms: int) -> SessionRow:
        flights = session.all_flights()
        # One that has asked for nothing yet has no name: what it is called must only differ from the others.
        name = flights[0].name if flights else f"{self.name} {id(session)}"
        return SessionRow(
            id=public_name(name),
            frontend=self.name,
            since_ms=since_ms,
            address=session.remote,
            user=session.identity.user,
            in_flight=session.in_flight,
            subscriptions=len(session.subscriptions),
        )

    def reasons_not_ready(self) -> list[str]:
        """Why a load balancer should send new clients elsewhere; empty if it should not."""
        reasons = {
            "draining": self.is_draining,
            "the link to Redis is down": not self.link.connected,
            "the subscription to Redis is down": not self.subscriber.connected,
            "the subscription to Redis is deaf": self.subscriber.deaf,
            "no more HTTP connections are taken (limits.http_connections)": self.refuses_http(),
        }
        return [reason for reason, holds in reasons.items() if holds]

    def _tell_clock(self, *, is_set: bool = False) -> None:
        """Redis is another server now, or its clock was set: sessions stamp by that from now on."""
        server = self.link.server
        if server is None:
            return
        params = b'{"run":"%b","ms":%d}' % (server.run_id.encode(), server.now_ms(self.websockets.loop.time()))
        text = jsonrpc.notification("rpc.clock", params)
        for session in self.sessions:
            if session.flights is not None and (is_set or session.flights.run != server.run_id):
                session.flights.run = server.run_id
                session.send(text)

    async def drain(self) -> None:
        """Take no new clients, tell those that are here when to move, and serve them until then, with all they asked.

        HTTP is served meanwhile: balancers learn from `/readyz` that others are to be asked, and need a moment for it.
        """
        self.is_draining = True
        for session in list(self.sessions):
            self._send_away(session)
        if not await wait_until(self._is_idle, DRAIN_S):
            log.warning(
                "%d clients have not left; %d requests have no answer yet, and go on elsewhere or are `maybe`",
                len(self.sessions),
                self.relay.in_flight,
            )
        for parting in self._partings:
            parting.cancel()
        for session in list(self.sessions):
            session.give_up()
        await wait_until(lambda: not self.sessions and not self.relay.has_unsent, CLOSE_S)

    def _send_away(self, session: Session) -> None:
        """Tell a client when to connect elsewhere; end with it a little later, unless it has gone by itself."""
        drain_s = self.config.websocket.drain
        wait_s = random.uniform(0, drain_s or RECONNECT_S)  # noqa: S311 -- spreads load, guards nothing  # nosec B311
        session.send(jsonrpc.notification("rpc.closing", b'{"reconnect_in_ms":%d}' % int(wait_s * 1000)))
        if drain_s:
            self._partings.append(self.websockets.loop.call_later(wait_s + LEAVE_S, session.finish))
        else:
            session.finish()

    def _is_idle(self) -> bool:
        """Whether nobody is here any more who waits for an answer; who left with some open asks for it elsewhere."""
        now_s = self.websockets.loop.time()
        return not self.sessions and self.requests.are_over(now_s, self.config.websocket.drain)

    async def stop(self) -> None:
        """Close everything."""
        if self.gate is not None:
            await self.gate.close()
        await self.dispatcher.close()
        await self.status.close()
        await self.relay.close()
        await self.hub.close()
        await self.subscriber.stop()
        await self.link.stop()
        self.websockets.stop()
        if self.audit.log is not None:
            self.audit.log.close()


def _session_limits(config: Config) -> SessionLimits:
    limits = config.limits
    return SessionLimits(
        in_flight=limits.in_flight_per_connection,
        batch=limits.batch,
        depth=limits.depth,
        digits=limits.digits,
        unread_bytes=config.websocket.write_buffer + limits.reply_bytes,
    )


def _websocket_settings(config: Config) -> WebSocketSettings:
    websocket = config.websocket
    return WebSocketSettings(
        shell=websocket.shell,
        compression=websocket.compression,
        max_message_size=config.websocket_max_message_size,
        # One message that may come at all has room at least while there is no other one.
        partial_messages=max(
            config.limits.partial_messages, config.websocket_max_message_size, config.limits.http_body
        ),
        message_time_s=config.limits.http_body_time,
        write_buffer=websocket.write_buffer,
        ping_interval_s=websocket.ping_interval,
        pong_timeout_s=websocket.pong_timeout,
    )
