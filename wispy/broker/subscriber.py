"""Pub/sub: one connection that is kept up with all its subscriptions, and that knows whether it still hears.

Rules:
- A subscription outlives the connection: after a reconnect all are made again, in batches. `connected` means that
  Redis has confirmed every one of them.
- What is published while the connection is down is lost; readers notice by positions, and re-send what they await.
- A TCP connection that looks healthy may be deaf: attached, after a failover, to a server on which nobody publishes.
  It is made anew as soon as commands go to another server. And the subscriber hears itself: a silent connection
  publishes a probe, through the command link, on a channel of its own. Not heard although accepted: the connection is
  made anew, and `deaf` until something is heard.
- Handlers run on the event loop and may not block. A bug in one does not keep others from hearing.
"""

import asyncio
import logging
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, Protocol

from wispy.broker.connection import Connection
from wispy.broker.dialer import Backoff, Dialer
from wispy.broker.errors import BrokerError, LinkDown, ReplyError
from wispy.broker.keys import probe_channel
from wispy.broker.link import Link, notify
from wispy.broker.server import Server
from wispy.broker.slots import slot_of
from wispy.config.redis_address import RedisAddress

logger = logging.getLogger("wispy.broker")

# Large enough to save commands, small enough that Redis serves others in between (Centrifugo's number).
_RESUBSCRIBE_BATCH: Final = 512

Handler = Callable[[bytes], object]

_MESSAGES = frozenset({b"message", b"smessage"})
_CONFIRMATIONS = frozenset({b"subscribe", b"ssubscribe"})


class Subscriptions(Protocol):
    """What a process hears; `Subscriber` says what each of these means."""

    after_read: Callable[[], None] | None

    @property
    def connected(self) -> bool: ...
    @property
    def connection(self) -> int: ...
    @property
    def deaf(self) -> bool: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def on_connected(self, callback: Callable[[], None]) -> None: ...
    def on_lost(self, callback: Callable[[], None]) -> None: ...
    def subscribe(self, channel: str, handler: Handler) -> asyncio.Future[None]: ...
    def unsubscribe(self, channel: str) -> None: ...


class Subscriber:
    """Subscriptions on one connection.

    Args:
        address: the server.
        name: for logs and CLIENT LIST.
        command_link: publishes the probes; it must lead to the same server.
        prefix: of all names in Redis.
        probe_interval_s: the silence after which a probe goes out, and the time it has to come back.
        connect_timeout_s: how long an attempt to connect may take.
        backoff: the pauses between attempts.
        sharded_tag: in a Cluster, a hash tag of a slot that the server has; its channels are sharded ones then.
        on_moved: called with a channel that the server gives up, in a Cluster.
        on_refused: called with the text of a MOVED error: the server does not have the slot of a channel.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        name: str,
        command_link: Link,
        prefix: str = "wispy:",
        probe_interval_s: float = 10.0,
        connect_timeout_s: float = 5.0,
        backoff: Backoff | None = None,
        sharded_tag: str = "",
        on_moved: Callable[[str], None] | None = None,
        on_refused: Callable[[str], None] | None = None,
    ) -> None:
        self._on_moved = on_moved
        self._on_refused = on_refused
        shard = "S" if sharded_tag else ""
        self._subscribe, self._unsubscribe, self._publish = (
            f"{shard}{word}" for word in ("SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH")
        )
        self._is_sharded = bool(sharded_tag)
        self._command_link = command_link
        self._dialer = Dialer(
            address,
            name=name,
            connect_timeout_s=connect_timeout_s,
            # A deadline for the handshake's replies is the connect time-out; later answers are pushes.
            make_connection=lambda on_lost: Connection(on_lost, command_timeout_s=None),
            on_up=self._subscribe_all,
            on_down=self._went_down,
            backoff=backoff,
        )
        self._handlers: dict[bytes, Handler] = {}
        # Channel to the futures of its subscriptions, one for each SUBSCRIBE that awaits its confirmation. None: nobody
        # waits for that one.
        self._awaited: dict[bytes, deque[asyncio.Future[None] | None]] = {}
        self._confirmed = False  # all subscriptions of this connection
        self._stopped = False
        self._listeners_up: list[Callable[[], None]] = []
        self._listeners_down: list[Callable[[], None]] = []
        self.after_read: Callable[[], None] | None = None
        """Called once after all messages of one socket read were handed out."""
        self.deaf = True
        """Whether it is in doubt that this connection hears what is published. For readiness."""
        self._probe_channel = probe_channel(prefix, f"{name}-{secrets.token_hex(8)}", sharded_tag).encode()
        self._probe_interval_s = probe_interval_s
        self._heard = False  # a message came in this read
        self._heard_at = 0.0  # when the last message came; all times here are the loop's
        self._probe: object | None = None  # stands for the probe that is on its way; None once anything was heard
        self._probe_accepted = False  # by Redis
        self._refusal = ""  # why Redis did not take the last one
        self._check: asyncio.TimerHandle | None = None
        command_link.on_connected(self._look_at_link)

    async def start(self) -> None:
        """Connect in the background; returns at once."""
        self.begin()

    def begin(self) -> None:
        """The same as `start`, for callers that cannot wait."""
        self._dialer.start()

    async def stop(self) -> None:
        """Close for good. Futures of unconfirmed subscriptions fail with `LinkDown`."""
        if self._stopped:
            return
        self._stopped = True
        self._command_link.remove_connected(self._look_at_link)
        await self._dialer.stop()
        waiting = [future for futures in self._awaited.values() for future in futures if future is not None]
        self._awaited.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(LinkDown("the subscriber was stopped"))
                future.exception()  # a caller that did not wait is not to be told by the garbage collector

    @property
    def connected(self) -> bool:
        """Whether there is a connection, with every subscription confirmed."""
        return self._confirmed

    @property
    def connection(self) -> int:
        """The number of the present or last connection; it changes with each reconnect."""
        return self._dialer.count

    @property
    def server(self) -> Server | None:
        """The server of the present connection; None while there is none."""
        connection = self._dialer.connection
        return None if connection is None else connection.server

    def on_connected(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each reconnect from now on, when all subscriptions are confirmed."""
        self._listeners_up.append(callback)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` at each loss of the connection."""
        self._listeners_down.append(callback)

    # -- subscriptions

    def subscribe(self, channel: str, handler: Handler) -> asyncio.Future[None]:
        """Hand the messages of `channel` to `handler`; the future ends when Redis has confirmed.

        While there is no connection it waits for the next one. `unsubscribe` before the confirmation cancels it.
        Raises `ValueError` if the channel has a handler already.
        """
        key = channel.encode()
        if key in self._handlers:
            raise ValueError(f"already subscribed: {channel}")
        self._handlers[key] = handler
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(key, deque()).append(future)
        connection = self._dialer.connection
        if connection is not None:
            connection.push(self._subscribe, key)
        return future

    def unsubscribe(self, channel: str, *, has_moved: bool = False) -> None:
        """Forget the handler of `channel`; nothing is handed to it any more.

        `has_moved`: its slot is another node's now, which makes the server of this one give the channel up by itself,
        and refuse to be told so.
        """
        key = channel.encode()
        del self._handlers[key]
        futures = self._awaited.get(key)
        if futures and futures[-1] is not None:
            futures[-1].cancel()
            futures[-1] = None
        connection = self._dialer.connection
        if connection is not None and not has_moved:
            connection.push(self._unsubscribe, key)
        else:
            self._awaited.pop(key, None)  # nothing was sent, or is going to be confirmed

    # -- the connection

    def _subscribe_all(self, connection: Connection) -> None:
        connection.on_push = self._take_push
        connection.after_read = self._read_ended
        for batch in _batches(self._handlers, is_sharded=self._is_sharded):
            for channel in batch:
                self._awaited.setdefault(channel, deque((None,)))
            connection.push(self._subscribe, *batch)
        # The last to be confirmed: then all others are.
        connection.push(self._subscribe, self._probe_channel)

    def _went_down(self, reason: str) -> None:
        was_confirmed, self._confirmed = self._confirmed, False
        self.deaf = True
        self._probe = None
        if self._check is not None:
            self._check.cancel()
        # Those who still wait are confirmed on the next connection.
        former, self._awaited = self._awaited, {}
        for channel, futures in former.items():
            waiting = [future for future in futures if future is not None and not future.done()]
            if waiting:
                self._awaited[channel] = deque(waiting)
        if was_confirmed:
            notify(self._listeners_down)

    def _take_push(self, push: Any) -> None:
        if isinstance(push, ReplyError):
            if push.code == "MOVED" and self._on_refused is not None:
                self._on_refused(str(push))
                return
            # Nothing of the refused command is confirmed, and nobody could tell whose it was.
            self._drop(f"Redis refuses a subscription: {push}")
            return
        kind, channel, payload = push
        if kind in _MESSAGES:
            self._heard = True
            handler = self._handlers.get(channel)
            if handler is not None:
                handler(payload)
        elif kind in _CONFIRMATIONS:
            self._take_confirmation(channel)
        elif self._on_moved is not None and self._is_ours(channel):
            self._on_moved(channel.decode())

    def _is_ours(self, channel: bytes) -> bool:
        """Whether nobody here has given this channel up. Who has, and has subscribed to it anew, waits for that."""
        return channel == self._probe_channel or (channel in self._handlers and channel not in self._awaited)

    def _take_confirmation(self, channel: bytes) -> None:
        if channel == self._probe_channel:
            self._confirmed = True
            self._heard_at = time.monotonic()
            self._check_after(self._probe_interval_s)
            self.probe_now()
            notify(self._listeners_up)
            return
        futures = self._awaited.get(channel)
        if not futures:  # it has moved since
            return
        future = futures.popleft()
        if not futures:
            del self._awaited[channel]
        if future is not None and not future.done():
            future.set_result(None)

    def _read_ended(self) -> None:
        if self._heard:
            self._heard = False
            self._heard_at = time.monotonic()
            self._probe = None
            self.deaf = False
        if self.after_read is not None:
            self.after_read()

    def _drop(self, reason: str) -> None:
        connection = self._dialer.connection
        if connection is not None:
            connection.drop(reason)

    # -- hearing

    def _look_at_link(self) -> None:
        """The command link is up again. After a failover it may be so on another server, where others publish, too."""
        own, other = self.server, self._command_link.server
        if own is not None and other is not None and own.run_id != other.run_id:
            self._drop("commands go to another server now")
        else:
            self.probe_now()

    def probe_now(self) -> None:
        """Publish a probe: somebody misses messages. Nothing is done while one is on its way, or without a link."""
        if not self._confirmed or not self._command_link.connected or self._probe is not None:
            return
        self._probe = probe = object()
        self._probe_accepted = False

        def take_reply(reply: Any) -> None:
            if self._probe is not probe:  # heard meanwhile, or of a connection that is gone
                return
            if isinstance(reply, BrokerError):
                self._probe = None  # the command link's trouble says nothing about this connection
                self._note_refusal(reply)
            else:
                self._refusal = ""
                self._probe_accepted = True
                self._check_after(self._probe_interval_s)

        self._command_link.send((self._publish, self._probe_channel, b""), take_reply)

    def _note_refusal(self, error: BrokerError) -> None:
        """Say once why it is not known whether this connection hears. In a Cluster, a slot that moves is no trouble."""
        if isinstance(error, ReplyError) and error.code != "MOVED" and str(error) != self._refusal:
            self._refusal = str(error)
            logger.warning("subscriber %r cannot find out whether it hears: %s", self._dialer.name, error)

    def _check_after(self, delay_s: float) -> None:
        if self._check is not None:
            self._check.cancel()
        due_at = time.monotonic() + delay_s
        self._check = asyncio.get_running_loop().call_later(delay_s, self._check_hearing, due_at)

    def _check_hearing(self, due_at: float) -> None:
        """Give the connection up if it did not hear a probe; send one after silence."""
        interval_s = self._probe_interval_s
        now = time.monotonic()
        if now - due_at > interval_s / 2:
            # This process was stopped or busy: what was sent to it may lie in the socket, unread.
            self._check_after(interval_s)
        elif self._probe is not None and self._probe_accepted:
            self._drop(f"deaf: a message to itself, which Redis accepted, was not heard within {interval_s:g} s")
        elif now - self._heard_at >= interval_s:
            self.probe_now()
            self._check_after(interval_s)
        else:
            self._check_after(self._heard_at + interval_s - now)


def _batches(channels: Iterable[bytes], *, is_sharded: bool) -> Iterator[tuple[bytes, ...]]:
    """What each command names. Where messages are sharded, one may only name channels of one slot."""
    slots: defaultdict[int, list[bytes]] = defaultdict(list)
    for channel in channels:
        slots[slot_of(channel) if is_sharded else 0].append(channel)
    for group in slots.values():
        remaining = iter(group)
        while batch := tuple(islice(remaining, _RESUBSCRIBE_BATCH)):
            yield batch
