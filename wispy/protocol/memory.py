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

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from wispy.protocol.answer_log import MAX_MOVED_BYTES, AnswerLog, Row
from wispy.protocol.relay import RelayedRequest, Reply, SessionRequests
from wispy.protocol.verdicts import Verdict, bare, refusal

ACK_STEP: Final = 8
"""Answers that are forgotten together. A session with one request in flight would else cost a field of the log
written for each; the few that are kept longer are answered again, if somebody asks."""

MAX_UNACKNOWLEDGED: Final = 1024
"""Answers kept for one session; beyond it the newer half stays, as many as a connection may be allowed to have in
flight (`limits.in_flight_per_connection`): what a lost subscription swallows can be asked for again."""

ANSWER_BYTES: Final = 256
"""What an answer takes beside its body, here and in the log, as far as the quotas count it."""

SESSION_QUOTA_BYTES: Final = 4 * 1024 * 1024
"""Bytes of unacknowledged answers kept for one session: beyond it an answer keeps its id and loses its body."""

OBJECT_QUOTA_BYTES: Final = 64 * 1024 * 1024
"""The same for all sessions of an object; sessions that go on beyond it are forgotten when it is time to prune. The log
in Redis holds the same bytes, and at most as many of dead answers (`answer_log`)."""

MAX_SESSIONS: Final = 50_000
"""Sessions that outlive a pruning: more than two frontends may have connections (20,000 each)."""

CLOCK_ERROR_MS: Final = 1000
"""A stamp may be so much later than the owner's time at its arrival: both are estimates of one clock, never later than
it is, and exact to some ten milliseconds and a round trip."""

SINCE_FIELD: Final = "since"
SESSION_PREFIX: Final = "s:"


# Python 3.11 takes its time to find a member of an Enum.
_RUN: Final = Verdict.RUN
_DROPPED: Final = Verdict.DROPPED

# Makes bytes of a raw text in a third of the time that `bytes` takes.
_join: Final = b"".join

_NONE_OPEN: Final[frozenset[int]] = frozenset()


class Known(msgspec.Struct, eq=False, gc=False):
    """What is remembered of one request. It runs until it has an answer."""

    print: int | None
    """A hash of its content; None where a former owner had it, or it was refused."""
    reply: Reply | None
    """The final answer, without its body beyond a quota."""
    row: Row | None
    """Where the log has the answer."""


class SessionMemory:
    """What an owner remembers of one session."""

    __slots__ = ("acked", "answers", "first_row", "known", "last_seen_ms", "name", "open", "size")

    def __init__(self, name: str, now_ms: int, first_row: int) -> None:
        self.name = name
        self.first_row = first_row
        """The number that rows of the log have at least, since it is remembered. It may have been forgotten before that
        and have come again: what lies of it in earlier rows is dead."""
        self.acked = 0
        """The session has its answers to all ids up to this one, ..."""
        self.open: frozenset[int] = _NONE_OPEN
        """... but these."""
        self.known: dict[int, Known] = {}
        """Id to what runs, and to what is answered and not acknowledged."""
        self.answers = 0
        """Those of them that are answered."""
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
        self._log = AnswerLog()
        self._forgotten: list[str] = []
        self._touched: set[SessionMemory] = set()
        self._since_moved = False

    # --- a copy of a request arrives --------------------------------------------------------------------------------

    def session(self, name: str) -> SessionMemory:
        """A session of which something runs.

        Raises:
            KeyError: there is no such session.
        """
        return self._sessions[name]

    def known(self, session: str, id: int) -> Known | None:
        """What is remembered of a request, if anything is."""
        memory = self._sessions.get(session)
        return memory.known.get(id) if memory is not None else None

    def open_block(self, block: SessionRequests, now_ms: int) -> SessionMemory:
        """Take note of a session's block of requests, and of what it acknowledges."""
        session = self._sessions.get(block.session)
        if session is None:
            session = self._sessions[block.session] = SessionMemory(block.session, now_ms, self._log.next_row)
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
        known = session.known
        # Looks at what is new, so that an id is looked at once; or at all that is known, where this is less.
        looked_at = (*former, *range(acked + 1, ack + 1)) if ack - acked < len(known) else list(known)
        ack = session.acked
        self._forget(session, [id for id in looked_at if id in known and id <= ack and id not in left_open])

    def _forget(self, session: SessionMemory, ids: Iterable[int]) -> None:
        """Drop the answers to these, here and in the log; what runs stays."""
        known = session.known
        size = number = 0
        for id in ids:
            each = known[id]
            reply, row = each.reply, each.row
            if reply is None or row is None:
                continue
            del known[id]
            number += 1
            cost = len(reply.body) + ANSWER_BYTES
            size += cost
            row.live -= cost
            if not row.live:
                self._log.drop(row)
        session.answers -= number
        session.size -= size
        self._bytes -= size

    def admit(self, session: SessionMemory, request: RelayedRequest, known: Known, run: str, now_ms: int) -> Verdict:
        """What becomes of this copy.

        Args:
            session: as `open_block` returned it.
            request: the copy.
            known: what is remembered of it from now on, if it is new.
            run: the run id of the server on whose clock its stamp is.
            now_ms: the present time on the Redis server's clock.
        """
        id = request.id
        if id <= session.acked and id not in session.open:
            return _DROPPED
        if id in session.known:
            return _verdict_of_copy(session.known[id], request)
        session.known[id] = known
        at = request.at
        if run != self.run_id or at < self.since_ms:
            return Verdict.UNKNOWN
        if now_ms - at > self._max_start_delay_ms:
            return Verdict.LATE
        known.print = hash((request.method, _join((request.params,))))
        return _RUN

    # --- a request is answered --------------------------------------------------------------------------------------

    def answered(self, session: SessionMemory, known: Known, reply: Reply, row: Row) -> bool:
        """Remember the final answer to what `admit` was given, and that it is logged in `row`, to which it is added.

        Returns:
            False where a quota is reached, and nothing was done: remember `bare(reply)` by `answered_bare`.
        """
        size = len(reply.body) + ANSWER_BYTES
        if session.size + size > SESSION_QUOTA_BYTES or self._bytes + size > OBJECT_QUOTA_BYTES:
            return False
        self._remember(session, known, reply, row, size)
        return True

    def answered_bare(self, session: SessionMemory, known: Known, reply: Reply, row: Row) -> None:
        """Remember an answer without its body: beyond a quota too, so that whether the request ran stays true."""
        reply = bare(reply)
        self._remember(session, known, reply, row, len(reply.body) + ANSWER_BYTES)

    def _remember(self, session: SessionMemory, known: Known, reply: Reply, row: Row, size: int) -> None:
        known.reply = reply
        known.row = row
        row.answers[session.name].append(reply)
        row.live += size
        session.answers += 1
        session.size += size
        self._bytes += size
        id = reply.id
        if id <= session.acked and id not in session.open:
            self._forget(session, (id,))  # its caller has given it up
        elif session.answers > MAX_UNACKNOWLEDGED:
            self._acknowledge_older_half(session)

    def _acknowledge_older_half(self, session: SessionMemory) -> None:
        """Make room in a session that does not acknowledge: half of it, so that this is seldom."""
        known = session.known
        answered = sorted(id for id in known if known[id].reply is not None)
        ack = answered[-(MAX_UNACKNOWLEDGED // 2)] - 1
        # What runs, or may still come, has no answer yet: it stays open.
        still_open = [id for id in (*known, *session.open) if id not in known or known[id].reply is None]
        self._acknowledge(session, ack, still_open)

    # --- what goes into the log -------------------------------------------------------------------------------------

    def take_log_changes(self) -> tuple[list[tuple[str, bytes]], list[str]]:
        """The log's fields to write beside the rows of answers, and those to delete, since the last call."""
        fields = [(SESSION_PREFIX + session.name, _session_value(session)) for session in self._touched]
        self._touched.clear()
        if self._since_moved:
            fields.append((SINCE_FIELD, f"{self.run_id}:{self.since_ms}".encode()))
            self._since_moved = False
        forgotten, self._forgotten = self._forgotten + self._log.take_dropped(), []
        return fields, forgotten

    def write(self, row: Row) -> list[tuple[str, bytes]]:
        """The reply messages of a row, each with the log's field that keeps it; "" if nothing of it is to be kept."""
        return self._log.write(row)

    def moved_answers(self) -> Row | None:
        """Answers that are to be logged anew, so that the rows that they were in can go; None if there is no need."""
        moved = Row()
        for row in self._log.sparse_rows(self._bytes):
            for name, replies in row.answers.items():
                self._move(name, replies, row, moved)
            self._log.drop(row)
            if moved.live > MAX_MOVED_BYTES:
                break
        return moved if moved.live else None

    def _move(self, name: str, replies: list[Reply], row: Row, moved: Row) -> None:
        session = self._sessions.get(name)
        if session is None:
            return
        for reply in replies:
            known = session.known.get(reply.id)
            if known is not None and known.row is row:
                known.row = moved
                moved.answers[name].append(reply)
                moved.live += len(reply.body) + ANSWER_BYTES

    def prune(self, before_ms: int, now_ms: int = 0) -> int:
        """Forget sessions of which nothing runs; return the number of them. The log's changes are to be taken at once.

        Args:
            before_ms: those last seen before this go. Beyond the quotas of the object later ones go too, first those
                that were not seen for longest.
            now_ms: a session of which something runs counts as seen now: its window begins with the answer.
        """
        idle: list[SessionMemory] = []
        for session in self._sessions.values():
            if len(session.known) == session.answers:
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
        self._forget(session, list(session.known))
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
        rows: list[str] = []
        for field, value in log.items():
            if field.startswith(SESSION_PREFIX):
                self._restore_session(field.removeprefix(SESSION_PREFIX), value, now_ms)
            elif field != SINCE_FIELD:
                rows.append(field)
        for field in rows:
            row, blocks = self._log.read(field, log[field])
            for block in blocks:
                session = self._sessions.get(block.session)
                if session is not None and session.first_row <= int(field):
                    self._restore_answers(session, block.replies, row)
            self._log.restored(row, field)

    def _restore_session(self, name: str, value: bytes, now_ms: int) -> None:
        ack, last_seen, first_row, still_open = [*value.split(b":"), b""][:4]
        session = self._sessions[name] = SessionMemory(name, max(int(last_seen), now_ms), int(first_row))
        self._log.next_row = max(self._log.next_row, session.first_row)
        session.acked = int(ack)
        session.open = frozenset(map(int, still_open.split(b","))) if still_open else _NONE_OPEN

    def _restore_answers(self, session: SessionMemory, replies: Iterable[Reply], row: Row) -> None:
        """Take over the answers that do not lie dead in their row."""
        for reply in replies:
            if reply.id <= session.acked and reply.id not in session.open:
                continue
            known = session.known[reply.id] = Known(None, None, None)
            if not self.answered(session, known, reply, row):
                self.answered_bare(session, known, reply, row)

    def settle_delivered(self, blocks: Iterable[SessionRequests], now_ms: int, row: Row) -> Iterator[tuple[str, Reply]]:
        """Settle what a former owner was given and did not log: its outcome is unknown.

        Args:
            blocks: what one entry of the stream carries.
            now_ms: the present time on the Redis server's clock.
            row: gets the answers that are new.

        Yields:
            Session and answer of what is in the log already.
        """
        for block in blocks:
            session = self.open_block(block, now_ms)
            for request in block.requests:
                id = request.id
                if id <= session.acked and id not in session.open:
                    continue
                former = session.known.get(id)
                if former is None:
                    known = session.known[id] = Known(None, None, None)
                    self.answered_bare(session, known, refusal(id, Verdict.UNKNOWN), row)
                elif former.reply is not None:
                    yield block.session, former.reply


def _verdict_of_copy(known: Known, request: RelayedRequest) -> Verdict:
    if known.print is not None and known.print != hash((request.method, _join((request.params,)))):
        return Verdict.REUSED
    return Verdict.ATTACHED if known.reply is None else Verdict.ANSWERED


def _session_value(session: SessionMemory) -> bytes:
    """The log's value of a session: `<acknowledged id>:<last seen, ms>:<first row>`, and `:<id>,<id>...` where some are
    open.
    """
    value = b"%d:%d:%d" % (session.acked, session.last_seen_ms, session.first_row)
    return value + b":" + ",".join(map(str, session.open)).encode() if session.open else value
