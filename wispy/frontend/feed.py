"""One channel in a frontend: where it is, what it holds for its subscribers, and how its updates read on the wire.

What happens to it is the business of `wispy.frontend.hub`.
"""

import asyncio
from typing import Final, Protocol

import msgspec

from wispy.frontend.websocket.seam import PreparedMessages
from wispy.protocol import errors, jsonrpc
from wispy.protocol.identity import Identity
from wispy.protocol.positions import Missing, Reader, format_position, resume
from wispy.protocol.surface import admits


class Declaration(msgspec.Struct):
    """What a feed reads of a channel's declaration."""

    kind: str
    roles: tuple[str, ...] | None = None
    """Of which a caller needs one to follow it; None: everybody may."""

    def is_for(self, identity: Identity) -> bool:
        """Whether this caller may know of it."""
        return admits(self.roles, identity.roles)


decode_declaration: Final = msgspec.json.Decoder(Declaration).decode


class ChannelSubscriber(Protocol):
    """A websocket session, as its feeds see it."""

    def deliver(self, feed: "Feed", messages: PreparedMessages) -> None:
        """Send these updates, or remember that the reader is behind."""
        ...

    def redeclared(self, feed: "Feed") -> None:
        """The feed's declaration was read again: leave it, if it is not for you any more."""
        ...


class Feed:
    """One channel in this frontend."""

    def __init__(self, name: str, object_name: str, channel: str) -> None:
        self.name = name
        """As clients know it: `<object>.<channel>`."""
        self.object_name = object_name
        self.channel = channel
        self.kind = "value"
        self.declaration = Declaration("value")
        self.reader: Reader | None = None
        """Where the feed is; None until the snapshot was read."""
        self.value: bytes | None = None
        """The newest value; None for an event channel."""
        self.value_offset = 0
        """The offset of the update that brought it."""
        self.subscribers: set[ChannelSubscriber] = set()
        self.fresh: list[bytes] = []
        """Updates of this read of the socket, to be delivered at its end."""
        self.delivered: tuple[str, int] = ("", 0)
        """The position before those: epoch and offset of what subscribers have."""
        self.held: list[tuple[str, int, bytes]] | None = []
        """Updates that wait for the opening or a repair; None while the feed is live."""
        self.opened: asyncio.Task[None] | None = None
        """The opening, which later subscribers join."""
        self.refusal: errors.RPCError | None = None
        """Why it could not be opened."""
        self.joining = 0
        """Subscriptions that wait for the opening: the feed stays for them."""

    def declare(self, text: bytes) -> bool:
        """Take what the owner says of the channel; whether it is of another kind than before, so that its value counts
        no more, or has to be read.
        """
        former = self.kind
        self.declaration = decode_declaration(text)
        self.kind = self.declaration.kind
        if self.kind == former:
            return False
        self.value, self.value_offset = None, 0
        return True

    @property
    def at(self) -> str:
        """The position of the newest update."""
        assert self.reader is not None
        return self.reader.at

    def update_text(self, epoch: str, offset: int, value: bytes) -> bytes:
        """The notification that brings one update to clients."""
        return jsonrpc.notification(
            "rpc.update",
            b'{"channel":%b,"value":%b,"at":"%b"}'
            % (msgspec.json.encode(self.name), value, format_position(epoch, offset).encode()),
        )

    def gap_text(self, gap: Missing) -> bytes:
        """The notification that says which messages of an event channel are missing."""
        params = {"channel": self.name, "from": gap.first, "to": gap.last}
        return jsonrpc.notification("rpc.gap", msgspec.json.encode(params))

    def gap_since(self, epoch: str, offset: int) -> Missing | None:
        """All that was published since a position; None if that is nothing."""
        assert self.reader is not None
        gaps = [piece for piece in resume(epoch, offset, self.reader.line, ()) if isinstance(piece, Missing)]
        return gaps[0] if gaps else None
