"""A client's session: single rules, and a state machine that breaks connections at every moment.

The machine plays network, frontends and owner. Copies are lost, or arrive late, when a connection breaks; the owner
runs what it has not seen and remembers what it answered. However these interleave, nothing runs twice.
"""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wispy.protocol import errors
from wispy.protocol.client_calls import Backoff, Call, CallState, Hello, Limits
from wispy.protocol.client_session import (
    MAX_OPEN,
    MAX_WAITING,
    OPEN_WINDOW,
    PATIENCE_S,
    REPEAT_S,
    ClientSession,
)
from wispy.protocol.errors import RPCError

RUN = "r" * 40
OTHER_RUN = "s" * 40


def hello(
    session: str = "s1", *, resumed: bool = False, in_flight: int = 5, run: str = RUN, ms: int = 1000, size: int = 10**6
) -> Hello:
    return Hello(session, "token", run, ms, Limits(in_flight, size), resumed, 60.0)


class Played:
    """A session and what its calls became."""

    def __init__(self) -> None:
        self.session = ClientSession(lambda: 0.0)
        self.settled: list[Call] = []
        self.session.start(0.0)

    def welcome(self, now: float = 0.0, **options: Any) -> bool:
        return self.session.welcome(hello(**options), now)

    def call(self, method: str = "sample.run", now: float = 0.0, **options: Any) -> Call:
        target = options.pop("target", "sample")
        call = Call(method, b"[]", target, now, self.settled.append, **options)
        self.session.submit(call)
        return call

    def sent(self, now: float = 0.0) -> list[dict[str, Any]]:
        return [json.loads(message) for message in self.session.flush(now)]

    def answer(self, call: Call, error: RPCError | None = None, now: float = 0.0) -> None:
        assert self.session.answered(call.id, b"1", error, now) is call

    def break_off(self, now: float) -> None:
        self.session.detach("it broke", now)


@pytest.fixture
def played() -> Played:
    return Played()


# --- sending ------------------------------------------------------------------------------------------------------


def test_calls_wait_for_the_hello_and_leave_in_order(played: Played) -> None:
    for name in "abc":
        played.call(f"sample.{name}")
    assert played.sent() == []
    played.welcome()
    assert [(each["id"], each["method"]) for each in played.sent()] == [
        (1, "sample.a"),
        (2, "sample.b"),
        (3, "sample.c"),
    ]


def test_one_place_in_flight_stays_free_for_a_cancel(played: Played) -> None:
    played.welcome(in_flight=5)
    calls = [played.call() for _ in range(6)]
    assert len(played.sent()) == 4
    played.answer(calls[0])
    assert [each["id"] for each in played.sent()] == [5]


def test_the_stamp_is_the_servers_clock(played: Played) -> None:
    played.welcome(ms=1000, now=10.0)
    played.call()
    (message,) = played.sent(10.5)
    assert message["wispy"] == {"ack": 0, "at": 1500}


def test_a_stamp_on_another_servers_clock_names_it(played: Played) -> None:
    played.welcome(ms=1000)
    played.session.set_clock(OTHER_RUN, 5000, 1.0)
    played.call()
    (message,) = played.sent(1.0)
    assert message["wispy"] == {"ack": 0, "at": 5000, "run": OTHER_RUN}


def test_the_oldest_unanswered_id_bounds_the_acknowledgement(played: Played) -> None:
    played.welcome()
    first, second, third = (played.call() for _ in range(3))
    played.sent()
    played.answer(second)
    played.answer(third)
    played.call()
    assert played.sent()[0]["wispy"]["ack"] == 0
    played.answer(first)
    played.call()
    assert played.sent()[0]["wispy"]["ack"] == 3


@pytest.mark.parametrize("stragglers", [1, MAX_OPEN, MAX_OPEN + 1])
def test_far_behind_the_stragglers_are_named(played: Played, stragglers: int) -> None:
    played.welcome(in_flight=1000)
    calls = [played.call() for _ in range(stragglers + OPEN_WINDOW + 1)]
    played.sent()
    for call in calls[stragglers:]:
        played.answer(call)
    played.call()
    members = played.sent()[0]["wispy"]
    assert members["open"] == list(range(1, min(stragglers, MAX_OPEN) + 1))
    assert members["ack"] == (MAX_OPEN if stragglers > MAX_OPEN else len(calls))


def test_what_the_server_would_not_take_is_refused_here(played: Played) -> None:
    played.welcome(size=2000)
    call = played.call("sample." + "x" * 2000)
    assert played.sent() == []
    assert call.error is not None
    assert (call.error.code, call.error.executed) == (errors.TOO_LARGE.code, "no")


def test_the_queue_is_bounded(played: Played) -> None:
    for _ in range(MAX_WAITING):
        played.call()
    with pytest.raises(RPCError) as caught:
        played.call()
    assert (caught.value.code, caught.value.executed) == (errors.OVERLOADED.code, "no")


# --- a broken connection ------------------------------------------------------------------------------------------


def test_a_resumed_session_sends_again_what_is_unanswered_with_its_first_stamp(played: Played) -> None:
    played.welcome(ms=1000)
    calls = [played.call() for _ in range(3)]
    played.sent()
    played.answer(calls[1])
    played.break_off(1.0)
    played.call("sample.later", now=1.5)
    assert not played.welcome(2.0, resumed=True, run=OTHER_RUN, ms=9000)
    first, third, later = played.sent(2.0)
    assert (first["id"], first["wispy"]) == (1, {"ack": 0, "at": 1000, "run": RUN, "retry": True})
    assert (third["id"], third["wispy"]["retry"]) == (3, True)
    assert (later["id"], later["wispy"]) == (4, {"ack": 0, "at": 9000})


def test_without_resuming_what_was_sent_is_maybe_and_what_was_not_goes_out(played: Played) -> None:
    played.welcome(in_flight=2)
    sent, waiting = played.call(), played.call()
    assert [each["id"] for each in played.sent()] == [1]
    played.break_off(1.0)
    assert played.welcome(2.0, session="s2")
    assert sent.error is not None
    assert (sent.error.code, sent.error.executed) == (errors.OUTCOME_UNKNOWN.code, "maybe")
    assert [each["id"] for each in played.sent(2.0)] == [2]
    assert waiting.state is CallState.IN_FLIGHT


def test_another_session_than_ours_is_none(played: Played) -> None:
    played.welcome()
    call = played.call()
    played.sent()
    played.break_off(1.0)
    assert played.welcome(2.0, session="of somebody else", resumed=True)
    assert call.state is CallState.SETTLED


def test_hello_names_the_session_until_its_window_is_over(played: Played) -> None:
    assert json.loads(played.session.hello_params()) == {"client": "python"}
    played.welcome()
    call = played.call()
    played.sent()
    played.break_off(10.0)
    assert json.loads(played.session.hello_params()) == {"client": "python", "session": "s1", "token": "token"}
    played.break_off(11.0)
    assert played.session.wakeup_at() == 70.0
    assert not played.session.tick(69.9)
    assert played.session.tick(70.0)
    assert call.error is not None
    assert call.error.executed == "maybe"
    assert json.loads(played.session.hello_params()) == {"client": "python"}
    assert played.session.wakeup_at() is None


def test_a_session_that_hello_has_asked_for_is_not_given_up_before_the_answer(played: Played) -> None:
    played.welcome()
    call = played.call()
    played.sent()
    played.break_off(10.0)
    played.session.hello_params()
    assert played.session.wakeup_at() is None
    assert not played.session.tick(70.0)
    assert not played.welcome(71.0, resumed=True)
    assert [message["id"] for message in played.sent(71.0)] == [call.id]


def test_a_session_that_hello_asks_for_in_vain_is_given_up_when_its_window_has_passed(played: Played) -> None:
    played.welcome()
    played.break_off(10.0)
    played.session.hello_params()
    played.break_off(71.0)
    assert played.session.wakeup_at() == 70.0
    assert played.session.tick(71.0)


def test_a_waiting_call_is_not_meant_for_ever(played: Played) -> None:
    call = played.call(now=1.0)
    assert played.session.wakeup_at() == 1.0 + PATIENCE_S
    played.session.tick(1.0 + PATIENCE_S)
    assert call.error is not None
    assert (call.error.code, call.error.executed) == (errors.UNAVAILABLE.code, "no")


def test_a_local_request_ends_with_its_connection(played: Played) -> None:
    played.welcome()
    call = Call("rpc.subscribe", b"{}", "", 0.0, played.settled.append)
    played.session.local(call, 0.0)
    played.break_off(1.0)
    assert played.settled == [call]
    played.welcome(2.0, resumed=True)
    assert played.sent(2.0) == []


# --- giving up ----------------------------------------------------------------------------------------------------


def test_a_call_given_up_keeps_its_place_until_it_is_answered(played: Played) -> None:
    played.welcome()
    call = played.call()
    played.sent()
    cancel = played.session.give_up(call)
    assert json.loads(cancel or b"") == {"jsonrpc": "2.0", "method": "rpc.cancel", "params": {"id": 1}}
    assert call.error is not None
    assert (call.error.code, call.error.executed) == (errors.TIMED_OUT.code, "maybe")
    played.call()
    assert played.sent()[0]["wispy"]["ack"] == 0
    played.answer(call)
    played.call()
    assert played.sent()[0]["wispy"]["ack"] == 1
    assert played.settled == [call]


@pytest.mark.parametrize("is_before", [True, False])
def test_a_call_given_up_is_not_sent_again(played: Played, is_before: bool) -> None:
    played.welcome()
    call = played.call()
    played.sent()
    if is_before:
        played.session.give_up(call)
    played.break_off(1.0)
    if not is_before:
        assert played.session.give_up(call) is None
    played.welcome(2.0, resumed=True)
    played.call()
    (message,) = played.sent(2.0)
    assert (message["id"], message["wispy"]["ack"]) == (2, 1)


def test_a_call_that_never_left_did_not_run(played: Played) -> None:
    call = played.call()
    assert played.session.give_up(call) is None
    assert call.error is not None
    assert (call.error.code, call.error.executed) == (errors.NOT_STARTED.code, "no")
    played.welcome()
    assert played.sent() == []


def test_the_end_settles_everything(played: Played) -> None:
    played.welcome(in_flight=2)
    sent, waiting = played.call(), played.call()
    played.sent()
    played.session.close("the end")
    assert sent.error is not None
    assert waiting.error is not None
    assert (sent.error.executed, waiting.error.executed) == ("maybe", "no")
    with pytest.raises(RPCError):
        played.call()


# --- repeating ----------------------------------------------------------------------------------------------------


def test_what_did_not_run_and_may_be_tried_again_is_under_a_new_id(played: Played) -> None:
    played.welcome()
    call = played.call()
    played.sent()
    played.answer(call, errors.OVERLOADED(), now=1.0)
    assert call.state is CallState.PAUSING
    due = played.session.wakeup_at()
    assert due is not None
    assert due > 1.0
    played.session.tick(due)
    (message,) = played.sent(due)
    assert (message["id"], message["wispy"]) == (2, {"ack": 1, "at": 1000 + int(due * 1000)})
    played.answer(call)
    assert (call.result, call.error) == (b"1", None)


@pytest.mark.parametrize(("deadline", "is_repeated"), [(9.0, True), (8.0, False)])
def test_who_asks_too_often_waits_as_long_as_he_is_told(played: Played, deadline: float, is_repeated: bool) -> None:
    played.welcome()
    call = played.call(deadline=deadline)
    played.sent()
    played.answer(call, errors.rate_limited("too often", 7.5), now=1.0)
    assert (call.state is CallState.PAUSING) == is_repeated
    assert not played.sent(8.4)
    played.session.tick(8.6)
    assert bool(played.sent(8.6)) == is_repeated


@pytest.mark.parametrize(
    ("method", "error", "is_idempotent", "is_repeated"),
    [
        ("sample.run", errors.OVERLOADED(), False, True),
        ("rpc.get", errors.NO_OWNER(), False, True),
        ("rpc.set", errors.OVERLOADED(), False, False),
        ("rpc.delete", errors.OVERLOADED(), True, False),
        ("sample.run", errors.NOT_FOUND(), False, False),
        ("sample.run", errors.OUTCOME_UNKNOWN(), False, False),
        ("sample.run", errors.OUTCOME_UNKNOWN(), True, True),
        ("sample.run", errors.CANCELLED(), True, False),
        ("sample.run", errors.TIMED_OUT(), True, False),
    ],
)
def test_which_failures_are_repeated(
    played: Played, method: str, error: RPCError, is_idempotent: bool, is_repeated: bool
) -> None:
    played.welcome()
    call = played.call(method, is_idempotent=is_idempotent)
    played.sent()
    played.answer(call, error)
    assert (call.state is CallState.PAUSING) == is_repeated
    assert (call in played.settled) != is_repeated


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize(
    ("method", "target", "is_repeated"),
    [("sample.run", "sample", False), ("sample.run", "other", True), ("rpc.get", "sample", True)],
)
def test_nothing_overtakes_by_being_repeated(
    played: Played, is_before: bool, method: str, target: str, is_repeated: bool
) -> None:
    played.welcome()
    call = played.call(method)
    played.sent()
    if is_before:
        played.call(target=target)
        played.sent()
    played.answer(call, errors.OVERLOADED())
    if not is_before:
        played.call(target=target)
        played.sent()
    played.session.tick(1.0)
    assert bool(played.sent(1.0)) == is_repeated
    assert (call.error is None or call.state is CallState.IN_FLIGHT) == is_repeated


def test_nothing_is_repeated_beyond_its_deadline(played: Played) -> None:
    played.welcome()
    call = played.call(deadline=1.0)
    played.sent()
    played.answer(call, errors.OVERLOADED(), now=0.999)
    assert call.error is not None
    assert call.error.code == errors.OVERLOADED.code


def test_an_idempotent_call_goes_out_again_in_the_next_session(played: Played) -> None:
    played.welcome()
    call = played.call(is_idempotent=True)
    played.sent()
    played.break_off(1.0)
    played.welcome(2.0, session="s2")
    (message,) = played.sent(2.0)
    assert (message["id"], "retry" in message["wispy"]) == (2, False)
    assert call.state is CallState.IN_FLIGHT


def test_an_idempotent_call_that_may_have_run_is_never_said_not_to_have(played: Played) -> None:
    played.welcome()
    call = played.call(is_idempotent=True)
    played.sent()
    played.answer(call, errors.OUTCOME_UNKNOWN(), now=1.0)
    played.session.tick(2.0)
    played.sent(2.0)
    played.answer(call, errors.NOT_STARTED(), now=REPEAT_S * 2)  # the second copy did not run; too late for a third
    (settled,) = played.settled
    assert settled.error is not None
    assert settled.error.executed == "maybe"


def test_a_call_without_a_time_out_is_not_repeated_for_ever(played: Played) -> None:
    """Who reads from an object that nobody serves is told so while he still waits for it."""
    played.welcome()
    call = played.call("rpc.get")
    for now in (0.0, REPEAT_S / 2):
        played.session.tick(now)
        assert len(played.sent(now)) == 1
        played.answer(call, errors.NO_OWNER(), now=now + 0.1)
    assert call.state is CallState.PAUSING
    played.session.tick(REPEAT_S - 0.1)
    played.sent(REPEAT_S - 0.1)
    played.answer(call, errors.NO_OWNER(), now=REPEAT_S)
    (settled,) = played.settled
    assert settled.error is not None
    assert settled.error.code == errors.NO_OWNER.code


def test_a_repeated_call_leaves_before_those_that_wait(played: Played) -> None:
    played.welcome(in_flight=2)
    first = played.call("rpc.get")
    played.sent()
    waiting = played.call("sample.later")
    played.answer(first, errors.OVERLOADED(), now=1.0)
    played.session.hold()
    played.session.tick(5.0)
    played.welcome(in_flight=2)
    assert [message["method"] for message in played.sent(5.0)][:1] == ["rpc.get"]
    assert waiting.state is not CallState.SETTLED


def test_pauses_grow_within_their_cap() -> None:
    backoff = Backoff(lambda: 1.0, base_s=1.0, cap_s=5.0, minimum_s=0.1)
    assert [backoff.next_s() for _ in range(5)] == [1.1, 2.1, 4.1, 5.1, 5.1]
    backoff.reset()
    assert backoff.next_s() == 1.1


# --- the machine --------------------------------------------------------------------------------------------------

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
