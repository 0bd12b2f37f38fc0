"""Who waits for the answers to a JSON-RPC batch."""

from typing import TYPE_CHECKING

from wispy.protocol import jsonrpc

if TYPE_CHECKING:
    from wispy.frontend.session import Session


class BatchSink:
    """The sink of a batch's requests: their answers leave together, when the last one is there.

    Those that are more than a reader may leave unread would end the connection then: they do so as soon as they are.
    """

    __slots__ = ("_bytes", "_left", "_size", "_texts", "session")

    def __init__(self, session: "Session", size: int) -> None:
        self.session = session
        self._size = size
        self._left = size
        self._texts: list[bytes] = []
        self._bytes = 0
        """Of the answers that are here."""

    def answered(self, text: bytes) -> None:
        if text:
            self._texts.append(text)
            self._bytes += len(text)
            if not self.session.may_leave_unread(self._bytes):
                self._texts.clear()
        self._left -= 1
        if self._left == 0:
            if self._texts:
                self.session.send(jsonrpc.batch(self._texts))
            self.session.landed(self._size)
        else:
            self.session.landed(0)  # what a subscription missed comes before its next updates, which do not wait

    def abandoned(self) -> None:
        """The answers that are here go with the session."""
