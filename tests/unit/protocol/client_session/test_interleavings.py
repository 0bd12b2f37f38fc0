"""A state machine that breaks connections at every moment.

It plays network, frontends and owner. Copies are lost, or arrive late, when a connection breaks; the owner runs what it
has not seen and remembers what it answered. However these interleave, nothing runs twice.
"""

import json
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.protocol.client_session.played import hello
from wispy.protocol import errors
from wispy.protocol.client_calls import Call, CallState
from wispy.protocol.client_session import ClientSession

ANSWERS = {"ok": None, "no": errors.OVERLOADED, "refused": errors.NOT_FOUND, "maybe": errors.OUTCOME_UNKNOWN}


class Owner:
    """Remembers what it answered, by session and id; runs what is new."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], str] = {}
        self.contents: dict[tuple[str, int], tuple[Any, ...]] = {}
        self.acknowledged: dict[str, set[int]] = {}
        self.runs: list[tuple[str, int]] = []
        """Session and number of each run, in their order."""

    def take(self, session: str, message: dict[str, Any], outcome: str) -> str | None:
        """The answer to a copy; None where it is dropped."""
        key = (session, message["id"])
        members = message["wispy"]
        gone = self.acknowledged.setdefault(session, set())
        gone |= set(range(1, members["ack"] + 1)) - set(members.get("open", ()))
        if message["id"] in gone:
            return None
        content = (message["method"], message["params"], members["at"])
        assert self.contents.setdefault(key, content) == content, "an id is used for one request only"
        if key not in self.answers:
            self.answers[key] = outcome
            if outcome == "ok":
                self.runs.append((session, message["params"]["n"]))
        return self.answers[key]


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.session = ClientSession(lambda: 0.5)
        self.session.start(0.0)
        self.owner = Owner()
        self.calls: list[Call] = []
        self.settled: list[Call] = []
        self.up: list[dict[str, Any]] = []  # sent and not yet at the owner
        self.down: list[tuple[int, str]] = []  # answers on their way to the client
        self.late: list[tuple[str, dict[str, Any]]] = []  # copies that a lost connection left behind
        self.name: str | None = None
        self.sessions = 0
        self.is_connected = False
        self.is_fresh = False  # nothing new has been sent on this connection
        self.ids: dict[str, set[int]] = {}
        self.last_id = 0

    # --- the client

    @initialize()
    def begin(self) -> None:
        self.connect(True)

    @rule(
        method=st.sampled_from(["run", "rpc.get", "rpc.set"]),
        about=st.sampled_from(["x", "y"]),
        is_idempotent=st.booleans(),
    )
    def submit(self, method: str, about: str, is_idempotent: bool) -> None:
        params = json.dumps({"n": len(self.calls)}).encode()
        call = Call(
            method, params, about, self.now, self.settled.append, is_idempotent=is_idempotent and method == "run"
        )
        self.calls.append(call)
        self.session.submit(call)
        self.flush()

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        pending = [call for call in self.calls if call.state is not CallState.SETTLED]
        if pending:
            self.session.give_up(data.draw(st.sampled_from(pending)))

    @rule(seconds=st.sampled_from([0.5, 0.01, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.session.tick(self.now)
        self.flush()

    def flush(self) -> None:
        for text in self.session.flush(self.now):
            message = json.loads(text)
            self.check(message)
            self.up.append(message)

    def check(self, message: dict[str, Any]) -> None:
        members = message["wispy"]
        if members.get("retry"):
            assert self.is_fresh, "retries go before anything new"
            assert message["id"] <= self.last_id
        else:
            assert message["id"] > self.last_id, "ids rise"
            self.last_id = message["id"]
            self.is_fresh = False
            self.ids.setdefault(str(message["params"]["n"]), set()).add(message["id"])
        acknowledged = set(range(1, members["ack"] + 1)) - set(members.get("open", ()))
        unanswered = {call.id for call in self.calls if call.state is CallState.IN_FLIGHT}
        assert not acknowledged & unanswered, "what is unanswered is not acknowledged"

    # --- the network

    @precondition(lambda self: not self.is_connected)
    @rule(is_remembered=st.booleans())
    def connect(self, is_remembered: bool) -> None:
        said = json.loads(self.session.hello_params())
        resumed = is_remembered and self.name is not None and said.get("session") == self.name
        if not resumed:
            self.sessions += 1
            self.name = f"s{self.sessions}"
        assert self.name is not None
        self.is_connected = self.is_fresh = True
        self.session.welcome(hello(self.name, resumed=resumed, in_flight=4), self.now)
        self.flush()

    @precondition(lambda self: self.is_connected)
    @rule(kept=st.integers(0, 5))
    def break_off(self, kept: int) -> None:
        assert self.name is not None
        self.late += [(self.name, message) for message in self.up[:kept]]
        self.up, self.down = [], []
        self.is_connected = False
        self.session.detach("it broke", self.now)

    @precondition(lambda self: self.up)
    @rule(outcomes=st.lists(st.sampled_from(list(ANSWERS)), min_size=1, max_size=4))
    def arrive(self, outcomes: list[str]) -> None:
        assert self.name is not None
        for outcome in outcomes[: len(self.up)]:
            message = self.up.pop(0)
            answer = self.owner.take(self.name, message, outcome)
            if answer is not None:
                self.down.append((message["id"], answer))

    @precondition(lambda self: self.late)
    @rule(outcome=st.sampled_from(list(ANSWERS)))
    def arrive_late(self, outcome: str) -> None:
        self.owner.take(*self.late.pop(0), outcome)

    @precondition(lambda self: self.down)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        self.down = data.draw(st.permutations(self.down))
        for _ in range(data.draw(st.integers(1, len(self.down)))):
            id, outcome = self.down.pop(0)
            make = ANSWERS[outcome]
            assert self.session.answered(id, b"1", make and make(), self.now) is not None
            self.flush()

    # --- what holds

    @invariant()
    def nothing_ran_twice(self) -> None:
        for number, call in enumerate(self.calls):
            runs = [each for each in self.owner.runs if each[1] == number]
            assert len(runs) <= 1 or call.is_idempotent
            if call.state is CallState.SETTLED:
                assert call.error is not None or runs
                assert call.error is None or call.error.executed != "no" or not runs

    @invariant()
    def each_call_ends_once(self) -> None:
        assert len(set(self.settled)) == len(self.settled)

    @invariant()
    def a_set_is_never_repeated(self) -> None:
        for number, call in enumerate(self.calls):
            assert call.method != "rpc.set" or len(self.ids.get(str(number), ())) <= 1

    @invariant()
    def order_is_kept(self) -> None:
        for session in {each for each, _ in self.owner.runs}:
            for target in "xy":
                numbers = [
                    number
                    for each, number in self.owner.runs
                    if each == session
                    and self.calls[number].target == target
                    and self.calls[number].method != "rpc.get"
                ]
                assert numbers == sorted(numbers)

    def teardown(self) -> None:
        if not self.is_connected:
            self.connect(True)
        for _ in range(1000):
            while self.up:
                self.arrive(["ok"])
            while self.down:
                id, outcome = self.down.pop(0)
                make = ANSWERS[outcome]
                self.session.answered(id, b"1", make and make(), self.now)
            self.pass_time(0.5)
            if all(call.state is CallState.SETTLED for call in self.calls):
                break
        assert len(self.settled) == len(self.calls), "every call ends"
        self.nothing_ran_twice()
        self.order_is_kept()


Machine.TestCase.settings = settings(max_examples=200, stateful_step_count=50)
TestMachine = Machine.TestCase
