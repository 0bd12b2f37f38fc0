"""What a worker of a shared object remembers of requests: those that it runs, and nothing else. Pure.

It stands in for `Memory`, and has the same methods. Rules:
- An entry of the stream is given to one worker, once. What is not the first copy of a request (`retry`), or was stamped
  on another run of the server, may have run elsewhere: `maybe`, never run.
- Too old is `no`: it was nowhere else.
- An answer is sent once. Nobody keeps it.
"""

from collections.abc import Iterable

from wispy.protocol.answer_log import Row
from wispy.protocol.memory import Known, SessionMemory
from wispy.protocol.relay import RelayedRequest, Reply, SessionRequests, reply_messages
from wispy.protocol.verdicts import Verdict, refusal


class SharedMemory:
    """The running requests of one worker.

    Args:
        run_id: the Redis server on whose clock stamps count.
        max_start_delay_ms: the greatest age at which a request may start.
    """

    def __init__(self, run_id: str, max_start_delay_ms: int) -> None:
        self._run_id = run_id
        self.since_ms = 0
        """Never asked of what keeps nothing."""
        self._max_start_delay_ms = max_start_delay_ms
        self._sessions: dict[str, SessionMemory] = {}
        """Those of which something runs."""

    def session(self, name: str) -> SessionMemory:
        """A session of which something runs.

        Raises:
            KeyError: there is no such session.
        """
        return self._sessions[name]

    def known(self, session: str, id: int) -> Known | None:
        """What is remembered of a request, if it runs here."""
        memory = self._sessions.get(session)
        return memory.known.get(id) if memory is not None else None

    def open_block(self, block: SessionRequests, now_ms: int) -> SessionMemory:
        """Take note of a session's block of requests."""
        session = self._sessions.get(block.session)
        return session if session is not None else SessionMemory(block.session, now_ms, 1)

    def admit(self, session: SessionMemory, request: RelayedRequest, known: Known, run: str, now_ms: int) -> Verdict:
        """What becomes of this copy; as `Memory.admit`."""
        if request.retry or request.id in session.known or run != self._run_id:
            return Verdict.UNKNOWN
        if now_ms - request.at > self._max_start_delay_ms:
            return Verdict.LATE
        session.known[request.id] = known
        self._sessions[session.name] = session
        return Verdict.RUN

    def answered(self, session: SessionMemory, known: Known, reply: Reply, row: Row) -> bool:
        """The final answer to what `admit` was given goes out with `row`."""
        row.answers[session.name].append(reply)
        if session.known.get(reply.id) is known:
            del session.known[reply.id]
            if not session.known:
                del self._sessions[session.name]
        return True

    def answered_bare(self, session: SessionMemory, known: Known, reply: Reply, row: Row) -> None:
        """Never needed: no answer is too large for what keeps none."""
        raise AssertionError("a shared object's answers have no quota")

    def settle_delivered(self, blocks: Iterable[SessionRequests], now_ms: int, row: Row) -> list[tuple[str, Reply]]:
        """Answer what others may have begun; the answers go out with `row`."""
        for block in blocks:
            row.answers[block.session] += [refusal(request.id, Verdict.UNKNOWN) for request in block.requests]
        return []

    def prune(self, before_ms: int, now_ms: int = 0) -> int:
        """Nothing is kept that could be forgotten."""
        return 0

    def moved_answers(self) -> Row | None:
        """There is no log, and nothing to move in it."""
        return None

    def take_log_changes(self) -> tuple[list[tuple[str, bytes]], list[str]]:
        """There is no log, and nothing changes in it."""
        return [], []

    def write(self, row: Row) -> list[tuple[str, bytes]]:
        """The reply messages of a row, none of which is kept."""
        return [("", message) for message in reply_messages(row.answers)] if row.answers else []
