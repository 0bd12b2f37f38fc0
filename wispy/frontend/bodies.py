"""Requests whose body is read as it comes, and how they are refused.

Rules:
- Who is refused is answered at once. What still comes of the body is thrown away, for `LINGER_S` at most; then the
  connection is closed. A client that is cut off while it sends does not get to read why.
- Of a short body the end is awaited before the answer: that costs less than another connection.
- A client that asks before it sends (`Expect: 100-continue`) is told at once, and sends nothing.
"""

import asyncio
import sys
from asyncio import Future
from typing import Any, ClassVar, Final, cast

from tornado.escape import utf8
from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError

from wispy.frontend.handler import Handler

LINGER_S: Final = 5.0
"""Seconds for which the rest of a refused body is read: a client that reads while it sends, as most do, has stopped
long before; one that does not gets its answer if it is through by then."""

SHORT: Final = 64 << 10
"""Bytes of a body that a refusal waits for: they have mostly come with the head."""


def announced_size(headers: HTTPHeaders) -> int:
    """Bytes that a body is to have; 0 where its head does not say."""
    length = headers.get("Content-Length", "")
    return int(length[:20]) if length.isdecimal() else 0  # Python refuses to read thousands of digits


class BodyHandler(Handler):
    """Base of handlers that take a body.

    A subclass checks the head of a request in `begin`, takes the body in `feed`, answers in `respond`, and lets go of
    everything in `release`. The first two may refuse it: they raise what `Handler` knows how to answer.
    """

    body_methods: ClassVar[tuple[str, ...]] = ("POST",)
    """Of requests whose body is taken."""

    refusal: Exception | None = None
    """Why the request is refused."""
    is_over = False
    """The body has ended, or nobody waits for it any more."""
    _is_answered = False
    """The answer has left before the body was over."""
    _cut: asyncio.TimerHandle | None = None
    """Runs while the rest of a refused body is thrown away."""

    # --- a subclass' part ---------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """The head of the request is here, and the checks that every request passes have let it through."""

    async def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        raise NotImplementedError

    async def respond(self) -> None:
        """Answer: the body is here."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of what is held for the request; may be called again."""

    # --- Tornado's calls ----------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        if self.request.method not in self.body_methods:
            self.is_over = True  # what comes is no body that anybody asked for: Tornado has bounds for it
            super().prepare()
            await self.learn_who()
            return
        # Past Tornado's bound it would end the connection, and nobody would read why.
        cast("HTTP1Connection", self.request.connection).set_max_body_size(sys.maxsize)
        try:
            super().prepare()
            await self.learn_who()
            await self.begin()
        except Exception as error:
            if "Expect" in self.request.headers:
                self.is_over = True
                raise
            self.refuse(error)

    async def data_received(self, chunk: bytes) -> None:
        if self.is_over or self.refusal is not None:
            return
        try:
            await self.feed(chunk)
        except Exception as error:
            self.refuse(error)

    async def post(self, *_: Any) -> None:
        if self._finished:  # it was cut off in the same turn in which it came to its end
            return
        self.is_over = True
        self._stop_waiting()
        if self._is_answered:
            self.finish()
        elif self.refusal is not None:
            raise self.refusal
        else:
            await self.respond()

    def on_connection_close(self) -> None:
        self.is_over = True
        self._stop_waiting()
        self.release()
        super().on_connection_close()

    def on_finish(self) -> None:
        self.release()
        if not self._is_answered:  # else it was told then
            super().on_finish()

    # --- refusing -----------------------------------------------------------------------------------------------------

    def refuse(self, error: Exception) -> None:
        """Take no more of the body, and answer."""
        self.release()
        self.refusal = error
        if self.is_over:  # the client is gone
            return
        self._cut = asyncio.get_running_loop().call_later(LINGER_S, self.cut_off)
        headers = self.request.headers
        if "Transfer-Encoding" in headers or announced_size(headers) > SHORT:
            self._answer(error)

    def cut_off(self) -> None:
        """End the connection, with the answer if it has not left: Tornado does, since the body has not ended."""
        self.is_over = True
        self._stop_waiting()
        if self._is_answered:
            self.finish()
        elif self.refusal is not None:
            self._answer(self.refusal)
        super().on_connection_close()  # nobody waits for the rest of the body any more

    def _answer(self, error: Exception) -> None:
        """Send what `error` says, as Tornado does with what a handler raises."""
        raised = (type(error), error, error.__traceback__)
        self.log_exception(*raised)
        self.send_error(error.status_code if isinstance(error, HTTPError) else 500, exc_info=raised)

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> "Future[None]":
        if self._cut is None:
            return super().finish(chunk)
        # The answer leaves as a whole; with `finish` Tornado would close the connection behind it.
        sent: Future[None] = Future()
        sent.set_result(None)
        if not self._is_answered:
            self._is_answered = True
            body = utf8(cast("str | bytes", chunk or b""))
            self.set_header("Connection", "close")
            self.set_header("Content-Length", str(len(body)))
            self.write(body)  # pyright: ignore[reportUnknownMemberType] -- likewise
            sent = self.flush()
            super().on_finish()
        return sent

    def _stop_waiting(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
