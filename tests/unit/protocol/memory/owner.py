"""What the tests of the memory share: an owner's memory with its log, and requests and answers for it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from wispy.protocol.answer_log import Row
from wispy.protocol.memory import Known, Memory, SessionMemory
from wispy.protocol.relay import ERROR, RESULT, RelayedRequest, Reply, SessionReplies, SessionRequests, encode
from wispy.protocol.verdicts import Verdict, refusal

RUN = "run-1"
SINCE = 1_000_000
NOW = SINCE + 10_000
DELAY = 5_000
WINDOW = 60_000


class Owner(Memory):
    """A memory, and the log that it keeps."""

    def __init__(self, since_ms: int = SINCE, run_id: str = RUN) -> None:
        super().__init__(run_id, since_ms, DELAY)
        self.rows: list[Row] = []
        """Rows that are not in the log yet."""
        self.log: dict[str, bytes] = {}

    def answer(self, session: SessionMemory, reply: Reply) -> Reply:
        """Answer a request in a row of its own; what is kept of it."""
        known = session.known.setdefault(reply.id, Known(None, None, None))
        self.rows.append(Row())
        if not self.answered(session, known, reply, self.rows[-1]):
            self.answered_bare(session, known, reply, self.rows[-1])
        assert known.reply is not None
        return known.reply

    def flush(self) -> tuple[list[tuple[str, bytes]], list[str]]:
        """Bring all to the log; what it was told beside the rows."""
        moved = self.moved_answers()
        rows, self.rows = [*self.rows, *([moved] if moved else [])], []
        written = [(field, message) for row in rows for field, message in self.write(row) if field]
        fields, forgotten = self.take_log_changes()
        self.log.update([*written, *fields])
        for name in forgotten:
            self.log.pop(name, None)
        return fields, forgotten


def request(id: int, at: int = NOW, params: bytes = b"[1]") -> RelayedRequest:
    return RelayedRequest(id, at, False, "sample.f", msgspec.Raw(params))


def block(*requests: RelayedRequest, ack: int = 0, still_open: Sequence[int] = (), name: str = "s1") -> SessionRequests:
    return SessionRequests(name, RUN, ack, list(still_open), list(requests))


def take(owner: Owner, *requests: RelayedRequest, now: int = NOW, run: str = RUN, **members: Any) -> list[Any]:
    """What each of these gets: its verdict, or its answer if it is answered at once."""
    session = owner.open_block(block(*requests, **members), now)
    return [admit(owner, session, each, run, now) for each in requests]


def admit(owner: Owner, session: SessionMemory, request: RelayedRequest, run: str, now: int) -> Verdict | Reply:
    known = Known(None, None, None)
    verdict = owner.admit(session, request, known, run, now)
    if verdict is Verdict.ANSWERED:
        former = session.known[request.id].reply
        assert former is not None
        return former
    if verdict in (Verdict.LATE, Verdict.UNKNOWN):
        return owner.answer(session, refusal(request.id, verdict))
    return verdict


def result(id: int, body: bytes = b"9") -> Reply:
    return Reply(id, RESULT, msgspec.Raw(body))


def session_of(owner: Memory, name: str = "s1") -> SessionMemory:
    return owner.open_block(block(name=name), NOW)


def executed(reply: Reply) -> str:
    return "yes" if reply.kind != ERROR else msgspec.json.decode(reply.body)["data"]["executed"]


def code(reply: Any) -> int:
    assert isinstance(reply, Reply)
    assert reply.kind == ERROR
    return msgspec.json.decode(reply.body)["code"]


def row(*replies: Reply, name: str = "s1") -> bytes:
    """A row of the log."""
    return encode([SessionReplies(name, list(replies))])


def answers_of(owner: Memory, name: str = "s1") -> list[int]:
    """The ids of which the answers are remembered."""
    return [id for id, known in session_of(owner, name).known.items() if known.reply is not None]


def answer_all(owner: Owner, *ids: int) -> list[Reply]:
    take(owner, *map(request, ids))
    return [owner.answer(session_of(owner), result(id)) for id in ids]


def answer_together(owner: Owner, body: bytes, *names: str) -> Row:
    """One row with an answer to the next request of each of these sessions."""
    owner.rows.append(together := Row())
    for name in names:
        session = session_of(owner, name)
        id = session.acked + len(session.known) + 1
        take(owner, request(id), name=name)
        assert owner.answered(session, session.known[id], result(id, body), together)
    return together
