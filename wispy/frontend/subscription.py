"""One `rpc.subscribe`: opens the feeds, then answers and goes live in one turn of the loop.

Rules:
- The answer says where each channel is, and brings what the client missed since the position that it has named.
- Each channel is refused for itself; the others go on.
- Channels that bring more at once than the connection has room for are refused for the moment: the client asks for them
  again when it has read the others.
"""

from typing import Any, Final

import msgspec

from wispy.audit_log import Access
from wispy.broker.errors import BrokerError
from wispy.frontend.audit import Audit
from wispy.frontend.feed import Feed
from wispy.frontend.hub import Hub
from wispy.frontend.quotas import Quotas
from wispy.frontend.session import Session
from wispy.protocol import errors, jsonrpc
from wispy.protocol.positions import Brought, Missing

OPENED_AT_ONCE: Final = 64
"""Channels that one subscription opens at a time: they share round trips, and wait together where Redis does not
answer. Wrong names count as channels until they are known to be wrong, and must not take the others' room."""


class Subscription:
    """One subscription of a session.

    Args:
        hub: the channels.
        quotas: how many channels a caller may be subscribed to.
        audit: where refusals of a role are told.
        session: whose it is.
        names: of the channels.
        since: where the client stopped, by channel: epoch and offset.
    """

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
        """Open the feeds; the result to answer with. Its updates are sent after it."""
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
