"""The owner's memory: what became of each request whose session may still ask for it. Pure; time is an argument.

Rules (DESIGN section 5, "the owner remembers, everyone else retries"):
- Every copy of a request is checked, first copies too. At or below the acknowledged id: dropped. Answered: answered
  again. Running: attached, the running call will answer. A known id with other content: refused.
- What is not known runs if its stamp lies within the horizon (since when this memory is complete) and is younger than
  the greatest start delay; older than that it is `no`. Before the horizon, or on another server's clock, its outcome is
  unknown: `maybe`, and it never runs.
- Answers are final. What is forgotten without being acknowledged moves the horizon.
- What was acknowledged once stays so: blocks arrive late and twice, and an old one takes nothing back.
- Of a session that never acknowledges, the answers to its newest ids are kept and the others count as acknowledged: it
  takes bounded room, and cannot move the horizon of others.
"""

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from wispy.protocol import errors
from wispy.protocol.relay import ERROR, RESULT, RelayedRequest, Reply, SessionRequests, log_field, log_value, parse_log

ACK_STEP: Final = 8
"""Answers that are forgotten together. A session with one request in flight would else cost a field of the log
written and one deleted for each; the few that are kept longer are answered again, if somebody asks."""

MAX_UNACKNOWLEDGED: Final = 1024
"""Answers kept for one session; beyond it the newer half stays, eight times what a connection may have in flight: what
a lost subscription swallows can be asked for again."""

ANSWER_BYTES: Final = 256
"""What an answer takes beside its body, here and in the log, as far as the quotas count it."""

SESSION_QUOTA_BYTES: Final = 4 * 1024 * 1024
"""Bytes of unacknowledged answers kept for one session: beyond it an answer keeps its id and loses its body."""

OBJECT_QUOTA_BYTES: Final = 64 * 1024 * 1024
"""The same for all sessions of an object; sessions that go on beyond it are forgotten when it is time to prune. The log
in Redis holds the same bytes once more."""

MAX_SESSIONS: Final = 50_000
"""Sessions that outlive a pruning: more than two frontends may have connections (20,000 each)."""

MAX_BARE_ERROR_BYTES: Final = 512
"""An error up to this size is kept whole also beyond a quota: it is about what its bare form would take."""

CLOCK_ERROR_MS: Final = 1000
"""A stamp may be so much later than the owner's time at its arrival: both are estimates of one clock, never later than
it is, and exact to some ten milliseconds and a round trip."""

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
    REFUSED = "refused"
    """Its id was used for another request, whose answer stands: this copy gets `refusal`, which is not logged."""


# Python 3.11 takes its time to find a member of an Enum.
_RUN: Final = Verdict.RUN
_DROPPED: Final = Verdict.DROPPED

_NONE_OPEN: Final[frozenset[int]] = frozenset()


class SessionMemory:
    """What an owner remembers of one session."""

    __slots__ = ("acked", "answers", "last_seen_ms", "name", "open", "prints", "size")

    def __init__(self, name: str, now_ms: int) -> None:
        self.name = name
        self.acked = 0
        """The session has its answers to all ids up to this one, ..."""
        self.open: frozenset[int] = _NONE_OPEN
        """... but these."""
        self.prints: dict[int, int | None] = {}
        """Id to a hash of the content, of what runs and what is answered; None where a former owner answered."""
        self.answers: dict[int, Reply] = {}
        """Id to answer, as far as it is not acknowledged. What is in `prints` and not here runs."""
        self.size = 0
        """Bytes of the answers, as the quotas count them."""
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
            self._touched.add(session)
        session.last_seen_ms = now_ms
        if block.ack - session.acked >= ACK_STEP or block.open or session.open:
            self._acknowledge(session, block.ack, block.open)
        return session

    def _acknowledge(self, session: SessionMemory, ack: int, still_open: Collection[int]) -> None:
        """Add what a block acknowledges, the ids up to `ack` but `still_open`, to what was acknowledged before."""
        acked, former = session.acked, session.open
        if ack < acked:
            left_open = frozenset([id for id in former if id > ack or id in still_open])
        elif still_open:
            left_open = frozenset([id for id in still_open if acked < id <= ack or id in former])
        else:  # nearly always
            left_open = _NONE_OPEN
        session.acked = ack if ack > acked else acked
        session.open = left_open
        self._touched.add(session)
        answers = session.answers
        # Looks at what is new, so that an id is looked at once; or at all answers, where these are fewer.
        looked_at = (*former, *range(acked + 1, ack + 1)) if ack - acked < len(answers) else answers
        ack = session.acked
        self._forget(session, [id for id in looked_at if id in answers and id <= ack and id not in left_open])

    def _forget(self, session: SessionMemory, ids: Iterable[int]) -> None:
        """Drop these answers, here and in the log."""
        name, answers, prints, forgotten = session.name, session.answers, session.prints, self._forgotten
        size = 0
        for id in ids:
            size += len(answers.pop(id).body) + ANSWER_BYTES
            del prints[id]
            forgotten.append(log_field(name, id))
        session.size -= size
        self._bytes -= size

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
            return _DROPPED
        if id in session.prints:
            return self._known(session, request)
        at = request.at
        if run != self.run_id or at < self.since_ms:
            return self._settle(session, request, errors.OUTCOME_UNKNOWN)
        if now_ms - at > self._max_start_delay_ms:
            return self._settle(session, request, errors.NOT_STARTED)
        session.prints[id] = hash((request.method, bytes(request.params)))
        return _RUN

    def _known(self, session: SessionMemory, request: RelayedRequest) -> Verdict | Reply:
        known = session.prints[request.id]
        if known is not None and known != hash((request.method, bytes(request.params))):
            return Verdict.REFUSED
        return session.answers.get(request.id) or Verdict.ATTACHED

    def _settle(self, session: SessionMemory, request: RelayedRequest, error: errors.ErrorType) -> Reply:
        """The refusal of a request that must not run. It is final: it goes into the log like any answer."""
        return self.answered(session, Reply(request.id, ERROR, msgspec.Raw(error().to_json())))

    # --- a request is answered --------------------------------------------------------------------------------------

    def answered(self, session: SessionMemory, reply: Reply) -> Reply:
        """Remember a final answer; return what the log keeps of it, which lacks the body where a quota is reached.

        Where there is an answer already, that one stands and is returned.
        """
        id = reply.id
        answers = session.answers
        former = answers.get(id)
        if former is not None:
            return former
        size = len(reply.body) + ANSWER_BYTES
        if session.size + size > SESSION_QUOTA_BYTES or self._bytes + size > OBJECT_QUOTA_BYTES:
            reply = _bare(reply)
            size = len(reply.body) + ANSWER_BYTES
        answers[id] = reply
        session.prints.setdefault(id, None)
        session.size += size
        self._bytes += size
        if id <= session.acked and id not in session.open:
            # Its caller has given it up; its row in the log goes in the batch that brings it.
            self._forget(session, (id,))
        elif len(answers) > MAX_UNACKNOWLEDGED:
            self._acknowledge_older_half(session)
        return reply

    def _acknowledge_older_half(self, session: SessionMemory) -> None:
        """Make room in a session that does not acknowledge: half of it, so that this is seldom."""
        answers = session.answers
        ack = sorted(answers)[-(MAX_UNACKNOWLEDGED // 2)] - 1
        # What runs, or may still come, has no answer yet: it stays open.
        self._acknowledge(session, ack, [id for id in (*session.prints, *session.open) if id not in answers])

    # --- what goes into the log -------------------------------------------------------------------------------------

    def take_log_changes(self) -> tuple[list[tuple[str, bytes]], list[str]]:
        """The log's fields to write beside the answers themselves, and those to delete, since the last call."""
        fields = [(SESSION_PREFIX + session.name, _session_value(session)) for session in self._touched]
        self._touched.clear()
        if self._since_moved:
            fields.append((SINCE_FIELD, f"{self.run_id}:{self.since_ms}".encode()))
            self._since_moved = False
        forgotten, self._forgotten = self._forgotten, []
        return fields, forgotten

    def prune(self, before_ms: int, now_ms: int = 0) -> int:
        """Forget sessions of which nothing runs; return the number of them. The log's changes are to be taken at once.

        Args:
            before_ms: those last seen before this go. Beyond the quotas of the object later ones go too, first those
                that were not seen for longest.
            now_ms: a session of which something runs counts as seen now: its window begins with the answer.
        """
        idle: list[SessionMemory] = []
        for session in self._sessions.values():
            if len(session.prints) == len(session.answers):
                idle.append(session)
            else:
                session.last_seen_ms = max(session.last_seen_ms, now_ms)
        idle.sort(key=lambda session: session.last_seen_ms)
        number = 0
        for session in idle:
            if session.last_seen_ms + CLOCK_ERROR_MS >= before_ms and not self._is_too_large():
                break
            self._forget_session(session)
            number += 1
        return number

    def _is_too_large(self) -> bool:
        return len(self._sessions) > MAX_SESSIONS or self._bytes > OBJECT_QUOTA_BYTES

    def _forget_session(self, session: SessionMemory) -> None:
        self._forget(session, list(session.answers))
        del self._sessions[session.name]
        self._touched.discard(session)
        self._forgotten.append(SESSION_PREFIX + session.name)
        # A late copy of what it sent would look new: the horizon moves behind it.
        horizon = session.last_seen_ms + CLOCK_ERROR_MS + 1
        if horizon > self.since_ms:
            self.since_ms = horizon
            self._since_moved = True

    # --- take-over --------------------------------------------------------------------------------------------------

    def restore(self, log: Mapping[str, bytes], now_ms: int = 0) -> None:
        """Take over what former owners wrote into the log.

        Args:
            log: all its fields.
            now_ms: all sessions count as seen at the take-over: the log does not say when each was seen last.

        Raises:
            ValueError: a field is not what an owner writes.
        """
        for field, value in log.items():
            if field.startswith(SESSION_PREFIX):
                ack, _, rest = value.partition(b":")
                last_seen, _, still_open = rest.partition(b":")
                session = self._restored(field.removeprefix(SESSION_PREFIX), max(int(last_seen), now_ms))
                session.acked = int(ack)
                session.open = frozenset(map(int, still_open.split(b","))) if still_open else frozenset()
        for field, value in log.items():
            if field == SINCE_FIELD or field.startswith(SESSION_PREFIX):
                continue
            name, reply = parse_log(field, value)
            self.answered(self._restored(name, max(self.since_ms, now_ms)), reply)

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


def refusal(id: int) -> Reply:
    """The answer to a copy that is `Verdict.REFUSED`."""
    error = errors.INVALID_REQUEST("the id was used for another request of this session")
    return Reply(id, ERROR, msgspec.Raw(error.to_json()))


def _session_value(session: SessionMemory) -> bytes:
    """The log's value of a session: `<acknowledged id>:<last seen, ms>`, and `:<id>,<id>...` where some are open."""
    value = b"%d:%d" % (session.acked, session.last_seen_ms)
    return value + b":" + ",".join(map(str, session.open)).encode() if session.open else value


class _Executed(msgspec.Struct):
    executed: errors.Executed
    retryable: bool


class _Error(msgspec.Struct):
    code: int
    message: str
    data: _Executed


_decode_error: Final = msgspec.json.Decoder(_Error).decode


def _bare(reply: Reply) -> Reply:
    """What is kept of an answer beyond a quota: whether the request ran stays true."""
    if reply.kind == RESULT:
        return Reply(reply.id, ERROR, msgspec.Raw(errors.RESULT_GONE().to_json()))
    if reply.kind != ERROR or len(reply.body) <= MAX_BARE_ERROR_BYTES:
        return reply
    error = _decode_error(reply.body)
    executed, retryable = error.data.executed, error.data.retryable
    bare = errors.RPCError(error.code, error.message[:100], executed=executed, retryable=retryable)
    return Reply(reply.id, ERROR, msgspec.Raw(bare.to_json()))
