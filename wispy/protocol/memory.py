"""The owner's memory: what became of each request whose session may still ask for it. Pure; time is an argument.

Rules (DESIGN section 5, "the owner remembers, everyone else retries"):
- Every copy of a request is checked, first copies too. At or below the acknowledged id: dropped. Answered: answered
  again. Running: attached, the running call will answer. A known id with other content: refused.
- What is not known runs if its stamp lies within the horizon (since when this memory is complete) and is younger than
  the greatest start delay; older than that it is `no`. Before the horizon, or on another server's clock, its outcome is
  unknown: `maybe`, and it never runs.
- Answers are final. What is forgotten without being acknowledged moves the horizon.
- An answer counts as acknowledged once `MAX_UNACKNOWLEDGED` later ids of its session have been seen: a client that
  never acknowledges takes bounded room, and cannot move the horizon of others.
"""

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from wispy.protocol import errors
from wispy.protocol.relay import ERROR, RelayedRequest, Reply, SessionRequests, log_field, log_value, parse_log

MAX_UNACKNOWLEDGED: Final = 1024
"""Answers kept for one session: sixteen times the requests it may have in flight, so that a client that
acknowledges now and then loses nothing."""

SESSION_QUOTA_BYTES: Final = 4 * 1024 * 1024
"""Bytes of unacknowledged bodies kept for one session: beyond it an answer keeps its id and loses its body."""

OBJECT_QUOTA_BYTES: Final = 64 * 1024 * 1024
"""The same for all sessions of an object. The log in Redis holds the same bytes once more."""

SINCE_FIELD: Final = "since"
SESSION_PREFIX: Final = "s:"


class Verdict(enum.Enum):
    """What becomes of a copy of a request that is not answered at once."""

    RUN = "run"
    """It is new: run it."""
    DROPPED = "dropped"
    """Its session has the answer."""
    ATTACHED = "attached"
    """It is running; its one answer serves this copy too."""


class SessionMemory:
    """What an owner remembers of one session."""

    __slots__ = ("acked", "answers", "body_bytes", "last_seen_ms", "name", "newest", "open", "prints")

    def __init__(self, name: str, now_ms: int) -> None:
        self.name = name
        self.acked = 0
        """The session has its answers to all ids up to this one, ..."""
        self.open: frozenset[int] = frozenset()
        """... but these."""
        self.newest = 0
        """The highest id seen."""
        self.prints: dict[int, int | None] = {}
        """Id to a hash of the content, of what runs and what is answered; None where a former owner answered."""
        self.answers: dict[int, Reply] = {}
        """Id to answer, as far as it is not acknowledged. What is in `prints` and not here runs."""
        self.body_bytes = 0
        self.last_seen_ms = now_ms


class Memory:
    """What one owner remembers of one object's requests.

    Args:
        run_id: the Redis server on whose clock stamps count.
        since_ms: since when the memory is complete, on that clock.
        max_start_delay_ms: the greatest age at which a request may start.
    """

    def __init__(self, run_id: str, since_ms: int, max_start_delay_ms: int) -> None:
        self.run_id = run_id
        self.since_ms = since_ms
        self._max_start_delay_ms = max_start_delay_ms
        self._sessions: dict[str, SessionMemory] = {}
        self._bytes = 0
        self._forgotten: list[str] = []
        self._touched: set[SessionMemory] = set()
        self._since_moved = False

    # --- a copy of a request arrives --------------------------------------------------------------------------------

    def open_block(self, block: SessionRequests, now_ms: int) -> SessionMemory:
        """Take note of a session's block of requests, and of what it acknowledges."""
        session = self._sessions.get(block.session)
        if session is None:
            session = self._sessions[block.session] = SessionMemory(block.session, now_ms)
        session.last_seen_ms = now_ms
        self._touched.add(session)
        newest = block.requests[-1].id if block.requests else 0
        if newest > session.newest:
            session.newest = newest
        if block.ack > session.acked or session.open:
            self._acknowledge(session, block.ack, frozenset(block.open))
        return session

    def _acknowledge(self, session: SessionMemory, ack: int, still_open: frozenset[int]) -> None:
        if ack < session.acked:
            return
        session.acked = ack
        session.open = still_open
        # Ids rise, and answers come nearly in their order, so that this looks at little more than what it drops.
        gone = [id for id in session.answers if id <= ack and id not in still_open]
        for id in gone:
            self._forget(session, id)

    def _forget(self, session: SessionMemory, id: int) -> None:
        size = len(session.answers.pop(id).body)
        session.body_bytes -= size
        self._bytes -= size
        del session.prints[id]
        self._forgotten.append(log_field(session.name, id))

    def admit(self, session: SessionMemory, request: RelayedRequest, run: str, now_ms: int) -> Verdict | Reply:
        """What becomes of this copy: a verdict, or the answer that it gets at once.

        Args:
            session: as `open_block` returned it.
            request: the copy.
            run: the run id of the server on whose clock its stamp is.
            now_ms: the present time on the Redis server's clock.
        """
        id = request.id
        if id <= session.acked and id not in session.open:
            return Verdict.DROPPED
        if id in session.prints:
            return self._known(session, request)
        age = now_ms - request.at
        if run != self.run_id or request.at < self.since_ms:
            return self._settle(session, request, errors.OUTCOME_UNKNOWN)
        if age > self._max_start_delay_ms:
            return self._settle(session, request, errors.NOT_STARTED)
        session.prints[id] = hash((request.method, bytes(request.params)))
        return Verdict.RUN

    def _known(self, session: SessionMemory, request: RelayedRequest) -> Verdict | Reply:
        known = session.prints[request.id]
        if known is not None and known != hash((request.method, bytes(request.params))):
            refusal = errors.INVALID_REQUEST("the id was used for another request of this session")
            return Reply(request.id, ERROR, msgspec.Raw(refusal.to_json()))
        return session.answers.get(request.id) or Verdict.ATTACHED

    def _settle(self, session: SessionMemory, request: RelayedRequest, error: errors.ErrorType) -> Reply:
        """The refusal of a request that must not run. It is final: it goes into the log like any answer."""
        return self.answered(session, Reply(request.id, ERROR, msgspec.Raw(error().to_json())))

    # --- a request is answered --------------------------------------------------------------------------------------

    def answered(self, session: SessionMemory, reply: Reply) -> Reply:
        """Remember a final answer; return what the log keeps of it, which lacks the body where a quota is reached."""
        size = len(reply.body)
        if session.body_bytes + size > SESSION_QUOTA_BYTES or self._bytes + size > OBJECT_QUOTA_BYTES:
            reply = Reply(reply.id, ERROR, msgspec.Raw(errors.RESULT_GONE().to_json()))
            size = len(reply.body)
        session.answers[reply.id] = reply
        session.prints.setdefault(reply.id, None)
        session.body_bytes += size
        self._bytes += size
        if len(session.answers) > MAX_UNACKNOWLEDGED:
            self._acknowledge(session, max(session.acked, session.newest - MAX_UNACKNOWLEDGED), frozenset())
        return reply

    def session_of(self, name: str) -> SessionMemory | None:
        """What is remembered of a session, if anything is."""
        return self._sessions.get(name)

    # --- what goes into the log -------------------------------------------------------------------------------------

    def take_log_changes(self) -> tuple[list[tuple[str, bytes]], list[str]]:
        """The log's fields to write beside the answers themselves, and those to delete, since the last call."""
        fields = [
            (SESSION_PREFIX + session.name, b"%d:%d" % (session.acked, session.last_seen_ms))
            for session in self._touched
        ]
        self._touched.clear()
        if self._since_moved:
            fields.append((SINCE_FIELD, f"{self.run_id}:{self.since_ms}".encode()))
            self._since_moved = False
        forgotten, self._forgotten = self._forgotten, []
        return fields, forgotten

    def prune(self, before_ms: int) -> int:
        """Forget the sessions last seen before `before_ms` of which nothing runs; the number of them."""
        dead = [
            session
            for session in self._sessions.values()
            if session.last_seen_ms < before_ms and len(session.prints) == len(session.answers)
        ]
        for session in dead:
            for id in list(session.answers):
                self._forget(session, id)
            del self._sessions[session.name]
            self._touched.discard(session)
            self._forgotten.append(SESSION_PREFIX + session.name)
            if session.last_seen_ms >= self.since_ms:
                # A late copy of what it sent would look new: the horizon moves behind it.
                self.since_ms = session.last_seen_ms + 1
                self._since_moved = True
        return len(dead)

    # --- take-over --------------------------------------------------------------------------------------------------

    def restore(self, log: Mapping[str, bytes]) -> None:
        """Take over what former owners wrote into the log.

        Raises:
            ValueError: a field is not what an owner writes.
        """
        for field, value in log.items():
            if field.startswith(SESSION_PREFIX):
                ack, _, last_seen = value.partition(b":")
                session = self._restored(field.removeprefix(SESSION_PREFIX), int(last_seen))
                session.acked = int(ack)
        for field, value in log.items():
            if field == SINCE_FIELD or field.startswith(SESSION_PREFIX):
                continue
            name, reply = parse_log(field, value)
            session = self._restored(name, self.since_ms)
            session.newest = max(session.newest, reply.id)
            self.answered(session, reply)

    def _restored(self, name: str, last_seen_ms: int) -> SessionMemory:
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = SessionMemory(name, last_seen_ms)
        return session

    def settle_delivered(self, blocks: Iterable[SessionRequests], now_ms: int) -> Iterator[tuple[str, Reply]]:
        """Settle what a former owner was given and did not log: its outcome is unknown. Yields session and answer."""
        for block in blocks:
            session = self.open_block(block, now_ms)
            for request in block.requests:
                acknowledged = request.id <= session.acked and request.id not in session.open
                if acknowledged:
                    continue
                answer = session.answers.get(request.id)
                yield block.session, answer or self._settle(session, request, errors.OUTCOME_UNKNOWN)


def log_row(session: str, reply: Reply) -> tuple[str, bytes]:
    """The log's field and value of an answer."""
    return log_field(session, reply.id), log_value(reply)
