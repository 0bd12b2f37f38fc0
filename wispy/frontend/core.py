"""The parts of one frontend process, put together: links, relay, hub, sessions, draining and readiness."""

import logging
import random
import secrets
from typing import Final

from wispy.broker.address import RedisAddress
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.subscriber import Subscriber
from wispy.config.schema import Config
from wispy.frontend.dispatch import Dispatcher
from wispy.frontend.guard import Guard
from wispy.frontend.hub import Hub
from wispy.frontend.methods import Methods
from wispy.frontend.relay import Relay
from wispy.frontend.session import Session, SessionLimits
from wispy.frontend.websocket.seam import CloseCode, WebSocketSettings
from wispy.frontend.websocket.service import WebSocketService
from wispy.protocol import jsonrpc
from wispy.timing import wait_until

log = logging.getLogger("wispy.frontend")

RECONNECT_SPREAD_MS: Final = 2000
"""Over how long the clients of a frontend that goes are spread when they connect elsewhere."""

DRAIN_S: Final = 10.0
"""How long a frontend that is asked to end waits for the requests in flight."""

CLOSE_S: Final = 1.0
"""How long closing websockets may take to say goodbye."""


class Core:
    """One frontend process without its HTTP server. Made on the running loop.

    Args:
        config: the configuration; `redis.url` names a server.
    """

    def __init__(self, config: Config) -> None:
        redis = config.redis
        assert redis.url is not None  # whoever starts a frontend has started the embedded server before
        self.config = config
        self.name = secrets.token_hex(8)
        self.guard = Guard(config)
        address = RedisAddress.parse(redis.url, user=redis.user, password=redis.password)
        keys = Keys(redis.prefix, address.database)
        self.link = Link(
            address,
            name="frontend",
            connect_timeout_s=redis.connect_timeout,
            command_timeout_s=redis.command_timeout,
        )
        self.subscriber = Subscriber(
            address,
            name="frontend",
            command_link=self.link,
            prefix=keys.prefix,
            probe_interval_s=redis.probe_interval,
        )
        self.hub = Hub(self.link, self.subscriber, keys)
        self.subscriber.after_read = self._write_out
        self.subscriber.on_lost(self._write_out)  # a read that ends the connection is not followed by `after_read`
        self.relay = Relay(
            self.name,
            self.link,
            self.subscriber,
            keys,
            settings_of=lambda name: config.of_object(name).func_caller,
            max_in_flight=config.limits.in_flight_per_object,
            before_replies=self._before_replies,
        )
        self.methods = Methods(self.relay, self.hub, keys, config, config.session.secret or secrets.token_hex(32))
        self.dispatcher = Dispatcher(self.relay, self.methods.table())
        self.websockets = WebSocketService(_websocket_settings(config))
        self.sessions: set[Session] = set()
        self.is_draining = False
        limits = config.limits
        self._session_limits = SessionLimits(
            in_flight=limits.in_flight_per_connection,
            batch=limits.batch,
            depth=limits.depth,
            subscriptions=limits.subscriptions_per_connection,
            unread_bytes=config.websocket.write_buffer + limits.reply_bytes,
        )
        self.link.on_connected(self._tell_clock)

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self.sessions) >= self.config.limits.connections

    async def start(self) -> None:
        """Connect to Redis, in the background."""
        await self.link.start()
        await self.subscriber.start()

    def new_session(self) -> Session:
        """The session of a websocket that is about to open."""
        return Session(
            self.dispatcher,
            self.hub,
            self._session_limits,
            self.relay.open_plain_session,
            self.sessions.add,
            self._closed,
        )

    def _before_replies(self) -> None:
        """Replies come: a request's updates precede its reply, and all is written when the read is handed out."""
        self.websockets.collect()
        self.hub.flush()

    def _write_out(self) -> None:
        """One read of the subscription was handed out: write it now, not after another look at the sockets."""
        self.websockets.collect()
        self.hub.flush()
        self.websockets.flush()

    def _closed(self, session: Session) -> None:
        self.sessions.discard(session)
        for flights in session.all_flights():
            self.relay.close_session(flights)

    def reasons_not_ready(self) -> list[str]:
        """Why a load balancer should send new clients elsewhere; empty if it should not."""
        reasons = {
            "draining": self.is_draining,
            "the link to Redis is down": not self.link.connected,
            "the subscription to Redis is down": not self.subscriber.connected,
            "the subscription to Redis is deaf": self.subscriber.deaf,
        }
        return [reason for reason, holds in reasons.items() if holds]

    def _tell_clock(self) -> None:
        """Redis is another server now: sessions stamp by its clock from now on."""
        server = self.link.server
        if server is None:
            return
        params = b'{"run":"%b","ms":%d}' % (server.run_id.encode(), server.now_ms(self.websockets.loop.time()))
        text = jsonrpc.notification("rpc.clock", params)
        for session in self.sessions:
            if session.flights is not None and session.flights.run != server.run_id:
                session.flights.run = server.run_id
                session.send(text)

    async def drain(self) -> None:
        """Take no new clients, let what is in flight end, tell the clients when to reconnect, and let them go."""
        self.is_draining = True
        for session in list(self.sessions):
            wait_ms = random.randrange(RECONNECT_SPREAD_MS)  # noqa: S311 -- spreads load, guards nothing
            session.send(jsonrpc.notification("rpc.closing", b'{"reconnect_in_ms":%d}' % wait_ms))
        await wait_until(lambda: not self.relay.in_flight, DRAIN_S)
        for session in list(self.sessions):
            if session.connection is not None:
                session.connection.close(CloseCode.GOING_AWAY, "the server goes; reconnect")
        await wait_until(lambda: not self.sessions, CLOSE_S)

    async def stop(self) -> None:
        """Close everything."""
        await self.dispatcher.close()
        await self.relay.close()
        await self.hub.close()
        await self.subscriber.stop()
        await self.link.stop()
        self.websockets.stop()


def _websocket_settings(config: Config) -> WebSocketSettings:
    websocket = config.websocket
    return WebSocketSettings(
        shell=websocket.shell,
        compression=websocket.compression,
        max_message_size=config.websocket_max_message_size,
        write_buffer=websocket.write_buffer,
        ping_interval_s=websocket.ping_interval,
        pong_timeout_s=websocket.pong_timeout,
    )
