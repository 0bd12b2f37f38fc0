"""Any interleaving of copies, acknowledgements, prunings and crashes."""

from collections import Counter, deque
from dataclasses import dataclass, field

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.protocol.memory.owner import DELAY, NOW, RUN, SINCE, WINDOW, Owner, admit, executed, request
from wispy.protocol import answer_log, errors, memory
from wispy.protocol.answer_log import Row
from wispy.protocol.client_session import MAX_OPEN
from wispy.protocol.memory import Memory, SessionMemory
from wispy.protocol.relay import ERROR, RESULT, RelayedRequest, Reply, SessionRequests
from wispy.protocol.verdicts import MAX_BARE_ERROR_BYTES, Verdict


@dataclass
class Client:
    """A session as its client sees it."""

    name: str
    last_id: int = 0
    sent: dict[int, RelayedRequest] = field(default_factory=dict[int, RelayedRequest])
    waits: set[int] = field(default_factory=set[int])

    def block(self, requests: list[RelayedRequest], names_stragglers: bool) -> SessionRequests:
        if names_stragglers:
            # As many as a block may name: what waits behind them is not spoken of.
            still_open = sorted(self.waits)[: MAX_OPEN + 1]
            ack = still_open.pop() - 1 if len(still_open) > MAX_OPEN else self.last_id
        else:
            ack, still_open = min(self.waits, default=self.last_id + 1) - 1, list[int]()
        return SessionRequests(self.name, RUN, ack, still_open, requests)


@dataclass
class Batch:
    fields: list[tuple[str, bytes]]
    forget: list[str]
    replies: list[tuple[str, Reply]]
    entries: list[int]


@dataclass
class StreamEntry:
    number: int
    block: SessionRequests
    left: int = 0


SMALL_SLACK = 2000
SMALL = {"MAX_UNACKNOWLEDGED": 6, "SESSION_QUOTA_BYTES": 4000, "OBJECT_QUOTA_BYTES": 7000, "MAX_SESSIONS": 1}
NAMES = ("a", "b")


class WatchedMemory(Owner):
    """Notes the sessions that did not acknowledge for too long."""

    def __init__(self, run_id: str, since_ms: int, crowded: set[str]) -> None:
        super().__init__(since_ms, run_id)
        self._crowded = crowded

    def _acknowledge_older_half(self, session: SessionMemory) -> None:
        self._crowded.add(session.name)
        super()._acknowledge_older_half(session)


class Ownership(RuleBasedStateMachine):
    """Clients, a stream, owners one after the other, and their log, which takes whole batches in order."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = {name: getattr(memory, name) for name in SMALL}
        for name, value in SMALL.items():
            setattr(memory, name, value)
        self.slack, answer_log.SLACK_BYTES = answer_log.SLACK_BYTES, SMALL_SLACK
        self.now = NOW
        self.clients = {name: Client(name) for name in NAMES}
        self.in_transit: list[SessionRequests] = []
        self.were_sent: list[SessionRequests] = []
        self.stream: deque[StreamEntry] = deque()
        self.delivered: dict[int, StreamEntry] = {}
        self.number = 0
        self.running: dict[tuple[str, int], StreamEntry] = {}
        self.batches: deque[Batch] = deque()
        self.log: dict[str, bytes] = {"since": b"%b:%d" % (RUN.encode(), SINCE)}
        self.runs: Counter[tuple[str, int]] = Counter()
        self.said: dict[tuple[str, int], str] = {}
        self.is_prompt = False
        self.crowded: set[str] = set()
        self.owner = WatchedMemory(RUN, SINCE, self.crowded)

    @initialize(is_prompt=st.booleans())
    def choose_pace(self, is_prompt: bool) -> None:
        """Prompt: each entry is read as it arrives, each batch is logged as it is made."""
        self.is_prompt = is_prompt

    def teardown(self) -> None:
        for name, value in self.limits.items():
            setattr(memory, name, value)
        answer_log.SLACK_BYTES = self.slack

    # --- clients

    @rule(
        name=st.sampled_from(NAMES),
        number=st.integers(1, 5),
        age=st.sampled_from([0, 0, 0, DELAY, DELAY + 1]),
        open_=st.booleans(),
        is_late=st.booleans(),
    )
    def send(self, name: str, number: int, age: int, open_: bool, is_late: bool) -> None:
        client = self.clients[name]
        requests: list[RelayedRequest] = []
        for _ in range(number):
            client.last_id += 1
            made = request(client.last_id, at=self.now - age, params=b"[%d]" % client.last_id)
            client.sent[made.id] = made
            client.waits.add(made.id)
            requests.append(made)
        self._transmit(client.block(requests, open_), is_late)

    @rule(name=st.sampled_from(NAMES), open_=st.booleans(), is_late=st.booleans())
    def send_again(self, name: str, open_: bool, is_late: bool) -> None:
        client = self.clients[name]
        retries = [
            RelayedRequest(id, client.sent[id].at, True, client.sent[id].method, client.sent[id].params)
            for id in sorted(client.waits)
        ]
        if retries:
            self._transmit(client.block(retries, open_), is_late)

    @rule(name=st.sampled_from(NAMES), data=st.data())
    def give_up(self, name: str, data: st.DataObject) -> None:
        waits = self.clients[name].waits
        if waits:
            waits.discard(data.draw(st.sampled_from(sorted(waits))))

    def _transmit(self, sent: SessionRequests, is_late: bool) -> None:
        self.were_sent.append(sent)
        if is_late:
            self.in_transit.append(sent)
        else:
            self._arrive(sent)

    @precondition(lambda self: self.were_sent)
    @rule(data=st.data())
    def duplicate(self, data: st.DataObject) -> None:
        self._arrive(data.draw(st.sampled_from(self.were_sent)))

    @precondition(lambda self: self.in_transit)
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        """In any order, whatever was sent first."""
        self._arrive(self.in_transit.pop(data.draw(st.integers(0, len(self.in_transit) - 1))))

    def _arrive(self, sent: SessionRequests) -> None:
        self.number += 1
        self.stream.append(StreamEntry(self.number, sent))
        if self.is_prompt:
            self.read()

    # --- the owner

    @precondition(lambda self: self.stream)
    @rule()
    def read(self) -> None:
        while self.stream:
            self._read()

    def _read(self) -> None:
        entry = self.stream.popleft()
        self.delivered[entry.number] = entry
        replies: list[tuple[str, Reply]] = []
        name = entry.block.session
        session = self.owner.open_block(entry.block, self.now)
        horizon = self.owner.since_ms
        for each in entry.block.requests:
            verdict = admit(self.owner, session, each, entry.block.run, self.now)
            if verdict is Verdict.RUN:
                assert each.at >= horizon
                self.runs[name, each.id] += 1
                assert self.runs[name, each.id] == 1, f"{name}:{each.id} runs twice"
                assert self.said.get((name, each.id)) in (None, "maybe"), "it was said not to run"
                self.running[name, each.id] = entry
                entry.left += 1
            elif isinstance(verdict, Reply):
                replies.append((name, verdict))
            else:
                assert verdict in (Verdict.DROPPED, Verdict.ATTACHED)
                assert verdict is not Verdict.ATTACHED or (name, each.id) in self.running
                # Who still waits is not ignored, unless he acknowledged nothing for too long.
                is_ignored = verdict is Verdict.DROPPED and each.id in self.clients[name].waits
                assert not is_ignored or name in self.crowded
        self._finish(replies, [] if entry.left else [entry.number])

    @precondition(lambda self: self.running)
    @rule(data=st.data(), size=st.sampled_from([1, 1000, 3000]), fails=st.booleans())
    def end_one(self, data: st.DataObject, size: int, fails: bool) -> None:
        self._end(*data.draw(st.sampled_from(sorted(self.running))), size, fails)

    @precondition(lambda self: self.running)
    @rule(keeps=st.integers(0, 2))
    def end_most(self, keeps: int) -> None:
        for name, id in sorted(self.running)[keeps:]:
            self._end(name, id, 1, False)

    def _end(self, name: str, id: int, size: int, fails: bool) -> None:
        entry = self.running.pop((name, id))
        session = self.owner._sessions[name]
        body = errors.TIMED_OUT("t" * size).to_json() if fails else b"1" * size
        reply = Reply(id, ERROR if fails else RESULT, msgspec.Raw(body))
        kept = self.owner.answer(session, reply)
        assert executed(kept) == executed(reply)
        entry.left -= 1
        self._finish([(name, reply)], [] if entry.left else [entry.number])

    @rule(later=st.sampled_from([1, 1, 10, 1000, DELAY, 2 * WINDOW]))
    def time_passes(self, later: int) -> None:
        self.now += later

    @rule()
    def prune(self) -> None:
        if self.owner.prune(self.now - WINDOW, self.now):
            self._finish([], [])

    def _finish(self, replies: list[tuple[str, Reply]], entries: list[int]) -> None:
        before = dict(self.owner.log)
        _, forget = self.owner.flush()
        fields = [(name, value) for name, value in self.owner.log.items() if before.get(name) != value]
        self.batches.append(Batch(fields, forget, replies, entries))
        if self.is_prompt:
            self._log_takes(keeps=0, are_heard=True)

    @precondition(lambda self: self.batches)
    @rule(keeps=st.sampled_from([0, 0, 1, 3]), are_heard=st.booleans())
    def log_takes(self, keeps: int, are_heard: bool) -> None:
        self._log_takes(keeps, are_heard)

    def _log_takes(self, keeps: int, are_heard: bool) -> None:
        """Not heard: the subscription of the frontend was broken."""
        while len(self.batches) > keeps:
            batch = self.batches.popleft()
            self.log.update(batch.fields)
            for name in batch.forget:
                self.log.pop(name, None)
            for entry in batch.entries:
                self.delivered.pop(entry, None)
            for name, reply in batch.replies:
                self._check(name, reply)
                if are_heard:
                    self.clients[name].waits.discard(reply.id)

    def _check(self, name: str, reply: Reply) -> None:
        key = (name, reply.id)
        said = executed(reply)
        former = self.said.setdefault(key, said)
        # What was forgotten is unknown; nothing else changes.
        assert said in (former, "maybe") or former == "maybe"
        assert said != "no" or not self.runs[key]
        assert said != "yes" or self.runs[key] == 1

    @rule()
    def crash(self) -> None:
        """The next owner has the log, and the entries of which something is not final."""
        self.batches.clear()
        self.running.clear()
        run_id, _, since = self.log["since"].decode().rpartition(":")
        self.owner = WatchedMemory(run_id, int(since), self.crowded)
        self.owner.restore(self.log)
        self.owner.log.update(self.log)
        self.owner.rows.append(unknown := Row())
        replies: list[tuple[str, Reply]] = []
        for entry in self.delivered.values():
            replies += self.owner.settle_delivered([entry.block], self.now, unknown)
        replies += [(name, reply) for name, answers in unknown.answers.items() for reply in answers]
        self._finish(replies, list(self.delivered))

    # --- always

    @invariant()
    def memory_is_bounded_and_counted(self) -> None:
        total = 0
        for session in self.owner._sessions.values():
            answers = {id: known.reply for id, known in session.known.items() if known.reply is not None}
            assert session.answers == len(answers) <= memory.MAX_UNACKNOWLEDGED
            size = sum(len(reply.body) + memory.ANSWER_BYTES for reply in answers.values())
            assert session.size == size
            bare = len(answers) * (memory.ANSWER_BYTES + MAX_BARE_ERROR_BYTES)
            assert size <= memory.SESSION_QUOTA_BYTES + bare
            total += size
            assert session.known.keys() - answers.keys() == {id for name, id in self.running if name == session.name}
            assert all(id > session.acked or id in session.open for id in answers)
        assert self.owner._bytes == total

    @invariant()
    def log_is_what_the_owner_remembers(self) -> None:
        """A next owner would know the same. What moves at one time is bounded, and so is what is not moved yet."""
        if self.batches:
            return
        following = Owner(self.owner.since_ms)
        following.restore(self.log)
        sessions = self.owner._sessions
        assert all(_answers(following, name) == _answers(self.owner, name) for name in sessions)
        assert {name[2:] for name in self.log if name[:2] == "s:"} <= sessions.keys()
        dead = sum(row.size for row in self.owner._log._rows) - self.owner._bytes
        assert dead <= self.owner._bytes + answer_log.SLACK_BYTES + MAX_ROW


def _answers(owner: Memory, name: str) -> dict[int, Reply]:
    session = owner._sessions.get(name)
    return {id: known.reply for id, known in session.known.items() if known.reply} if session else {}


MAX_ROW = 64 * (3000 + memory.ANSWER_BYTES)
"""The bytes of one row of the machine: what was acknowledged since the last batch."""

TestOwnership = Ownership.TestCase
TestOwnership.settings = settings(max_examples=120, stateful_step_count=50)
