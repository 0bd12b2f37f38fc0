"""A client's side of a session: ids, acknowledgement, stamps, and what becomes of requests when a connection breaks.

A call is *waiting* (never sent, or to be sent anew), *in flight* (sent, not answered), *pausing* (to be repeated after
a moment) or *settled*. Time is an argument, in seconds on a clock that only rises.

Rules:
- Every call settles once: by its answer, its own time-out, its caller, or the end of its session.
- Waiting calls leave first in, first out, and get their id then. Ids rise and are never used again, also not by the
  next session. A stamp is given with the id, and a re-send keeps both.
- On a resumed session what is unanswered goes first, in the order of ids, marked as a retry. Where the session is gone,
  what was sent ends as `maybe`; what never left goes out in the new session.
- A call that its caller gave up keeps its place until it is answered, so that `ack` stays true; it is not sent again.
- By itself, and under a new id, a call is repeated only if it is known not to have run and is retryable (or its outcome
  is unknown and its caller said that it is idempotent), within its deadline, and if its session has sent nothing later
  to that object or it only reads. A set or a delete never is: what it would overwrite may be somebody's newer value.
- Requests about the connection itself (`local`) pass the queue and end with their connection.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from wispy.protocol import errors
from wispy.protocol.client_calls import DEFAULT_WINDOW_S, Backoff, Call, CallState, Hello
from wispy.protocol.errors import RPCError

MAX_WAITING: Final = 10_000
"""Calls that wait: an endless loop of calls ends in an error, not in a full memory."""

OPEN_WINDOW: Final = 256
"""Ids between the oldest call in flight and the newest, beyond which the stragglers are named one by one: one call that
takes a minute must not keep the owner from forgetting the answers given since."""

MAX_OPEN: Final = 64
"""Stragglers that are named: the server takes no more."""

MAX_OBJECTS: Final = 1024
"""Objects of which the last id is remembered. Of one that was forgotten nothing is repeated."""

ENVELOPE_BYTES: Final = 400 + 20 * MAX_OPEN
"""What a message has beside method and params, at most: the `wispy` member names a run and `MAX_OPEN` ids."""

PATIENCE_S: Final = 30.0
"""Without a connection for so long, a waiting call is no longer meant."""

REPEAT_S: Final = 10.0
"""Who set no time-out is not kept longer than this by repeating: a worker that comes back is there by then, and who
waits for an object that nobody serves is told so. It is the same in rpc.js."""

READS: Final = frozenset({"rpc.get", "rpc.describe", "rpc.source", "rpc.channels", "rpc.discover"})
"""Methods that change nothing: their place among the others does not matter."""

WRITES: Final = frozenset({"rpc.set", "rpc.delete"})
"""Methods that are never repeated."""


class ClientSession:
    """The calls of one client.

    Args:
        random: a random number from 0 to 1, for pauses.
        client: how the client calls itself.
    """

    def __init__(self, random: Callable[[], float], client: str = "python") -> None:
        self._random = random
        self._client = client
        self.name: str | None = None
        """Of the session that the next hello tries to resume; None where there is none."""
        self.window_s = DEFAULT_WINDOW_S
        self._token = ""  # none yet  # nosec B105
        self._waiting: OrderedDict[Call, None] = OrderedDict()
        self._pausing: dict[Call, None] = {}
        self._in_flight: dict[int, Call] = {}
        """In the order of ids; what a caller gave up is still here, settled."""
        self._resend: list[Call] = []
        self._last_id = 0
        self._last_ids: OrderedDict[str, int] = OrderedDict()
        """Object to the last id that was sent to it."""
        self._room = 0
        """How many calls may be in flight; 0: calls wait."""
        self._max_bytes = 2**62
        self._hello_run = ""
        self._clock: tuple[str, int, float] | None = None
        """Run id, milliseconds on the clock of that server, and when that was heard."""
        self._lost_at: float | None = None
        """Since when there is no connection; None while there is one."""
        self._is_asked_for = False
        """Whether a hello that names the session is on its way."""
        self._closed = ""

    # --- connections ------------------------------------------------------------------------------------------------

    def hello_params(self) -> bytes:
        """What `rpc.hello` says on this connection. Until it is answered, or `detach`, the session is not given up."""
        params = {"client": self._client}
        if self.name is not None:
            params.update(session=self.name, token=self._token)
            self._is_asked_for = True
        return msgspec.json.encode(params)

    def start(self, now: float) -> None:
        """From now on there should be a connection."""
        self._lost_at = now

    def welcome(self, hello: Hello, now: float) -> bool:
        """The server has answered `rpc.hello`.

        Returns:
            Whether the earlier session has ended: what was in flight has then been settled as `maybe`.
        """
        had_session = self.name is not None
        self._is_asked_for = False
        self._clock = (hello.run, hello.ms, now)
        self._hello_run = hello.run
        self._token = hello.token
        self.window_s = hello.session_window_s
        self._lost_at = None
        # One place stays free: a server that stops reading when all are taken could not read a cancel.
        self._room = max(1, hello.limits.in_flight - 1)
        self._max_bytes = hello.limits.message_bytes
        if hello.resumed and hello.session == self.name:
            self._resend = list(self._in_flight.values())
            return False
        self._end_session("the session could not be resumed", now)
        self.name = hello.session
        return had_session

    def hold(self) -> None:
        """Let nothing more leave on this connection."""
        self._room = 0

    def detach(self, reason: str, now: float) -> None:
        """The connection is gone; what it had in flight may be asked for again on the next."""
        if self._lost_at is None:
            self._lost_at = now
        self._is_asked_for = False
        self._room = 0
        self._resend = []
        for id, call in list(self._in_flight.items()):
            if call.is_local:
                del self._in_flight[id]
                self._settle(call, error=errors.UNAVAILABLE(f"{reason}, before {call.method} was answered"))
            elif call.state is CallState.SETTLED:
                del self._in_flight[id]  # nobody waits for its answer: acknowledged, and never asked for again

    def set_clock(self, run: str, ms: int, now: float) -> None:
        """Redis is another server now, or its clock was set: stamps are on that from here on."""
        self._clock = (run, ms, now)

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer that is in flight."""
        return all(call.state is CallState.SETTLED for call in self._in_flight.values())

    # --- calls ------------------------------------------------------------------------------------------------------

    def submit(self, call: Call) -> None:
        """Take a call; `flush` sends it.

        Raises:
            RPCError: too many wait already, or the session was closed.
        """
        if self._closed:
            raise errors.UNAVAILABLE(f"{call.method} was not sent: {self._closed}", retryable=False)
        if len(self._waiting) + len(self._pausing) >= MAX_WAITING:
            raise errors.OVERLOADED(f"{MAX_WAITING} requests wait already")
        self._waiting[call] = None

    def local(self, call: Call, now: float) -> list[bytes]:
        """A request about the connection itself, to be sent at once; it ends with the connection."""
        call.is_local = True
        return self._transmit(call, now)

    def resend(self) -> list[bytes]:
        """The messages of the earlier connection that are unanswered, to be sent before any other."""
        resend, self._resend = self._resend, []
        return [self._message(call, retry=True) for call in resend if call.state is CallState.IN_FLIGHT]

    def flush(self, now: float) -> list[bytes]:
        """The messages that may be sent now, in this order."""
        messages = self.resend()
        while self._waiting and len(self._in_flight) < self._room:
            call, _ = self._waiting.popitem(last=False)
            messages += self._transmit(call, now)
        return messages

    def answered(self, id: int, result: bytes | None, error: RPCError | None, now: float) -> Call | None:
        """The server answers.

        Returns:
            The call, or None where there is no call of this id in flight.
        """
        call = self._in_flight.pop(id, None)
        if call is None:
            return None
        if call.state is CallState.SETTLED:
            return call
        if error is None or not self._repeat_later(call, error, now):
            self._settle(call, result, error)
        return call

    def give_up(self, call: Call, error: RPCError | None = None) -> bytes | None:
        """The caller waits no longer.

        Args:
            call: his.
            error: how it ends; None where his time-out has passed.

        Returns:
            The cancellation to send, where the call is in flight on a connection.
        """
        state = call.state
        if state is CallState.SETTLED:
            return None
        if state is CallState.IN_FLIGHT:
            self._settle(call, error=error or errors.TIMED_OUT(f"{call.method} was not answered in time"))
            if self._lost_at is not None:
                del self._in_flight[call.id]  # as in `detach`
                return None
            return b'{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":%d}}' % call.id
        self._waiting.pop(call, None)
        self._pausing.pop(call, None)
        late = call.error or errors.NOT_STARTED(f"{call.method} could not be sent in time")
        self._settle(call, error=error or late)
        return None

    def close(self, reason: str) -> None:
        """End every call, and take no more."""
        self._closed = reason
        self._room = 0
        for call in [*self._waiting, *self._pausing]:
            self._settle(call, error=call.error or errors.UNAVAILABLE(f"{call.method} was not sent: {reason}"))
        self._waiting.clear()
        self._pausing.clear()
        for call in self._in_flight.values():
            call.is_local = False
        self._forget_in_flight(reason)

    # --- time -------------------------------------------------------------------------------------------------------

    def wakeup_at(self) -> float | None:
        """When `tick` has something to do; None while it has not."""
        times = [call.repeat_at for call in self._pausing]
        if self._lost_at is not None:
            if self.name is not None and not self._is_asked_for:
                times.append(self._lost_at + self.window_s)
            if self._waiting:
                oldest = next(iter(self._waiting)).issued_at  # nearly: `tick` looks at each
                times.append(max(self._lost_at, oldest) + PATIENCE_S)
        return min(times, default=None)

    def tick(self, now: float) -> bool:
        """Do what is due.

        Returns:
            Whether the session was given up now, because no connection came in its window.
        """
        self._repeat_due(now)
        if self._lost_at is None:
            return False
        if now >= self._lost_at + PATIENCE_S:
            self._refuse_old(now)
        if self.name is None or self._is_asked_for or now < self._lost_at + self.window_s:
            return False
        self._end_session(f"there was no connection for {self.window_s:g} s", now)
        return True

    def _refuse_old(self, now: float) -> None:
        reason = f"there was no connection for {PATIENCE_S:g} s"
        for call in list(self._waiting):
            if call.issued_at + PATIENCE_S <= now:
                del self._waiting[call]
                self._settle(call, error=errors.UNAVAILABLE(f"{call.method} was not sent: {reason}"))

    # --- the end of a session ---------------------------------------------------------------------------------------

    def _end_session(self, reason: str, now: float) -> None:
        self.name = None
        self._resend = []
        again: list[Call] = []
        for id, call in list(self._in_flight.items()):
            if call.state is CallState.IN_FLIGHT and call.is_idempotent and self._in_order(call):
                del self._in_flight[id]
                call.may_have_run = True
                again.append(call)
        self._put_first(again)
        self._forget_in_flight(reason)

    def _forget_in_flight(self, reason: str) -> None:
        unanswered = [call for call in self._in_flight.values() if not call.is_local]
        for call in unanswered:
            del self._in_flight[call.id]
            self._settle(call, error=errors.OUTCOME_UNKNOWN(f"{reason}, before {call.method} was answered"))

    # --- repeating --------------------------------------------------------------------------------------------------

    def _repeat_later(self, call: Call, error: RPCError, now: float) -> bool:
        """Whether a call that failed is tried again after a pause."""
        may_repeat = (error.executed == "no" and error.retryable) or (
            call.is_idempotent and error.code == errors.OUTCOME_UNKNOWN.code
        )
        if not may_repeat or call.is_local or not self._in_order(call):
            return False
        backoff = call.backoff = call.backoff or Backoff(self._random, base_s=0.1, cap_s=2.0, minimum_s=0.02)
        # Who is told for how long he asks too often need not find it out.
        told_ms = error.data.get("retry_in_ms")
        repeat_at = now + max(backoff.next_s(), told_ms / 1000 if isinstance(told_ms, int) else 0.0)
        deadline = call.issued_at + REPEAT_S if call.deadline is None else call.deadline
        if repeat_at >= deadline or len(self._pausing) >= MAX_WAITING:
            return False
        call.state = CallState.PAUSING
        call.may_have_run |= error.executed != "no"
        call.error = error
        call.repeat_at = repeat_at
        self._pausing[call] = None
        return True

    def _in_order(self, call: Call) -> bool:
        """Whether a call may be sent anew without changing the order in which an object gets its requests."""
        if call.method in READS:
            return True
        return call.method not in WRITES and self._last_ids.get(call.target) == call.id

    def _repeat_due(self, now: float) -> None:
        due = [call for call in self._pausing if call.repeat_at <= now]
        again: list[Call] = []
        for call in due:
            del self._pausing[call]
            if self._in_order(call):
                again.append(call)
            else:
                self._settle(call, error=call.error)
        self._put_first(again)

    def _put_first(self, calls: Iterable[Call]) -> None:
        """Have calls leave before those that wait, in their order."""
        for call in reversed(list(calls)):
            call.state = CallState.WAITING
            self._waiting[call] = None
            self._waiting.move_to_end(call, last=False)

    # --- messages ---------------------------------------------------------------------------------------------------

    def _transmit(self, call: Call, now: float) -> list[bytes]:
        if len(call.method.encode()) + len(call.params) > self._max_bytes - ENVELOPE_BYTES:
            message = f"{call.method} has more than the {self._max_bytes} bytes that the server takes"
            self._settle(call, error=errors.TOO_LARGE(message))
            return []
        call.id = self._last_id = self._last_id + 1
        call.state = CallState.IN_FLIGHT
        if self._clock is not None:
            run, ms, heard_at = self._clock
            call.at = int(ms + 1000 * (now - heard_at))
            call.run = run
        self._in_flight[call.id] = call
        if call.target:
            self._last_ids[call.target] = call.id
            self._last_ids.move_to_end(call.target)
            if len(self._last_ids) > MAX_OBJECTS:
                self._last_ids.popitem(last=False)
        return [self._message(call, retry=False)]

    def _message(self, call: Call, retry: bool) -> bytes:
        members = self._acknowledged(call.id)
        if call.at is not None:
            members["at"] = call.at
            if retry or call.run != self._hello_run:
                members["run"] = call.run
        if retry:
            members["retry"] = True
        method, wispy = msgspec.json.encode(call.method), msgspec.json.encode(members)
        return b'{"jsonrpc":"2.0","id":%d,"method":%b,"params":%b,"wispy":%b}' % (call.id, method, call.params, wispy)

    def _acknowledged(self, id: int) -> dict[str, object]:
        """Up to which id below `id` all answers are here, and which are not."""
        oldest = next(iter(self._in_flight))
        if self._last_id - oldest <= OPEN_WINDOW:
            return {"ack": oldest - 1}
        ids = [each for each in self._in_flight if each <= id]
        if len(ids) > MAX_OPEN:
            return {"ack": ids[MAX_OPEN] - 1, "open": ids[:MAX_OPEN]}
        # The request itself is above what it acknowledges, so that it need not be named.
        return {"ack": id - 1, "open": ids[:-1]}

    @staticmethod
    def _settle(call: Call, result: bytes | None = None, error: RPCError | None = None) -> None:
        if call.state is not CallState.SETTLED:
            call.state = CallState.SETTLED
            call.result = result
            call.error = error
            if error is not None and error.executed == "no" and call.may_have_run:
                # That is said of the last try; of an earlier one it is not known.
                call.error = RPCError(error.code, error.message, executed="maybe", retryable=False, data=error.data)
            call.on_settled(call)
