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
from wispy.frontend.dispatch import Caller, LocalMethod
from wispy.frontend.feed import Declaration, decode_declaration
from wispy.frontend.hub import Hub
from wispy.frontend.quotas import Quotas
from wispy.frontend.relay import Relay
from wispy.frontend.session import Session
from wispy.frontend.subscription import Subscription
from wispy.protocol import errors, jsonrpc
from wispy.protocol.positions import parse_position
from wispy.protocol.surface import seen_by
from wispy.version import __version__

log = logging.getLogger("wispy.frontend")

TOKEN_S: Final = 30 * 86400
"""How long a token is good for. A session's window begins when its connection breaks, which only its client knows; a
token has to last as long as a connection may. That it is good for nothing later is the owner's memory's to see to."""

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
