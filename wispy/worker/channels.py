"""The channels of one object: their values, their events, and which of them have news.

Rules:
- A *value* channel is a key of `values`. Assigning it publishes, also when the value is the same as before; so does
  changing a nested dict or list in place. All changes of one turn of the objects' loop are one update.
- An *event* channel is declared; each `publish` on it is an update of its own. The event is encoded at once, so that it
  tells what was, and so that its author learns on the spot that it cannot be sent.
- `flush` takes the news: first the changed values, in the order in which they changed first, then the events in the
  order in which they were published. Whoever handles an event thus finds at least the state that belonged to it.
- Anything here may be done from any thread. `on_dirty` is called, in that thread, by the first news after a flush.
- A value that cannot be sent is named in the log, once until it can be sent again, and holds up no other channel; its
  readers keep the last one that could be.
"""

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from wispy.protocol.values import DecodeError, decode, encode
from wispy.worker.answers import text_of
from wispy.worker.calls import ChannelUpdate
from wispy.worker.removed import RemovedChannels
from wispy.worker.tracked import Lock, Root, plain, wrap

log = logging.getLogger("wispy.worker")

MAX_UPDATE_BYTES: Final = 1 << 20
"""JSON of one update. Some larger ones in a row make Redis cut a subscriber off, with all that it listens to
(client-output-buffer-limit pubsub: 8 MiB for a minute)."""

MAX_PENDING_EVENTS: Final = 10_000
"""Events between two turns of the loop, as when a `def` holds it: ten seconds of a thousand a second."""

MAX_PENDING_BYTES: Final = 32 << 20
"""JSON of those events: far more than real events have, and little beside what a process may take."""

_UNFIT: Final = re.compile(r"[\0\ud800-\udfff]")
"""What no key in Redis may hold: half a character, as in the names of files that are not UTF-8, and the zero."""

_MISSING: Final[Any] = object()


class ChannelValues(dict[str, Any]):
    """The value channels of an object, by name: the object's `tracked_channel_values`."""

    __slots__ = ("_channels", "_roots")

    def __init__(self, channels: "Channels") -> None:
        super().__init__()
        self._channels = channels
        self._roots: dict[str, Root] = {}

    def __setitem__(self, name: str, value: Any) -> None:
        name = plain_name(name)
        channels = self._channels
        with channels.lock:
            if self.get(name, _MISSING) is not value:  # the same one comes back after `values[name] += ...`
                if name not in self:
                    channels.check_new(name)
                elif (former := self._roots.get(name)) is not None:
                    former.detach()
                root = self._roots[name] = Root(channels.lock, partial(channels.mark, name))
                value = wrap(value, root)
            super().__setitem__(name, value)
            channels.unset.discard(name)
            channels.mark(name)

    def __delitem__(self, name: str) -> None:
        name = plain_name(name)
        with self._channels.lock:
            super().__delitem__(name)
            self._roots.pop(name).detach()
            self._channels.unset.discard(name)
            self._channels.mark(name)

    def __ior__(self, other: Any) -> "ChannelValues":
        self.update(other)
        return self

    def update(self, *args: Any, **kwargs: Any) -> None:
        with self._channels.lock:
            for name, value in dict(*args, **kwargs).items():
                self[name] = value

    def setdefault(self, name: str, default: Any = None) -> Any:
        with self._channels.lock:
            if name not in self:
                self[name] = default
            return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        with self._channels.lock:
            if name not in self and default:
                return default[0]
            value = self[name]
            del self[name]
            return value

    def popitem(self) -> tuple[str, Any]:
        with self._channels.lock:
            if not self:
                raise KeyError("there is no channel")
            name = next(reversed(self))
            return name, self.pop(name)

    def clear(self) -> None:
        with self._channels.lock:
            for name in list(self):
                del self[name]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (dict(self),)


class Channels:
    """The channels of one object.

    Args:
        name: the object's name, for logs and errors.
        events: event channels, and how many updates each keeps in its history; None: as all channels.
        history: how many updates a channel keeps, where nothing else is said.
        limit: how many channels the object may have; 0 for a shared one.
    """

    def __init__(self, name: str, events: Mapping[str, int | None], *, history: int, limit: int) -> None:
        self.lock = Lock()
        self.values = ChannelValues(self)
        self.is_dirty = False
        """Whether `flush` would find anything. May be read without the lock."""
        self.on_dirty: Callable[[], None] | None = None
        self.unset: set[str] = set()
        """Value channels whose attribute was deleted, and not set since."""
        self._name = name
        self._history = history
        self._limit = limit
        self._event_history = dict(events)
        self._numbers: dict[str, int] = {}  # channel to its last update's
        self._dirty: dict[str, None] = {}  # value channels with news, in the order of their first one
        self._known: set[str] = set()  # value channels that have been published
        self._removed = RemovedChannels()
        self._unsendable: set[str] = set()  # value channels whose trouble the log has named
        self._events: deque[ChannelUpdate] = deque()
        self._event_bytes = 0
        self._dropped: dict[str, int] = {}  # event channel to events dropped since the last flush
        for event in events:
            self.check_new(event, is_event=True)

    # --- what there is ----------------------------------------------------------------------------------------------

    def kinds(self) -> dict[str, str]:
        """Each channel's name and kind, "value" or "event"."""
        with self.lock:
            return {**dict.fromkeys(self.values, "value"), **dict.fromkeys(self._event_history, "event")}

    def history(self, channel: str) -> int:
        """How many updates the channel keeps."""
        return self._event_history.get(channel) or self._history

    def check_new(self, name: Any, *, is_event: bool = False) -> None:
        """Raise TypeError or ValueError if there can be no new channel of this name."""
        if not isinstance(name, str):
            raise TypeError(f"a channel of {self._name} is named by a text, not by {name!r}")
        # It becomes part of keys in Redis.
        if not name or len(name) > 200 or _UNFIT.search(name):
            raise ValueError(f"{name!r} cannot be the name of a channel of {self._name}")
        if not is_event and name in self._event_history:
            raise ValueError(f"{name!r} is an event channel of {self._name}: use publish({name!r}, value)")
        if not self._limit:
            raise ValueError(f"{self._name} is shared by several workers: it cannot have channels")
        if len(self.values) + len(self._event_history) >= self._limit + is_event:
            raise ValueError(f"{self._name} may have {self._limit} channels (limits.channels_per_object), not more")

    def restore(self, retained: Mapping[str, bytes], convert: Callable[[str, Any], Any]) -> None:
        """Take retained values in place of those that the code started with; others stay.

        Args:
            retained: channel to JSON.
            convert: makes of a channel's value, as JSON has it, what the code has there; raises ValueError.
        """
        for name, data in retained.items():
            if name not in self.values:
                continue
            try:
                self.values[name] = convert(name, decode(data))
            except (DecodeError, ValueError) as error:
                log.error("the retained value of %s.%s cannot be read and is not restored: %s", self._name, name, error)

    # --- news come in -----------------------------------------------------------------------------------------------

    def mark(self, name: str) -> None:
        """This value channel has news, or is gone. The caller holds the lock."""
        self._dirty[name] = None
        self._has_news()

    def publish(self, channel: str, value: Any) -> None:
        """Publish an event.

        Raises:
            ValueError: there is no such event channel, or the event is too large.
            UnencodableError: the event cannot be sent.
        """
        channel = plain_name(channel)
        if channel not in self._event_history:
            if channel in self.values:
                raise ValueError(f"{channel!r} is a value channel of {self._name}: assign to it instead")
            raise ValueError(
                f"{self._name} has no event channel {channel!r}: declare it, event_channels = [{channel!r}]"
            )
        data = encode(value)
        if len(data) > MAX_UPDATE_BYTES:
            raise ValueError(f"an event of {len(data)} bytes is too large: {MAX_UPDATE_BYTES} may be sent")
        with self.lock:
            self._events.append(ChannelUpdate(channel, "event", data, self._next_number(channel)))
            self._event_bytes += len(data)
            while len(self._events) > MAX_PENDING_EVENTS or self._event_bytes > MAX_PENDING_BYTES:
                oldest = self._events.popleft()
                self._event_bytes -= len(oldest.value)
                self._dropped[oldest.channel] = self._dropped.get(oldest.channel, 0) + 1
            self._has_news()

    # --- news go out ------------------------------------------------------------------------------------------------

    def flush(self) -> list[ChannelUpdate]:
        """Take all news. In the objects' thread only."""
        with self.lock:
            self.is_dirty = False
            changed = [(name, plain(self.values.get(name, _MISSING))) for name in self._dirty]
            self._dirty = {}
            events, self._events = self._events, deque()
            self._event_bytes = 0
            dropped, self._dropped = self._dropped, {}
        updates = [update for name, value in changed if (update := self._update(name, value)) is not None]
        updates += events
        for channel, count in dropped.items():
            log.warning("%d events of %s.%s were dropped: too many waited to be sent", count, self._name, channel)
        return updates

    def detach(self) -> None:
        """End: values that are still held somewhere report to nobody, and nobody is told of news."""
        with self.lock:
            self.on_dirty = None
            for root in self.values._roots.values():  # pyright: ignore[reportPrivateUsage] # its own half
                root.detach()

    def _has_news(self) -> None:
        if not self.is_dirty:
            self.is_dirty = True
            if self.on_dirty is not None:
                self.on_dirty()

    def _next_number(self, channel: str) -> int:
        number = self._numbers[channel] = self._numbers.get(channel, 0) + 1
        return number

    def _update(self, name: str, value: Any) -> ChannelUpdate | None:
        if value is _MISSING:
            self._unsendable.discard(name)
            if name not in self._known:
                return None
            self._known.discard(name)
            number = self._next_number(name)
            forgotten = self._removed.add(name)
            if forgotten is not None:
                del self._numbers[forgotten]
            return ChannelUpdate(name, "removed", b"null", number)
        try:
            data = encode(value)
            trouble = f"{len(data)} bytes, {MAX_UPDATE_BYTES} may be sent" if len(data) > MAX_UPDATE_BYTES else ""
        except BaseException as error:  # an author's type may raise anything as it is looked at
            data, trouble = b"", text_of(error) or type(error).__name__
        if trouble:
            if name not in self._unsendable:
                self._unsendable.add(name)
                log.error("the value of channel %s.%s cannot be sent: %s", self._name, name, trouble)
            return None
        self._unsendable.discard(name)
        if name not in self._known:
            self._known.add(name)
            self._removed.discard(name)
        return ChannelUpdate(name, "value", data, self._next_number(name))


def plain_name(name: Any) -> Any:
    """The name of a channel as the text that it is: a member of an enumeration would become another text in a key."""
    return name if type(name) is str or not isinstance(name, str) else str.__str__(name)


def event_channels(declared: Any) -> dict[str, int | None]:
    """What an object's `event_channels` says: names, or names and how many updates each keeps.

    Raises:
        ValueError: it is not of that form.
    """
    if isinstance(declared, Mapping):
        lengths: dict[Any, Any] = dict(declared)  # pyright: ignore[reportUnknownArgumentType] # an author's
    elif isinstance(declared, Iterable) and not isinstance(declared, str | bytes):
        lengths = dict.fromkeys(declared)  # pyright: ignore[reportUnknownArgumentType] # an author's
    else:
        raise ValueError("event_channels is a list of names, or a dict of names and lengths of history")
    for name, length in lengths.items():
        if not isinstance(name, str) or not (length is None or (type(length) is int and length > 0)):
            raise ValueError(f"event_channels: {name!r}: {length!r} is no name and length of history")
    return {plain_name(name): length for name, length in lengths.items()}
