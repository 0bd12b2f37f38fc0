"""Lets callers in, and out again: the first message, expiry, revocation.

Rules:
- A websocket without a grant may say `rpc.authenticate` and nothing else, in messages of `auth.login_size` at most, for
  `auth.login_time`; then it is closed.
- When a grant ends, so does its websocket, within a second: its client comes again, shows who it is, and goes on with
  its session. Before that it may show a newer token, and goes on as if nothing had been.
- One timer and one task serve all connections.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec
from tornado.httputil import HTTPServerRequest

from wispy.audit_log import Access
from wispy.config.schema import AuthConfig
from wispy.frontend.audit import Audit
from wispy.frontend.auth.credentials import MAX_TOKEN, Credentials, credentials_of
from wispy.frontend.auth.verifying import MAX_CHECKS, Grant, Verifier
from wispy.frontend.dispatch import Caller, Dispatcher
from wispy.frontend.flights import AnswerSink, Flight
from wispy.frontend.quotas import Quotas
from wispy.frontend.session import Session
from wispy.frontend.tasks import Tasks
from wispy.protocol import errors
from wispy.protocol.jsonrpc import Request
from wispy.timing import EarliestTimer

log = logging.getLogger("wispy.frontend")

AUTHENTICATE: Final = "rpc.authenticate"

SWEEP_S: Final = 0.5
"""Between two looks at who has to go: grants often end together."""

LONGEST_SLEEP_S: Final = 3600.0
"""Before the next look: expiry is told by the wall clock, which may be set."""


class _Params(msgspec.Struct):
    token: str


class Gate:
    """Who may come in to one frontend process, and for how long. Made on the running loop.

    Args:
        config: of `auth`.
        verifier: checks what callers show.
        dispatcher: takes the requests of those who are in.
        sessions: the open websockets.
        quotas: how many of them one user may have, and what they may ask for.
        audit: told of who has to go.
        max_message_size: bytes of a message of those who are in.
    """

    def __init__(
        self,
        config: AuthConfig,
        verifier: Verifier,
        dispatcher: Dispatcher,
        sessions: Iterable[Session],
        quotas: Quotas,
        audit: Audit,
        max_message_size: int,
    ) -> None:
        self._quotas = quotas
        self._config = config
        self._max_message_size = max_message_size
        self._verifier = verifier
        self._dispatcher = dispatcher
        self.lobby: Final = Lobby(dispatcher)
        self._sessions = sessions
        self._audit = audit
        self._loop = asyncio.get_running_loop()
        self._timer = EarliestTimer(self._loop, self._sweep)
        self._room = asyncio.Semaphore(MAX_CHECKS)
        self._tasks = Tasks("auth")

    def start(self) -> None:
        """Look again, from now on, whether what was shown is still good."""
        if self._verifier.is_rechecked:
            self._tasks.start(self._recheck_always(), "recheck")

    def credentials_of(self, request: HTTPServerRequest) -> Credentials:
        """What a request shows."""
        is_from_proxy = getattr(request, "is_from_proxy", False)
        return credentials_of(request, self._config.cookie, is_from_proxy=is_from_proxy)

    async def check(self, credentials: Credentials) -> Grant | None:
        """Who shows this; None if that is nobody.

        Raises:
            RPCError: it cannot be found out now.
        """
        try:
            async with self._room:
                grant = await self._verifier.verify(credentials)
        except Exception as error:
            log.exception("who %s is cannot be found out", credentials.remote)
            raise errors.UNAVAILABLE("the login cannot be checked at present") from error
        return grant if grant is not None and grant.until > time.time() else None

    def admit(self, session: Session, grant: Grant, credentials: Credentials) -> None:
        """It is known whose a websocket is, or he has other rights from now on."""
        reception = self._quotas.websocket(self._dispatcher, credentials.remote, grant.identity.user)
        session.admit(grant, credentials, reception)
        self._quotas.admitted(session)

    # --- websockets -------------------------------------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        """A websocket is open, with or without a grant."""
        if session.grant is None and session.connection is not None:
            session.connection.limit_messages(min(self._config.login_size, self._max_message_size))
        self._look_at(session)

    async def authenticate(self, caller: Caller, params: msgspec.Raw) -> bytes:
        """`rpc.authenticate {token}`: a websocket says who it is, or shows a newer token."""
        if not isinstance(caller, Session):
            raise errors.INVALID_REQUEST(f"{AUTHENTICATE} needs a websocket; a POST has a header for it")
        try:
            token = msgspec.json.decode(params, type=_Params).token
        except (msgspec.DecodeError, RecursionError) as error:
            raise errors.INVALID_PARAMS(f"{AUTHENTICATE} takes {{token}}") from error
        if len(token) > MAX_TOKEN:
            raise errors.INVALID_PARAMS(f"a token has at most {MAX_TOKEN} characters")
        credentials = replace(caller.credentials, token=token)
        grant = await self.check(credentials)
        if grant is None:
            caller.failures += 1
            if caller.failures >= self._config.failed_logins:
                self._quotas.counts.hit("failed_logins")
                self._loop.call_soon(caller.expel, "too many tokens that are no good")
            raise errors.UNAUTHENTICATED("the token is not good")
        if caller.grant is not None and caller.grant.identity.user != grant.identity.user:
            raise errors.INVALID_REQUEST("a connection stays its user's: open another one to be somebody else")
        if caller.grant is None:
            self._quotas.check_user(grant.identity.user)
        self.admit(caller, grant, credentials)
        if caller.connection is not None:
            caller.connection.limit_messages(self._max_message_size)
        self._look_at(caller)
        identity = grant.identity
        return msgspec.json.encode({"user": identity.user, "roles": sorted(identity.roles)})

    # --- the end of grants ------------------------------------------------------------------------------------------

    def _left_s(self, session: Session) -> float:
        """Seconds that a session has before it must go."""
        if session.grant is None:
            return session.opened_at + self._config.login_time - self._loop.time()
        return session.grant.until - time.time()

    def _look_at(self, session: Session) -> None:
        self._timer.at(self._loop.time() + max(SWEEP_S, min(self._left_s(session), LONGEST_SLEEP_S)))

    def _sweep(self) -> None:
        upcoming_s = LONGEST_SLEEP_S
        is_any = False
        for session in list(self._sessions):
            left_s = self._left_s(session)
            if left_s <= 0 and session.grant is None:
                self._quotas.counts.hit("login_time")
                self._expel(session, "nobody has logged in")
            elif left_s <= 0:
                self._expel(session, "the login has expired")
            else:
                is_any = True
                upcoming_s = min(upcoming_s, left_s)
        if is_any:
            self._timer.at(self._loop.time() + max(SWEEP_S, upcoming_s))

    async def _recheck_always(self) -> None:
        while True:
            await asyncio.sleep(self._config.recheck)
            try:
                await asyncio.to_thread(self._verifier.reload)
            except Exception:  # else nobody's rights would end any more
                log.exception("what logins are checked with cannot be read; what was known before stays")
            guests = [session for session in self._sessions if session.grant is not None]
            for start in range(0, len(guests), MAX_CHECKS):
                await asyncio.gather(*map(self._recheck, guests[start : start + MAX_CHECKS]))

    async def _recheck(self, session: Session) -> None:
        before = session.grant
        try:
            grant = await self.check(session.credentials)
        except errors.RPCError:
            grant = None  # logged; who cannot be checked has no rights
        if before is None or session.grant is not before or session.connection is None:
            return  # it has shown something newer meanwhile, or is gone
        if grant is None or grant.identity.user != before.identity.user:
            self._expel(session, "the login was withdrawn")
        elif grant != before:
            self.admit(session, grant, session.credentials)
            self._look_at(session)

    def _expel(self, session: Session, reason: str) -> None:
        access = Access("websocket", "", address=session.remote, user=session.identity.user, detail=reason)
        self._audit.denied("login", access)
        session.expel(reason)

    async def close(self) -> None:
        """Stop looking."""
        self._timer.cancel()
        await self._tasks.cancel()


class Lobby:
    """Where the requests of those go who have not said who they are."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.turned_away: Final = dispatcher.turned_away

    def start(self, caller: Caller, request: Request, sink: AnswerSink) -> Flight | None:
        """Let `rpc.authenticate` through; refuse everything else."""
        if request.method == AUTHENTICATE:
            return self._dispatcher.start(caller, request, sink)
        self.refuse(caller, request, sink, errors.UNAUTHENTICATED(f"say {AUTHENTICATE} first"))
        return None

    def refuse(self, caller: Caller, request: Request, sink: AnswerSink, error: errors.RPCError) -> None:
        """Answer a request that may not begin."""
        self._dispatcher.refuse(caller, request, sink, error)
