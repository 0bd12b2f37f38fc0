"""Requests in flight: who gets the answer, and what their session acknowledges."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.frontend import flights as module
from wispy.frontend.flights import MAX_OPEN, NOBODY, OPEN_WINDOW, Flight, SessionFlights
from wispy.protocol import errors, relay


class Sink:
    def __init__(self) -> None:
        self.texts: list[bytes] = []

    def answered(self, text: bytes) -> None:
        self.texts.append(text)

    def abandoned(self) -> None: ...


def make(session: SessionFlights, sink: module.AnswerSink, wire_id: bytes | None = b'"x"') -> Flight:
    session.last_id += 1
    flight = Flight(session, session.last_id, wire_id, "sample.f", msgspec.Raw(b"[]"), 0, False, sink)
    session.in_flight[flight.id] = flight
    return flight


def test_answer_bears_the_id_that_the_client_wrote() -> None:
    sink = Sink()
    make(SessionFlights("s", "run"), sink).answer(relay.RESULT, msgspec.Raw(b"[1]"))
    assert sink.texts == [b'{"jsonrpc":"2.0","id":"x","result":[1]}']


def test_error_is_an_error() -> None:
    sink = Sink()
    flight = make(SessionFlights("s", "run"), sink)
    flight.fail(errors.NO_OWNER())
    flight.answer(relay.ERROR, errors.NO_OWNER().to_json())
    assert msgspec.json.decode(sink.texts[0])["error"]["code"] == errors.NO_OWNER.code
    assert sink.texts[0] == sink.texts[1]


def test_notification_ends_with_nothing() -> None:
    sink = Sink()
    flight = make(SessionFlights("s", "run"), sink, wire_id=None)
    flight.answer(relay.RESULT, b"1")
    flight.fail(errors.NO_OWNER())
    assert sink.texts == [b"", b""]


def test_nobody_takes_answers_too() -> None:
    make(SessionFlights("s", "run"), NOBODY).answer(relay.RESULT, b"1")


def test_acknowledgement_of_a_client_only_rises() -> None:
    session = SessionFlights("s", "run")
    session.acknowledge(5, [3])
    session.acknowledge(4, [])
    assert (session.ack, session.open) == (5, [3])
    session.acknowledge(5, [])
    assert (session.ack, session.open) == (5, [])


def is_acknowledged(session: SessionFlights, id: int) -> bool:
    return id <= session.ack and id not in session.open


def land_all_but(number: int, *left: int) -> SessionFlights:
    session = SessionFlights("s", "run")
    for _ in range(number):
        make(session, NOBODY)
    session.in_flight = {id: flight for id, flight in session.in_flight.items() if id in left}
    session.acknowledge_all_but_in_flight()
    return session


def test_frontend_acknowledges_up_to_the_oldest_in_flight() -> None:
    session = land_all_but(10, 4, 9)
    assert (session.ack, session.open) == (3, [])


def test_frontend_acknowledges_all_where_nothing_is_in_flight() -> None:
    session = land_all_but(10)
    assert (session.ack, session.open) == (10, [])


def test_frontend_acknowledges_around_a_straggler() -> None:
    session = land_all_but(OPEN_WINDOW + 2, 1)
    assert (session.ack, session.open) == (OPEN_WINDOW + 2, [1])


def test_window_is_exact() -> None:
    assert land_all_but(OPEN_WINDOW, 1).ack == 0
    assert land_all_but(OPEN_WINDOW + 1, 1).ack == OPEN_WINDOW + 1


def test_number_of_stragglers_is_bounded() -> None:
    session = land_all_but(1000, *range(1, 900, 2))
    assert session.open == list(range(1, 2 * MAX_OPEN, 2))
    assert session.ack == 2 * MAX_OPEN


@given(st.integers(0, 600), st.sets(st.integers(1, 600), max_size=40))
def test_what_is_in_flight_is_never_acknowledged(number: int, left: set[int]) -> None:
    session = land_all_but(number, *left)
    assert not any(is_acknowledged(session, id) for id in session.in_flight)
    assert len(session.open) <= MAX_OPEN
    # All others are, but for those behind the oldest within the window, or behind the last straggler that is named.
    oldest = min(session.in_flight, default=number + 1)
    is_recent = number - oldest < OPEN_WINDOW
    limit = oldest if is_recent or len(session.in_flight) <= MAX_OPEN else sorted(session.in_flight)[MAX_OPEN]
    limit = number + 1 if not is_recent and len(session.in_flight) <= MAX_OPEN else limit
    assert all(is_acknowledged(session, id) for id in range(1, limit) if id not in session.in_flight)


class TestResumed:
    """A session that goes on over another connection, while its former one has not ended here."""

    def test_takes_what_is_in_flight_and_ends_the_former_connection(self) -> None:
        ended: list[bool] = []
        former = SessionFlights("s", "run", leave=lambda: ended.append(True))
        flight = make(former, Sink())
        session = SessionFlights("s", "run")
        session.take_over(former)
        assert (ended, former.in_flight, former.is_closed) == ([True], {}, True)
        assert session.in_flight == {flight.id: flight}
        assert (flight.session, flight.sink) == (session, NOBODY)
        assert session.last_id == flight.id, "new ids come after it"

    def test_answer_goes_to_the_copy(self) -> None:
        flight, copy = self._with_copy()
        flight.serve(copy)
        flight.answer(relay.RESULT, b"1")
        assert isinstance(copy.sink, Sink)
        assert copy.sink.texts == [b'{"jsonrpc":"2.0","id":"x","result":1}']

    def test_copy_of_what_somebody_waits_for_is_refused(self) -> None:
        flight, copy = self._with_copy()
        flight.sink = Sink()
        with pytest.raises(errors.RPCError, match="in flight") as refused:
            flight.serve(copy)
        assert refused.value.executed == "maybe"

    def test_other_request_under_the_same_id_is_refused(self) -> None:
        flight, copy = self._with_copy()
        copy.params = msgspec.Raw(b"[2]")
        with pytest.raises(errors.RPCError, match="another request"):
            flight.serve(copy)

    @staticmethod
    def _with_copy() -> tuple[Flight, Flight]:
        session = SessionFlights("s", "run")
        flight = make(session, NOBODY)
        return flight, Flight(session, flight.id, b'"x"', "sample.f", msgspec.Raw(b"[]"), 0, True, Sink())


def test_what_was_not_sent_did_not_run_but_of_a_retry_a_copy_may_have() -> None:
    for is_retry, executed in ((False, "no"), (True, "maybe")):
        sink = Sink()
        flight = make(SessionFlights("s", "run"), sink)
        flight.retry = is_retry
        flight.refuse(errors.OVERLOADED())
        assert msgspec.json.decode(sink.texts[0])["error"]["data"]["executed"] == executed
