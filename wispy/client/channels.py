"""What an application subscribed to, and how far each channel has come.

A channel is *wanted* (the present connection does not know of it yet), *asked* for, or *live*.

Rules:
- Each connection subscribes anew, and says where the last one stopped: no update is delivered twice.
- A channel that has worked, or may work soon (its owner is still starting), is tried again; a wrong name is not.
- A handler that fails is reported, and takes nothing from the others.
"""

import asyncio
import enum
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from wispy.client.events import Events
from wispy.client.link import Problem, error_of
from wispy.protocol import errors, values
from wispy.protocol.client_calls import Backoff, Call
from wispy.protocol.errors import RPCError

BATCH: Final = 512
"""Channels in one message: the server takes 1,000."""

MAX_CHANNELS: Final = 10_000
"""Of one connection, by far more than a server takes: an endless loop of subscriptions ends in an error."""

MAX_LISTENERS: Final = 1000
"""Of one channel."""

INBOX: Final = 1024
"""Updates that an iterator keeps for a slow loop. Beyond it the oldest go: of values they matter least, of events they
are told as a gap."""


_ABSENT: Final = msgspec.Raw(b"")


class Gap(NamedTuple):
    """Messages of an event channel that are missing, from one position to the other, both included."""

    channel: str
    first: str
    last: str


class Update(msgspec.Struct):
    """`rpc.update`."""

    channel: str
    value: msgspec.Raw
    at: str


class _Entry(msgspec.Struct):
    """The answer about one channel."""

    value: msgspec.Raw = _ABSENT
    at: str = ""
    error: Problem | None = None


class _WireGap(msgspec.Struct):
    channel: str
    to: str
    from_: str = msgspec.field(name="from")


class Listener:
    """One that is told of a channel's updates.

    Args:
        on_update: called with value and position.
        wants_current: call it at once with the value that there is.
        on_gap: called with each gap.
        on_end: called when there will be no more: the connection is closed, or the channel is refused.
    """

    def __init__(
        self,
        on_update: Callable[[Any, str], object],
        *,
        wants_current: bool,
        on_gap: Callable[[Gap], object] | None = None,
        on_end: Callable[[], object] | None = None,
    ) -> None:
        self.on_update = on_update
        self.wants_current = wants_current
        self.on_gap = on_gap
        self.on_end = on_end


class _State(enum.Enum):
    WANTED = "wanted"
    ASKED = "asked"
    LIVE = "live"


class _Subscription:
    """A channel that something listens to."""

    def __init__(self, name: str, confirmed: "asyncio.Future[None]") -> None:
        self.name = name
        self.state = _State.WANTED
        self.is_established = False
        """It was live before: from then on it is never given up, whatever the server says."""
        self.denials = 0
        """How often in a row it was refused for good, as it seemed."""
        self.is_retained = False
        """It has a current value."""
        self.value: Any = None
        self.at = ""
        self.listeners: list[Listener] = []
        self.confirmed = confirmed
        """Done with the server's first answer."""


class Channels:
    """The subscriptions of one connection.

    Args:
        local: asks the server something about the connection: method, params, and what is called with the answer.
        events: is told gaps and trouble.
    """

    def __init__(self, local: Callable[[str, bytes, Callable[[Call], None]], None], events: Events) -> None:
        self._local = local
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._subscriptions: dict[str, _Subscription] = {}
        self._is_open = False
        self._retry: asyncio.TimerHandle | None = None
        self._backoff = Backoff(random.random)

    # --- the application's calls --------------------------------------------------------------------------------------

    async def add(self, listeners: dict[str, Listener]) -> None:
        """Listen to channels, by full name; return when the server has confirmed them all.

        Either all of them listen from then on, or, where this raises or is cancelled, none does.

        Raises:
            RPCError: there are too many, or the server refuses one.
        """
        try:
            wanted = [self._listen(name, listener) for name, listener in listeners.items()]
            self._ask()
            await asyncio.gather(*(asyncio.shield(each.confirmed) for each in wanted))
        except BaseException:
            for name, listener in listeners.items():
                self.remove(name, listener)
            raise

    def _listen(self, name: str, listener: Listener) -> _Subscription:
        subscription = self._subscriptions.get(name)
        if subscription is None:
            if len(self._subscriptions) >= MAX_CHANNELS:
                raise errors.OVERLOADED(f"there are {MAX_CHANNELS} subscriptions", retryable=False)
            subscription = self._subscriptions[name] = _Subscription(name, self._loop.create_future())
        if len(subscription.listeners) >= MAX_LISTENERS:
            raise errors.OVERLOADED(f"{MAX_LISTENERS} listen to {name} already", retryable=False)
        subscription.listeners.append(listener)
        if subscription.is_retained and listener.wants_current:
            self._deliver(subscription, subscription.value, subscription.at, [listener])
        return subscription

    def remove(self, name: str, listener: Listener | None = None) -> None:
        """Listen no more; without `listener` none does."""
        subscription = self._subscriptions.get(name)
        if subscription is None:
            return
        gone = [each for each in subscription.listeners if listener is None or each is listener]
        subscription.listeners = [each for each in subscription.listeners if each not in gone]
        if not subscription.listeners:
            self._drop(subscription)
            if self._is_open and subscription.state is not _State.WANTED:
                self._local("rpc.unsubscribe", msgspec.json.encode({"channels": [name]}), self._left)
        for each in gone:
            if each is not listener and each.on_end is not None:
                each.on_end()

    def has_value(self, name: str) -> bool:
        """Whether it is a value channel, as far as is known."""
        subscription = self._subscriptions.get(name)
        return subscription is not None and subscription.is_retained

    def close(self) -> None:
        """End all."""
        self.down()
        for subscription in list(self._subscriptions.values()):
            self._refuse(subscription, errors.UNAVAILABLE("the connection was closed", retryable=False))

    # --- the connection's calls ---------------------------------------------------------------------------------------

    def opened(self) -> None:
        """A connection may be used."""
        self._is_open = True
        self._ask()

    def down(self) -> None:
        """The connection is gone."""
        self._is_open = False
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for subscription in self._subscriptions.values():
            subscription.state = _State.WANTED

    def updated(self, params: msgspec.Raw) -> None:
        """`rpc.update`."""
        update = msgspec.json.decode(params, type=Update)
        subscription = self._subscriptions.get(update.channel)
        if subscription is not None and subscription.state is _State.LIVE:  # else it is of one that ended
            value = values.decode(update.value, max_depth=None)
            subscription.at = update.at
            self._deliver(subscription, value, update.at, subscription.listeners)

    def missed(self, params: msgspec.Raw) -> None:
        """`rpc.gap`."""
        wire = msgspec.json.decode(params, type=_WireGap)
        subscription = self._subscriptions.get(wire.channel)
        if subscription is None or subscription.state is not _State.LIVE:
            return
        subscription.at = wire.to
        gap = Gap(wire.channel, wire.from_, wire.to)
        self._events.gap.emit(gap)
        for listener in list(subscription.listeners):
            if listener.on_gap is not None:
                self._guard(subscription, lambda call=listener.on_gap: call(gap))

    # --- asking -------------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        if not self._is_open:
            return
        wanted = [each for each in self._subscriptions.values() if each.state is _State.WANTED]
        for start in range(0, len(wanted), BATCH):
            self._ask_for(wanted[start : start + BATCH])

    def _ask_for(self, batch: list[_Subscription]) -> None:
        params: dict[str, Any] = {"channels": [each.name for each in batch]}
        since = {each.name: each.at for each in batch if each.at}
        if since:
            params["since"] = since
        for subscription in batch:
            subscription.state = _State.ASKED

        def answered(call: Call) -> None:
            present = [each for each in batch if self._subscriptions.get(each.name) is each]
            if call.error is not None:
                if self._is_open:  # a lost connection asks again by itself
                    for subscription in present:
                        self._refused(subscription, call.error)
                return
            try:
                entries = msgspec.json.decode(call.result or b"{}", type=dict[str, _Entry])
            except msgspec.DecodeError as error:
                self._events.report(error, "the server's answer to a subscription cannot be understood")
                entries = dict[str, _Entry]()
            for subscription in present:
                self._take(subscription, entries.get(subscription.name))

        self._local("rpc.subscribe", msgspec.json.encode(params), answered)

    def _take(self, subscription: _Subscription, entry: _Entry | None) -> None:
        if entry is None:
            self._refused(subscription, errors.INTERNAL("the server said nothing of it"))
            return
        if entry.error is not None:
            self._refused(subscription, error_of(entry.error))
            return
        has_changed = subscription.is_established and entry.at != subscription.at
        subscription.state = _State.LIVE
        subscription.is_established = True
        subscription.denials = 0
        self._backoff.reset()
        if entry.value is not _ABSENT:
            subscription.is_retained = True
            subscription.at = entry.at
            value = values.decode(entry.value, max_depth=None)
            present = [each for each in subscription.listeners if has_changed or each.wants_current]
            self._deliver(subscription, value, entry.at, present)
        elif not subscription.at:
            subscription.at = entry.at  # what was missed since then follows as updates, each with its position
        if not subscription.confirmed.done():
            subscription.confirmed.set_result(None)

    def _refused(self, subscription: _Subscription, error: RPCError) -> None:
        subscription.state = _State.WANTED
        if not subscription.is_established and not error.retryable:
            self._refuse(subscription, error)
            return
        subscription.denials += not error.retryable
        if subscription.denials == 2:  # told once; the first time a server may be just coming back
            self._events.report(error, f"following {subscription.name} failed")
        if self._retry is None:
            self._retry = self._loop.call_later(self._backoff.next_s(), self._ask_again)

    def _ask_again(self) -> None:
        self._retry = None
        self._ask()

    def _refuse(self, subscription: _Subscription, error: RPCError) -> None:
        """There will be nothing more of it."""
        del self._subscriptions[subscription.name]
        if not subscription.confirmed.done():
            subscription.confirmed.set_exception(error)
            subscription.confirmed.exception()  # each caller of `add` sees it; without a caller nobody misses it
        for listener in subscription.listeners:
            if listener.on_end is not None:
                listener.on_end()

    def _drop(self, subscription: _Subscription) -> None:
        del self._subscriptions[subscription.name]
        if not subscription.confirmed.done():
            subscription.confirmed.set_exception(errors.CANCELLED("nobody listens any more", executed="no"))
            subscription.confirmed.exception()

    def _left(self, call: Call) -> None:
        if call.error is not None and self._is_open:  # a lost connection has left it, too
            self._events.report(call.error, "leaving a channel failed")

    # --- delivering ---------------------------------------------------------------------------------------------------

    def _deliver(self, subscription: _Subscription, value: Any, at: str, listeners: list[Listener]) -> None:
        if subscription.is_retained:
            subscription.value = value
        for listener in list(listeners):
            if listener in subscription.listeners:  # else the one before has removed it
                listener.wants_current = False
                self._guard(subscription, lambda call=listener.on_update: call(value, at))

    def _guard(self, subscription: _Subscription, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            self._events.report(error, f"a handler of channel {subscription.name} failed")


class Inbox:
    """What an iterator has still to take: updates, and in their place the gaps between them.

    Args:
        channel: its full name.
        limit: updates and gaps that are kept; beyond it the oldest go.
        on_gap: called with a gap when the iterator comes to it.
        on_lost: called instead with one that is here, where some had to go.
    """

    def __init__(
        self, channel: str, limit: int, on_gap: Callable[[Gap], object], on_lost: Callable[[Gap], object]
    ) -> None:
        self._channel = channel
        self._limit = limit
        self._on_gap = on_gap
        self._on_lost = on_lost
        self._entries: deque[tuple[Any, str] | Gap] = deque()
        self._lost: Gap | None = None
        """What had to go, before all that is here."""
        self._ready = asyncio.Event()
        self._is_ended = False

    def put(self, value: Any, at: str) -> None:
        """Take an update."""
        self._put((value, at))

    def put_gap(self, gap: Gap) -> None:
        """Take a gap."""
        self._put(gap)

    def _put(self, entry: tuple[Any, str] | Gap) -> None:
        if len(self._entries) >= self._limit:
            oldest = self._entries.popleft()
            first, last = (oldest.first, oldest.last) if isinstance(oldest, Gap) else (oldest[1], oldest[1])
            self._lost = Gap(self._channel, first if self._lost is None else self._lost.first, last)
        self._entries.append(entry)
        self._ready.set()

    def end(self) -> None:
        """There will be no more."""
        self._is_ended = True
        self._ready.set()

    async def get(self) -> tuple[Any, str] | None:
        """The oldest update, once there is one; None at the end."""
        while True:
            while not self._entries:
                if self._is_ended:
                    return None
                self._ready.clear()
                await self._ready.wait()
            if self._lost is not None:
                lost, self._lost = self._lost, None
                self._on_lost(lost)
            entry = self._entries.popleft()
            if not isinstance(entry, Gap):
                return entry
            self._on_gap(entry)
