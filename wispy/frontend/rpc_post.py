"""`POST /rpc`: JSON-RPC without a websocket, for curl and scripts.

Rules:
- Only JSON that its sender calls JSON is read: a form or plain text can be posted by any page.
- What comes of a body counts in the room that messages of websockets have, and is let go of once it is read.
- The results of a batch are gathered up to what a websocket may leave unread. A result beyond that is not kept: its
  caller learns that the request ran. Errors are small, and always kept.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from tornado.web import HTTPError

from wispy.frontend.bodies import BodyHandler, announced_size
from wispy.frontend.core import Core
from wispy.frontend.flights import SessionFlights
from wispy.frontend.handler import JSON, RefusalError, access_of, refusal_in, set_retry_after
from wispy.protocol import errors, jsonrpc
from wispy.protocol.denials import Reason
from wispy.protocol.frames import NO_ROOM
from wispy.protocol.identity import Identity
from wispy.protocol.jsonrpc import InvalidMessageError, Request
from wispy.protocol.room import Share


class _Caller:
    """One POST: a plain client."""

    def __init__(self, session: SessionFlights, remote: str, identity: Identity) -> None:
        self._session = session
        self.remote = remote
        self.identity = identity

    @property
    def flights(self) -> SessionFlights | None:
        return None

    def plain(self) -> SessionFlights:
        return self._session


class _Answers:
    """The answers to the requests of one POST.

    Args:
        requests: how many there are to be.
        most_bytes: of results that are kept; a single one is kept in any case.
    """

    def __init__(self, requests: int, most_bytes: int) -> None:
        self.texts: list[bytes] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = requests
        self._most_bytes = most_bytes
        self._bytes = 0

    def take(self, text: bytes, id: bytes | None) -> None:
        """Take the answer to a request with this id; None: to what has none, or is no request."""
        size = self._bytes + len(text)
        if size > self._most_bytes and self.texts and id is not None and jsonrpc.error_in(text, id) is None:
            what = f"the results of the batch have more than {self._most_bytes} bytes; ask for fewer at once"
            text = jsonrpc.error(id, errors.TOO_LARGE(what, executed="yes").to_json())
        if text:
            self.texts.append(text)
            self._bytes += len(text)
        self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)


class _Sink:
    """Waits for the answer to one request."""

    def __init__(self, answers: _Answers, id: bytes | None) -> None:
        self._answers = answers
        self._id = id

    def answered(self, text: bytes) -> None:
        self._answers.take(text, self._id)

    def abandoned(self) -> None:
        """Nobody tells whether the client of a POST is still there."""


class Rpc(BodyHandler):
    """The handler: a POST is a message, and its answer the answers to all that is in it."""

    def initialize(self, core: Core) -> None:
        super().initialize(core)
        self._body = bytearray()
        self._share = Share(core.websockets.room)

    async def begin(self) -> None:
        headers = self.request.headers
        if "Content-Encoding" in headers:
            # What is small and becomes large is not unpacked here, for nobody needs it.
            raise HTTPError(415, reason="Send the body as it is, without Content-Encoding")
        media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type != JSON:
            # A form or plain text can be posted by any page, without the browser asking first.
            raise HTTPError(415, reason="Content-Type must be application/json")
        if not self.is_known:
            raise RefusalError(HTTPStatus.UNAUTHORIZED, errors.UNAUTHENTICATED())
        self._check_size(announced_size(headers))

    async def feed(self, chunk: bytes) -> None:
        self._check_size(len(self._body) + len(chunk))
        if not self._share.grow(len(chunk)):
            raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, errors.OVERLOADED(NO_ROOM, data={"retry_in_ms": 1000}))
        self._body += chunk

    def _check_size(self, size: int) -> None:
        limit = self._core.config.limits.http_body
        if size > limit:
            self._core.counts.hit("http_body")
            text = f"the body has more than {limit:d} bytes (limits.http_body)"
            raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, errors.TOO_LARGE(text))

    def release(self) -> None:
        self._body.clear()
        self._share.give_back()

    def denial(self, status: int) -> Reason | None:
        is_full = status == HTTPStatus.SERVICE_UNAVAILABLE and isinstance(self.refusal, RefusalError)
        return "limit" if is_full else super().denial(status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        refusal = refusal_in(kwargs)
        if refusal is None:
            super().write_error(status_code, **kwargs)
            return
        set_retry_after(self, refusal)
        if status_code == HTTPStatus.UNAUTHORIZED:
            self.set_header("WWW-Authenticate", "Bearer")
        self.reply_json(InvalidMessageError(refusal).reply())

    def on_connection_close(self) -> None:
        # A tenth less: Tornado's time runs by the loop's clock, which stands still while a busy loop takes its turn.
        is_late = self.request.request_time() >= 0.9 * self._core.config.limits.http_body_time
        if is_late and not self.is_over:  # Tornado has ended it
            self._core.counts.hit("http_body_time")
        super().on_connection_close()

    async def respond(self) -> None:
        limits = self._core.config.limits
        body = bytes(self._body)
        self.release()
        try:
            message = jsonrpc.parse(
                body, batch_limit=limits.batch, depth_limit=limits.depth, digits_limit=limits.digits
            )
        except InvalidMessageError as error:
            if error.limit is not None:
                self._core.counts.hit(error.limit)
            if error.denied is not None:
                self._core.audit.denied(error.denied, access_of(self.request, self.identity.user))
            self.reply_json(error.reply())
            return
        if isinstance(message, Request):
            texts = await self._answers([message])
            answer = texts[0] if texts else b""
        else:
            texts = await self._answers(message)
            answer = jsonrpc.batch(texts) if texts else b""
        if answer:
            self.reply_json(answer)
        else:
            self.set_status(204)

    async def _answers(self, requests: list[Request] | list[Request | InvalidMessageError]) -> list[bytes]:
        core = self._core
        core.requests.posted_at = core.websockets.loop.time()
        core.requests.posts += 1
        try:
            return await self._ask(requests)
        finally:
            core.requests.posts -= 1

    async def _ask(self, requests: list[Request] | list[Request | InvalidMessageError]) -> list[bytes]:
        answers = _Answers(len(requests), self._core.session_limits.unread_bytes)
        relay = self._core.relay
        session = relay.open_plain_session()
        session.bearer = None if self.grant is None else self.grant.bearer
        session.remote = str(self.request.remote_ip)
        caller = _Caller(session, session.remote, self.identity)
        with self._core.quotas.post(self._core.dispatcher, session.remote, self.identity.user, session) as reception:
            for request in requests:
                if isinstance(request, Request):
                    reception.start(caller, request, _Sink(answers, request.id))
                else:
                    answers.take(request.reply(), None)
            await answers.done
        relay.reuse_plain_session(session)
        return answers.texts
