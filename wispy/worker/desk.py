"""The owner's desk: takes requests from the stream to the runner, and outcomes to log, stream and callers.

Runs on the I/O thread. Rules:
- Every copy of a request goes past the memory first; only what it calls new reaches the runner.
- What a read or a hand-over brought is one batch, which one script brings to Redis (`Finishes`).
- An entry is deleted once its last request is final, and not before: what is left in the stream is what a next owner
  has to settle.
- At most `MAX_IN_FLIGHT` requests are on the desk; the stream holds the others until there is room.
- With `auth`, an entry without a good seal is deleted unread: nothing in it is to be believed, not even whose it is.
"""

import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from wispy.broker.keys import ObjectKeys
from wispy.broker.route import Route
from wispy.broker.store import ObjectStore
from wispy.protocol import errors, relay
from wispy.protocol.envelope import MARK, Seal
from wispy.protocol.identity import ANONYMOUS, Identity, bearer_in
from wispy.protocol.memory import Known, Memory, SessionMemory
from wispy.protocol.relay import Entry, RelayedRequest, Reply, SessionRequests
from wispy.protocol.shared_memory import SharedMemory
from wispy.protocol.verdicts import Verdict, refusal
from wispy.worker.calls import Call, Outcome
from wispy.worker.counts import ObjectCounts
from wispy.worker.finishes import Batch, Finishes
from wispy.worker.large_results import LargeResults
from wispy.worker.requests import to_call

log = logging.getLogger("wispy.worker")

MAX_IN_FLIGHT: Final = 1024
"""Requests on the desk: sixteen full entries, which keeps the runner busy while the next ones are read, and short
enough that a session does not wait behind more than some ten milliseconds of others' quick calls."""

MAX_INLINE_BODY: Final = relay.MAX_REPLY_MESSAGE_BYTES - 1024
"""Bytes of a body that travels in a reply message, beside the ids around it; a larger one is stored."""

MAX_CANCELLED: Final = 1024
"""Cancellations kept for requests that are on their way: as many as may be in flight; the oldest go first."""

MAX_EXTENSION_S: Final = 7 * 86400.0
"""How long a frontend waits for a method without any time-out: as long as the object's keys live."""

# The bytes of a Raw, in half the time of bytes().
_join: Final = b"".join

# Python 3.11 takes its time to find a member of an Enum.
_RUN: Final = Verdict.RUN
_DROPPED: Final = Verdict.DROPPED


class OpenEntry(msgspec.Struct, eq=False, gc=False):
    """An entry of the stream of which something is not final."""

    id: str
    left: int
    """Requests that are not final."""
    requests: int = 0
    """How many it carries."""


class Pending(Known, eq=False, gc=False):
    """What the desk knows of a request that the runner has: the call's token, and what the memory keeps of it."""

    frontend: str
    """Where the newest copy came from; the answer goes there."""
    entry: OpenEntry
    answered: bool = False
    """The caller has his answer, at the deadline; the call still takes its room."""
    extended: bool = False
    """The frontend knows that the call may run for longer than the default."""


class Desk:
    """The requests of one object under one lease.

    Args:
        link: for the bodies that are too large for a reply.
        store: the object's scripts.
        keys: the object's keys.
        epoch: the lease's epoch.
        memory: what is known of former requests.
        max_start_delay_s: seconds within which a request must start.
        max_reply_bytes: size of a result beyond which its caller gets an error instead.
        counts: what is counted.
        seal: on every entry, where callers have to say who they are; else None.
        on_forged: called with the id of an entry without a good one.
        hand_over: gives calls to the runner.
        on_fenced: called when another owner has acquired.
    """

    def __init__(
        self,
        link: Route,
        store: ObjectStore,
        keys: ObjectKeys,
        epoch: str,
        memory: Memory | SharedMemory,
        *,
        max_start_delay_s: float,
        max_reply_bytes: int,
        counts: ObjectCounts,
        seal: Seal | None = None,
        on_forged: Callable[[str], None],
        hand_over: Callable[[list[Call]], None],
        on_fenced: Callable[[], None],
    ) -> None:
        self._keys = keys
        self._memory = memory
        self._max_start_delay_s = max_start_delay_s
        self._large_results = LargeResults(link, keys, max_reply_bytes, counts)
        self._max_inline_body = min(MAX_INLINE_BODY, max_reply_bytes)
        self._counts = counts
        self._seal = seal
        self._on_forged = on_forged
        self._hand_over = hand_over
        self._finishes = Finishes(store, keys, epoch, memory, on_fenced)
        self._calls: dict[Pending, Call] = {}
        """What the runner has."""
        self._cancelled: dict[tuple[str, int], None] = {}
        """Requests that were cancelled before they came, or after they were answered."""

    @property
    def in_flight(self) -> int:
        """Requests that take room."""
        return len(self._calls)

    @property
    def room(self) -> int:
        """Requests that may be taken in addition; nothing is taken while batches pile up unconfirmed."""
        return MAX_IN_FLIGHT - len(self._calls) if len(self._finishes) < MAX_IN_FLIGHT else 0

    @property
    def knows_since_ms(self) -> int:
        """Since when all that came is known, on the Redis server's clock."""
        return self._memory.since_ms

    @property
    def is_settled(self) -> bool:
        """Whether Redis has confirmed all that was answered."""
        return not self._finishes

    def calls(self) -> list[Call]:
        """What the runner has."""
        return list(self._calls.values())

    def running(self) -> list[Call]:
        """What has begun and not ended, and was not answered."""
        return [call for call in self._calls.values() if call.started is not None and not call.token.answered]

    def open_entries(self) -> set[str]:
        """The entries that were taken and may still be in the stream."""
        entries = self._finishes.unconfirmed_entries()
        for call in self._calls.values():
            token: Pending = call.token
            entries.add(token.entry.id)
        return entries

    def _pending(self, session: str, id: int) -> Pending | None:
        known = self._memory.known(session, id)
        return known if isinstance(known, Pending) and known in self._calls else None

    def cancel(self, session: str, id: int) -> bool:
        """A caller gave up on a request; whether the runner has it, and should cancel it.

        Cancellations do not come by the stream: one may overtake its request, which then is refused when it comes.
        """
        if self._pending(session, id) is not None:
            return True
        self._cancelled[session, id] = None
        if len(self._cancelled) > MAX_CANCELLED:
            del self._cancelled[next(iter(self._cancelled))]
        return False

    # --- requests come in -------------------------------------------------------------------------------------------

    def take(self, entries: Sequence[tuple[str, bytes]], now_ms: int) -> None:
        """Take entries (id, bytes) from the stream, at `now_ms` on the Redis server's clock."""
        batch = Batch()
        calls: list[Call] = []
        for entry_id, data in entries:
            entry = self._read(entry_id, data)
            if entry is None:
                batch.entries.append(entry_id)
            else:
                self._take_entry(entry_id, entry, now_ms, batch, calls)
        if calls:
            self._hand_over(calls)
        self._finish(batch)

    def _read(self, entry_id: str, data: bytes) -> Entry | None:
        """What an entry holds; None if that is nothing for us, which is logged."""
        if self._seal is not None:
            opened = self._seal.opened(data)
            if opened is None:
                self._on_forged(entry_id)
                return None
            data = opened
        try:
            return relay.decode_entry(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            reason = "frontends have auth, and this worker has not" if data.startswith(MARK) else error
            log.error("entry %s of %s cannot be read and is deleted: %s", entry_id, self._keys.requests, reason)
            return None

    def _who(self, text: msgspec.Raw, now_ms: int) -> Identity | None:
        """Who asks; None if he would have to say so first."""
        if self._seal is None:
            return ANONYMOUS
        bearer = bearer_in(_join((text,)))
        return bearer.identity if bearer is not None and bearer.is_good(now_ms) else None

    def _take_entry(self, entry_id: str, entry: Entry, now_ms: int, batch: Batch, calls: list[Call]) -> None:
        opened = OpenEntry(entry_id, 0)
        # A request may start until this moment, less its age.
        start_by = time.monotonic() + self._max_start_delay_s
        memory, frontend = self._memory, entry.frontend
        for block in entry.sessions:
            session = memory.open_block(block, now_ms)
            identity = self._who(block.bearer, now_ms)
            opened.requests += len(block.requests)
            for request in block.requests:
                token = Pending(None, None, None, frontend, opened)
                verdict = memory.admit(session, request, token, block.run, now_ms)
                if verdict is _RUN:
                    age_s = (now_ms - request.at) / 1000 if request.at < now_ms else 0.0
                    self._run(session, request, identity, start_by - age_s, token, batch, calls)
                elif verdict is not _DROPPED:
                    self._answer_copy(session, request.id, verdict, token, batch)
        if opened.left == 0:
            batch.entries.append(entry_id)

    def _answer_copy(self, session: SessionMemory, id: int, verdict: Verdict, token: Pending, batch: Batch) -> None:
        """What a copy gets that is not to run; `token` is remembered only if it is the first that came."""
        if verdict is Verdict.ATTACHED:
            running = self._pending(session.name, id)
            if running is not None:
                running.frontend = token.frontend
                running.extended = False
        elif verdict is Verdict.ANSWERED:
            reply = session.known[id].reply
            assert reply is not None, "the verdict says so"
            batch.unlogged[token.frontend][session.name].append(reply)
        elif verdict is Verdict.REUSED:
            self._counts.turned_away += 1
            batch.unlogged[token.frontend][session.name].append(refusal(id, verdict))
        else:
            self._counts.turned_away += 1
            self._answer(batch, session, token, refusal(id, verdict))

    def _run(
        self,
        session: SessionMemory,
        request: RelayedRequest,
        identity: Identity | None,
        start_by: float,
        token: Pending,
        batch: Batch,
        calls: list[Call],
    ) -> None:
        try:
            if self._cancelled and (session.name, request.id) in self._cancelled:
                raise errors.CANCELLED("the request was cancelled before it started", executed="no")
            if identity is None:
                raise errors.UNAUTHENTICATED()
            call = to_call(session.name, request, start_by, token, identity)
        except errors.RPCError as error:
            self._counts.turned_away += 1
            if error.denied is None:
                kind = relay.ERROR
            else:
                self._counts.deny_unread(error.denied)
                kind = relay.denied_kind(error.denied)
            self._answer(batch, session, token, Reply(request.id, kind, msgspec.Raw(error.to_json())))
            return
        token.entry.left += 1
        self._calls[token] = call
        calls.append(call)

    # --- outcomes go out --------------------------------------------------------------------------------------------

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Bring the outcomes of ended calls to their callers."""
        self._counts.observe_ended(outcomes, self._max_start_delay_s)
        batch = Batch()
        max_inline_body = self._max_inline_body
        for outcome in outcomes:
            call = outcome.call
            token: Pending = call.token
            body = outcome.body
            if len(body) > max_inline_body and not outcome.is_error and not token.answered:
                self._large_results.store(call, body, functools.partial(self._end_large, call))
                continue
            del self._calls[token]
            if token.answered:
                continue
            kind = _error_kind(outcome) if outcome.is_error else relay.RESULT
            self._answer_ended(batch, call, Reply(call.id, kind, msgspec.Raw(body)))
        self._finish(batch)

    def answer_early(self, calls: Sequence[Call], error: errors.RPCError) -> None:
        """Answer calls that the runner still has, and that go on taking room: their deadline has come."""
        if not calls:
            return
        batch = Batch()
        body = msgspec.Raw(error.to_json())
        for call in calls:
            token: Pending = call.token
            if not token.answered:
                token.answered = True
                self._answer_ended(batch, call, Reply(call.id, relay.ERROR, body))
        self._finish(batch)

    def extend_beyond(self, default_s: float) -> None:
        """Tell the frontends which calls may run for more than `default_s` seconds: they would give them up earlier."""
        batch = Batch()
        for call in self._calls.values():
            token: Pending = call.token
            run_s = 0.0 if call.started is None else call.deadline - call.started
            if run_s > default_s and not token.extended:
                token.extended = True
                body = msgspec.Raw(b"%d" % min(run_s + 1, MAX_EXTENSION_S))
                batch.unlogged[token.frontend][call.session].append(Reply(call.id, relay.EXTENDED, body))
        self._finish(batch)

    def settle_delivered(self, entries: Sequence[tuple[str, bytes]], now_ms: int) -> None:
        """Settle what a former owner was given and did not finish: before any new work, and repeatable."""
        batch = Batch()
        for entry_id, data in entries:
            batch.entries.append(entry_id)
            entry = self._read(entry_id, data)
            if entry is not None:
                self._settle_blocks(entry.frontend, entry.sessions, now_ms, batch)
        if batch.entries:
            log.warning("%d entries of %s were left by a worker that is gone", len(batch.entries), self._keys.requests)
            self._finish(batch)

    def _settle_blocks(self, frontend: str, blocks: list[SessionRequests], now_ms: int, batch: Batch) -> None:
        for session, reply in self._memory.settle_delivered(blocks, now_ms, batch.rows[frontend]):
            batch.unlogged[frontend][session].append(reply)

    def _answer_ended(self, batch: Batch, call: Call, reply: Reply) -> None:
        token: Pending = call.token
        self._answer(batch, self._memory.session(call.session), token, reply)
        entry = token.entry
        entry.left -= 1
        if entry.left == 0:
            batch.entries.append(entry.id)

    def _answer(self, batch: Batch, session: SessionMemory, token: Pending, reply: Reply) -> None:
        if not self._memory.answered(session, token, reply, batch.rows[token.frontend]):
            # The caller gets it whole, and the log what there is room for.
            batch.unlogged[token.frontend][session.name].append(reply)
            self._memory.answered_bare(session, token, reply, batch.rows[""])

    def _end_large(self, call: Call, stored: str | errors.RPCError) -> None:
        """Until now the call was on the desk: a copy that came meanwhile has said where the answer goes."""
        token: Pending = call.token
        del self._calls[token]
        if token.answered:
            return  # its deadline came while the body was stored
        if isinstance(stored, str):
            reply = Reply(call.id, relay.STORED_RESULT, msgspec.Raw(b'"%b"' % stored.encode()))
        else:
            reply = Reply(call.id, relay.ERROR, msgspec.Raw(stored.to_json()))
        batch = Batch()
        self._answer_ended(batch, call, reply)
        self._finish(batch)

    # --- to Redis ---------------------------------------------------------------------------------------------------

    def _finish(self, batch: Batch) -> None:
        if not batch.is_empty:
            self._finishes.send(batch)

    def resend(self) -> None:
        """Send again, in order, what did not reach Redis, or may not have."""
        self._finishes.resend()

    def prune(self, now_ms: int, window_ms: int) -> None:
        """Forget the sessions that were not seen for `window_ms`."""
        if self._memory.prune(now_ms - window_ms, now_ms):
            self._finishes.send(Batch())


def _error_kind(outcome: Outcome) -> int:
    return relay.ERROR if outcome.denied is None else relay.denied_kind(outcome.denied)
