"""What a worker of a shared object does with a request: it runs what is new for certain, and nothing else."""

import msgspec
import pytest

from wispy.protocol import relay
from wispy.protocol.answer_log import Row
from wispy.protocol.errors import OUTCOME_UNKNOWN
from wispy.protocol.memory import Known
from wispy.protocol.relay import RelayedRequest, Reply, SessionRequests
from wispy.protocol.shared_memory import SharedMemory
from wispy.protocol.verdicts import Verdict

RUN = "run-1"
NOW = 1_000_000
DONE = Reply(1, relay.RESULT, msgspec.Raw(b"7"))


def request(id: int = 1, *, at: int = NOW, retry: bool = False) -> RelayedRequest:
    return RelayedRequest(id, at, retry, "model.run", msgspec.Raw(b"[]"))


def block(*requests: RelayedRequest, session: str = "me") -> SessionRequests:
    return SessionRequests(session, RUN, 0, [], list(requests))


def known() -> Known:
    return Known(None, None, None)


def verdict(memory: SharedMemory, asked: RelayedRequest, *, run: str = RUN, token: Known | None = None) -> Verdict:
    session = memory.open_block(block(asked), NOW)
    return memory.admit(session, asked, token or known(), run, NOW)


@pytest.mark.parametrize(
    ("asked", "run", "expected"),
    [
        (request(), RUN, Verdict.RUN),
        (request(at=NOW - 5000), RUN, Verdict.RUN),
        (request(at=NOW - 5001), RUN, Verdict.LATE),
        (request(retry=True), RUN, Verdict.UNKNOWN),
        (request(at=NOW - 5001, retry=True), RUN, Verdict.UNKNOWN),
        (request(), "run-0", Verdict.UNKNOWN),
        (request(at=NOW - 5001), "run-0", Verdict.UNKNOWN),
    ],
)
def test_only_a_first_copy_of_this_run_runs_and_only_in_time(
    asked: RelayedRequest, run: str, expected: Verdict
) -> None:
    assert verdict(SharedMemory(RUN, 5000), asked, run=run) is expected


def test_another_copy_of_what_runs_is_doubtful_and_leaves_it_alone() -> None:
    memory = SharedMemory(RUN, 5000)
    first, copy = known(), known()
    assert verdict(memory, request(), token=first) is Verdict.RUN
    assert verdict(memory, request(), token=copy) is Verdict.UNKNOWN
    memory.answered(memory.session("me"), copy, DONE, Row())
    assert memory.known("me", 1) is first


def test_what_is_answered_goes_out_once_and_is_forgotten() -> None:
    memory = SharedMemory(RUN, 5000)
    tokens = {id: known() for id in (1, 2)}
    for id, token in tokens.items():
        assert verdict(memory, request(id), token=token) is Verdict.RUN
    row = Row()
    assert memory.answered(memory.session("me"), tokens[1], DONE, row)
    assert memory.known("me", 1) is None
    assert memory.known("me", 2) is tokens[2]
    ((field, message),) = memory.write(row)
    assert field == "", "nothing is logged"
    assert [(each.session, each.replies) for each in relay.decode_replies(message)] == [("me", [DONE])]
    assert memory.take_log_changes() == ([], [])
    memory.answered(memory.session("me"), tokens[2], Reply(2, relay.RESULT, msgspec.Raw(b"8")), row)
    with pytest.raises(KeyError):
        memory.session("me")


def test_what_a_lost_worker_had_is_doubtful() -> None:
    memory = SharedMemory(RUN, 5000)
    row = Row()
    assert memory.settle_delivered([block(request(1), request(2)), block(request(7), session="you")], NOW, row) == []
    ((_, message),) = memory.write(row)
    answers = {
        (each.session, reply.id): msgspec.json.decode(reply.body)["code"]
        for each in relay.decode_replies(message)
        for reply in each.replies
    }
    assert answers == dict.fromkeys([("me", 1), ("me", 2), ("you", 7)], OUTCOME_UNKNOWN.code)
