"""The methods that a frontend answers itself: hello, channels and subscriptions, cancel, discover."""

import logging
import secrets
import time
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import jwt
import msgspec

from wispy.audit_log import Access
from wispy.broker.directory import ObjectDirectory
from wispy.broker.errors import BrokerError
from wispy.broker.keys import Keys
from wispy.config.schema import Config
from wispy.frontend import openrpc
from wispy.frontend.audit import Audit
from wispy.frontend.dispatch import Caller, LocalMethod
from wispy.frontend.feed import Declaration, Feed, decode_declaration
from wispy.frontend.hub import Hub
from wispy.frontend.quotas import Quotas
from wispy.frontend.relay import Relay
from wispy.frontend.session import Session
from wispy.protocol import errors, jsonrpc
from wispy.protocol.positions import Brought, Missing, parse_position
from wispy.protocol.surface import seen_by
from wispy.version import __version__

log = logging.getLogger("wispy.frontend")

TOKEN_S: Final = 30 * 86400
"""How long a token is good for. A session's window begins when its connection breaks, which only its client knows; a
token has to last as long as a connection may. That it is good for nothing later is the owner's memory's to see to."""

OPENED_AT_ONCE: Final = 64
"""Channels that one subscription opens at a time: they share round trips, and wait together where Redis does not
answer. Wrong names count as channels until they are known to be wrong, and must not take the others' room."""

ParamsT = TypeVar("ParamsT")


class _HelloParams(msgspec.Struct):
    client: str | None = None
    session: str | None = None
    token: str | None = None


class _ChannelsParams(msgspec.Struct):
    object: str | None = None


class _SubscribeParams(msgspec.Struct):
    channels: list[str]
    since: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class _UnsubscribeParams(msgspec.Struct):
    channels: list[str]


class _CancelParams(msgspec.Struct):
    id: msgspec.Raw


class Methods:
    """The frontend's own methods.

    Args:
        relay: to the owners.
        hub: the channels.
        keys: the deployment's keys.
        config: the frontend's configuration.
        secret: signs session tokens.
        quotas: how many channels a caller may be subscribed to.
    """

    def __init__(self, relay: Relay, hub: Hub, keys: Keys, config: Config, secret: str, quotas: Quotas) -> None:
        self._quotas = quotas
        self._relay = relay
        self._hub = hub
        self._keys = keys
        self._config = config
        self._secret = secret
        self._directory = ObjectDirectory(relay.link, keys)

    def table(self) -> dict[str, LocalMethod]:
        """Method name to what answers it."""
        return {
            "rpc.hello": self._hello,
            "rpc.channels": self._channels,
            "rpc.subscribe": self._subscribe,
            "rpc.unsubscribe": self._unsubscribe,
            "rpc.cancel": self._cancel,
            "rpc.discover": self._discover,
        }

    # --- sessions ---------------------------------------------------------------------------------------------------

    def _hello(self, caller: Caller, params: msgspec.Raw) -> bytes:
        session = _websocket_only(caller, "rpc.hello")
        if session.flights is not None:
            raise errors.INVALID_REQUEST("rpc.hello was said on this connection")
        given = _read(params, _HelloParams)
        server = self._relay.link.server
        if server is None:
            raise errors.UNAVAILABLE()
        user = session.identity.user
        resumed = self._is_of(given.session, given.token, user)
        if given.token and not resumed:
            access = Access("rpc.hello", "", address=session.remote, user=user)
            self._relay.audit.denied("session", access)
        name = given.session if resumed and given.session else secrets.token_hex(12)
        session.flights = self._relay.open_session(name, server.run_id, session.leave)
        session.flights.bearer = session.bearer
        session.flights.remote = session.remote
        limits = self._config.limits
        return msgspec.json.encode(
            {
                "session": name,
                "token": self._token(name, user),
                "run": server.run_id,
                "ms": server.now_ms(time.monotonic()),
                "limits": {
                    "in_flight": limits.in_flight_per_connection,
                    "batch": limits.batch,
                    "message_bytes": self._config.websocket_max_message_size,
                },
                "ping_interval_s": float(self._config.websocket.ping_interval),
                "resumed": resumed,
                "session_window_s": float(self._config.session.window),
                "version": __version__,
            }
        )

    def _token(self, session: str, user: str | None) -> str:
        """What proves, to any frontend with the same secret, that its bearer is this session, if it is this user."""
        claims = {"sub": session, "user": user, "exp": int(time.time()) + TOKEN_S}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def _is_of(self, session: str | None, token: str | None, user: str | None) -> bool:
        """Whether the token proves that this user is this session. Why it does not is told to nobody."""
        if not session or not token:
            return False
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._secret, algorithms=["HS256"], options={"require": ["sub", "exp"]}
            )
        except jwt.InvalidTokenError as error:
            log.info("a session was not resumed: %s", error)
            return False
        return claims["sub"] == session and claims.get("user") == user

    def _cancel(self, caller: Caller, params: msgspec.Raw) -> bytes:
        wire_id = bytes(_read(params, _CancelParams).id)
        session = _websocket_only(caller, "rpc.cancel")
        flights = session.flights or session.plain()
        for flight in list(flights.in_flight.values()):
            if flight.wire_id == wire_id and session.is_sink_of(flight.sink):
                self._relay.cancel(flight)
        return jsonrpc.NULL_ID

    # --- channels ---------------------------------------------------------------------------------------------------

    async def _channels(self, caller: Caller, params: msgspec.Raw) -> bytes:
        name = _read(params, _ChannelsParams).object
        objects = await self.objects() if name is None else [name]
        found: dict[str, str] = {}
        for object_name in objects:
            for channel, declaration in (await self._declared(object_name)).items():
                if declaration.is_for(caller.identity):
                    found[f"{object_name}.{channel}"] = declaration.kind
        if name is not None and not found and not await self._exists(name):
            raise errors.NOT_FOUND()
        return msgspec.json.encode(found)

    async def objects(self) -> list[str]:
        """The names of all objects that an owner has served of late."""
        try:
            return await self._directory.names()
        except BrokerError as error:
            raise errors.UNAVAILABLE() from error

    async def _declared(self, object_name: str) -> dict[str, Declaration]:
        reply: list[bytes] = await self._ask("HGETALL", self._keys.of(object_name).channels)
        rows = zip(reply[::2], reply[1::2], strict=True)
        return {channel.decode(): decode_declaration(declaration) for channel, declaration in rows}

    async def _exists(self, object_name: str) -> bool:
        return bool(await self._ask("EXISTS", self._keys.of(object_name).owner))

    async def _ask(self, command: str, key: str) -> Any:
        try:
            return await self._relay.link.route(key).call(command, key)
        except BrokerError as error:
            raise errors.UNAVAILABLE() from error

    def _subscribe(self, caller: Caller, params: msgspec.Raw) -> Awaitable[bytes]:
        session = _websocket_only(caller, "rpc.subscribe")
        given = _read(params, _SubscribeParams)
        names = list(dict.fromkeys(given.channels))
        self._quotas.subscribing(session, [name for name in names if name not in session.subscriptions])
        since = {name: _position(given.since[name]) for name in names if name in given.since}
        return Subscription(self._hub, self._quotas, self._relay.audit, session, names, since).run()

    def _unsubscribe(self, caller: Caller, params: msgspec.Raw) -> bytes:
        session = _websocket_only(caller, "rpc.unsubscribe")
        for name in _read(params, _UnsubscribeParams).channels:
            session.unsubscribe(name)
        return jsonrpc.NULL_ID

    # --- description ------------------------------------------------------------------------------------------------

    async def _discover(self, caller: Caller, params: msgspec.Raw) -> bytes:
        return await self.discover(caller.identity.roles)

    async def discover(self, roles: frozenset[str]) -> bytes:
        """The OpenRPC document of all objects, as a caller with these roles may see it."""
        objects = await self.objects()
        interfaces = [(name, await self._ask("GET", self._keys.of(name).interface)) for name in sorted(objects)]
        return openrpc.document({name: seen_by(roles, msgspec.json.decode(text)) for name, text in interfaces if text})


class Subscription:
    """One `rpc.subscribe`: opens the feeds, then answers and goes live in one turn of the loop."""

    def __init__(
        self,
        hub: Hub,
        quotas: Quotas,
        audit: Audit,
        session: Session,
        names: list[str],
        since: dict[str, tuple[str, int]],
    ) -> None:
        self._hub = hub
        self._quotas = quotas
        self._audit = audit
        self._session = session
        self._names = names
        self._since = since
        """Where the client stopped: epoch and offset."""
        self._joined: dict[str, Feed] = {}
        """What the hub keeps for this subscription."""
        self._feeds: dict[str, Feed] = {}
        """That of it which is open."""
        self._results: dict[str, Any] = {}
        self._reached: dict[str, tuple[str, int]] = {}
        """Event channel to how far what its subscriber missed has been read."""
        self._missed: dict[str, list[bytes]] = {}
        """Event channel to that, as it is sent."""
        self._missed_bytes = 0
        self._left: set[str] = set()
        """Channels that the client has left meanwhile."""
        session.subscribing += (self,)

    def leave(self, name: str) -> None:
        """The client does not want this channel any more."""
        self._left.add(name)

    async def run(self) -> bytes:
        """Open the feeds; the result to answer with. Its updates are sent after it.

        Channels that bring more at once than the connection has room for are refused for the moment: the client asks
        for them again when it has read the others.
        """
        try:
            for start in range(0, len(self._names), OPENED_AT_ONCE):
                await self._open(self._names[start : start + OPENED_AT_ONCE])
            while behind := [feed for feed in self._feeds.values() if self._is_behind(feed)]:
                for feed in behind:
                    if self._missed[feed.name] or self._session.has_room(0, self._missed_bytes):
                        await self._read_missed(feed)
                    else:
                        del self._feeds[feed.name]
                        self._put_off(feed)
            self._hub.flush()
            return self._go_live()
        finally:
            session = self._session
            session.subscribing = tuple(each for each in session.subscribing if each is not self)
            for feed in self._joined.values():
                self._hub.release(feed)

    async def _open(self, names: list[str]) -> None:
        for name in names:
            try:
                self._joined[name] = self._hub.join(name)
            except errors.RPCError as error:
                self._refuse(name, error)
        for name in names:
            if name in self._joined:
                await self._wait_open(name, self._joined[name])

    async def _wait_open(self, name: str, feed: Feed) -> None:
        try:
            await self._hub.wait_open(feed)
        except errors.RPCError as error:
            del self._joined[name]
            self._hub.release(feed)
            self._refuse(name, error)
            return
        self._feeds[name] = feed
        if feed.kind == "event" and name in self._since:
            self._reached[name] = self._since[name]
            self._missed[name] = []

    def _refuse(self, name: str, error: errors.RPCError) -> None:
        if error.denied is not None:
            session = self._session
            user = session.identity.user
            access = Access("rpc.subscribe", name, address=session.remote, user=user, detail=error.message)
            self._audit.denied(error.denied, access)
        self._results[name] = {"error": msgspec.Raw(error.to_json())}

    def _is_behind(self, feed: Feed) -> bool:
        """Whether events are to be read that were published since the position that the client named."""
        reached = self._reached.get(feed.name)
        if reached is None or self._is_ahead(feed):
            return False
        assert feed.reader is not None
        return reached != (feed.reader.epoch, feed.reader.head)

    async def _read_missed(self, feed: Feed) -> None:
        assert feed.reader is not None
        line = feed.reader.line
        try:
            missed = await self._hub.missed(feed, *self._reached[feed.name], line)
        except BrokerError as error:
            raise errors.UNAVAILABLE() from error
        texts = [_text(feed, piece) for piece in missed]
        self._missed[feed.name] += texts
        self._missed_bytes += sum(map(len, texts))
        self._reached[feed.name] = (line.epoch, line.head)

    def _put_off(self, feed: Feed) -> None:
        self._refuse(feed.name, errors.UNAVAILABLE("there is no room for what it brings, beside what is not read yet"))

    def _go_live(self) -> bytes:
        session = self._session
        brought = 0
        for name, feed in self._feeds.items():
            if not feed.declaration.is_for(session.identity):
                self._refuse(name, errors.NOT_FOUND(denied="role"))  # as if it were not there
                continue
            if self._is_ahead(feed):
                self._refuse(name, errors.UNAVAILABLE("the channel is not known here as far as that yet"))
                continue
            if session.connection is not None and name not in session.subscriptions:
                try:
                    self._quotas.check_subscription(session)
                except errors.RPCError as error:
                    self._refuse(name, error)
                    continue
            result: dict[str, Any] = {"at": feed.at}
            missed = self._missed.get(name, [])
            size = sum(map(len, missed))
            if feed.kind == "value" and not self._has_newer(feed):
                value = feed.value or jsonrpc.NULL_ID
                result["value"] = msgspec.Raw(value)
                size += len(value)
            if size and not session.has_room(size, brought):
                self._put_off(feed)
                continue
            brought += size
            self._results[name] = result
            if session.connection is not None and name not in self._left:
                session.subscribe(feed)
                session.send_after_answer(missed)
        return msgspec.json.encode(self._results)

    def _is_ahead(self, feed: Feed) -> bool:
        """Whether the client has heard more than this feed: what comes next here, the client may have.

        Either the feed will catch up in a moment, or Redis has lost what the client has, and the next owner ends that.
        """
        assert feed.reader is not None
        return feed.name in self._since and feed.reader.line.is_behind(*self._since[feed.name])

    def _has_newer(self, feed: Feed) -> bool:
        """Whether the client has a newer value than Redis, which has lost some: the owner states it anew."""
        if feed.name not in self._since:
            return False
        assert feed.reader is not None
        epoch, offset = self._since[feed.name]
        return feed.reader.line.continues(epoch) and offset > feed.value_offset


def _text(feed: Feed, piece: Brought | Missing) -> bytes:
    return feed.update_text(*piece) if isinstance(piece, Brought) else feed.gap_text(piece)


def _websocket_only(caller: Caller, method: str) -> Session:
    if not isinstance(caller, Session):
        raise errors.INVALID_REQUEST(f"{method} needs a websocket")
    return caller


def _position(at: str) -> tuple[str, int]:
    try:
        return parse_position(at)
    except ValueError as error:
        raise errors.INVALID_PARAMS(str(error)) from error


def _read(params: msgspec.Raw, kind: type[ParamsT]) -> ParamsT:
    """Params as the method has them; a method without required ones may be called with none."""
    data = b"{}" if bytes(params) in (jsonrpc.NULL_ID, b"[]") else params
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise errors.INVALID_PARAMS(str(error)) from error
