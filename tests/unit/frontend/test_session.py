"""A websocket's session: how much it takes on, and what a slow reader gets."""

import json
from typing import Any

import pytest

from tests.unit.frontend.recorders import RecordingConnection, RecordingHub, RecordingRelay, make_feed, open_plain
from wispy.frontend.batch_sink import BatchSink
from wispy.frontend.dispatch import Dispatcher, LocalMethod
from wispy.frontend.feed import Declaration, Feed
from wispy.frontend.session import Session, SessionLimits
from wispy.frontend.websocket.seam import PreparedMessages
from wispy.protocol import errors
from wispy.protocol.positions import Missing


class Stage:
    """A session with all that is around it."""

    def __init__(self) -> None:
        self.relay = RecordingRelay()
        self.hub = RecordingHub()
        self.connection = RecordingConnection()
        self.log: list[str] = []
        self.methods: dict[str, LocalMethod] = {"rpc.now": lambda caller, params: b"1"}
        limits = SessionLimits(in_flight=3, batch=5, depth=8, digits=4300, unread_bytes=1000)
        self.session = Session(
            Dispatcher(self.relay, self.methods),
            self.hub,
            limits,
            open_plain,
            on_open=lambda session: self.log.append("open"),
            on_closed=lambda session: self.log.append("closed"),
        )
        self.session.connection_made(self.connection)

    def send(self, message: Any) -> None:
        self.session.message_received(json.dumps(message).encode(), is_text=True)

    def request(self, id: Any, method: str = "lamp.on") -> None:
        self.send(request(id, method))

    def follow(self, feed: Feed) -> None:
        self.session.subscribe(feed)

    def update(self, feed: Feed, *values: int) -> None:
        """An owner publishes: the feed moves on, then delivers."""
        assert feed.reader is not None
        texts: list[bytes] = []
        for value in values:
            feed.reader.head += 1
            if feed.kind == "value":
                feed.value = b"%d" % value
            texts.append(feed.update_text(feed.reader.epoch, feed.reader.head, b"%d" % value))
        self.session.deliver(feed, PreparedMessages(*texts))
        feed.delivered = (feed.reader.epoch, feed.reader.head)

    @property
    def news(self) -> list[tuple[str, Any]]:
        """Updates with value and gaps with their ends, as they were sent."""
        return [
            ("value", message["params"]["value"])
            if message["method"] == "rpc.update"
            else ("gap", (message["params"]["from"], message["params"]["to"]))
            for message in self.connection.messages
        ]


def request(id: Any, method: str = "lamp.on") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method}


@pytest.fixture
def stage() -> Stage:
    return Stage()


# --- in flight --------------------------------------------------------------------------------------------------------


def test_reading_pauses_at_the_bound_and_goes_on_with_the_next_answer(stage: Stage) -> None:
    for id in (1, 2):
        stage.request(id)
    assert not stage.connection.is_paused
    stage.request(3)
    assert stage.connection.is_paused
    stage.relay.answer(1)
    assert not stage.connection.is_paused
    stage.request(4)
    assert stage.connection.is_paused


def test_what_is_answered_at_once_takes_no_place(stage: Stage) -> None:
    for id in range(10):
        stage.request(id, "rpc.now")
    assert len(stage.connection.texts) == 10
    assert not stage.connection.is_paused


def test_notifications_take_a_place_until_they_end_and_get_no_answer(stage: Stage) -> None:
    for _ in range(3):
        stage.send({"jsonrpc": "2.0", "method": "lamp.on"})
    assert stage.connection.is_paused
    stage.relay.answer(0)
    assert not stage.connection.is_paused
    assert stage.connection.texts == []


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_is_answered_whole_and_frees_its_places_together(stage: Stage) -> None:
    stage.send([request(1), request(2), {"id": 3}, {"jsonrpc": "2.0", "method": "lamp.on"}, request(4, "rpc.now")])
    assert stage.connection.is_paused
    for number in (2, 1):
        stage.relay.answer(number)
    assert stage.connection.texts == []
    assert stage.connection.is_paused
    stage.relay.answer(0)
    (batch,) = stage.connection.messages
    assert sorted(answer["id"] for answer in batch) == [1, 2, 3, 4]
    assert next(answer for answer in batch if answer["id"] == 3)["error"]["code"] == errors.INVALID_REQUEST.code
    assert not stage.connection.is_paused


def test_a_batch_of_notifications_is_not_answered(stage: Stage) -> None:
    stage.send([{"jsonrpc": "2.0", "method": "lamp.on"}] * 3)
    for number in range(3):
        stage.relay.answer(number)
    assert stage.connection.texts == []
    assert not stage.connection.is_paused


def test_a_batch_with_more_answers_than_may_be_unread_ends_the_connection_before_they_are_all_here(
    stage: Stage,
) -> None:
    stage.send([request(1), request(2), request(3), request(4)])
    stage.relay.answer(0, "x" * 600)
    assert stage.connection.closed == []
    stage.relay.answer(1, "x" * 600)
    assert stage.connection.closed == [(1008, "slow reader: too many bytes of replies are unread")]
    sink = stage.relay.flights[2].sink
    assert isinstance(sink, BatchSink)
    stage.relay.answer(2, "x" * 600)
    assert sink._texts == [], "nothing is kept for nobody"
    stage.relay.answer(3)
    assert stage.connection.texts == []
    assert stage.hub.counts.slow_closed == len(stage.connection.closed) == 1


def test_what_cannot_be_read_is_answered_and_takes_no_place(stage: Stage) -> None:
    for _ in range(5):
        stage.session.message_received(b"{", is_text=True)
    assert [answer["error"]["code"] for answer in stage.connection.messages] == [errors.PARSE_ERROR.code] * 5
    assert not stage.connection.is_paused


def test_binary_messages_end_the_connection(stage: Stage) -> None:
    stage.session.message_received(b"{}", is_text=False)
    assert stage.connection.closed == [(1003, "wispy speaks JSON in text messages")]


# --- slow readers -----------------------------------------------------------------------------------------------------


def test_nothing_is_read_from_a_reader_with_a_full_buffer_until_it_is_writable(stage: Stage) -> None:
    stage.request(1)
    stage.connection.is_full = True
    stage.relay.answer(0)
    assert len(stage.connection.texts) == 1
    assert stage.connection.is_paused
    stage.connection.is_full = False
    stage.session.writable()
    assert not stage.connection.is_paused


def test_a_writable_reader_with_all_in_flight_stays_paused(stage: Stage) -> None:
    for id in (1, 2, 3):
        stage.request(id)
    stage.session.writable()
    assert stage.connection.is_paused


def test_too_many_unread_bytes_end_the_connection_once(stage: Stage) -> None:
    for id in (1, 2, 3):
        stage.request(id)
    stage.connection.is_full = True
    stage.connection.buffered = 1000
    stage.relay.answer(0)
    assert stage.connection.closed == []
    stage.connection.buffered = 1001
    stage.relay.answer(1)
    assert stage.connection.closed == [(1008, "slow reader: too many bytes of replies are unread")]
    stage.relay.answer(2)
    assert len(stage.connection.texts) == 2, "nothing is sent behind the close"
    assert len(stage.connection.closed) == 1
    assert stage.log == ["open"]
    stage.session.connection_lost(1008, "")
    assert stage.log == ["open", "closed"]


def test_a_slow_reader_of_values_skips_to_the_newest(stage: Stage) -> None:
    feed = make_feed("lamp.a", "value", 10)
    stage.follow(feed)
    stage.update(feed, 11)
    stage.connection.is_full = True
    stage.update(feed, 12)
    stage.update(feed, 13, 14)
    stage.connection.is_full = False
    stage.session.writable()
    stage.update(feed, 15)
    assert stage.news == [("value", 11), ("value", 14), ("value", 15)]
    assert stage.connection.messages[1]["params"]["at"] == "5-a:14"


def test_a_slow_reader_of_events_is_told_what_it_missed(stage: Stage) -> None:
    feed = make_feed("lamp.e", "event", 10)
    stage.follow(feed)
    stage.update(feed, 11)
    stage.connection.is_full = True
    stage.update(feed, 12, 13)
    stage.update(feed, 14)
    stage.connection.is_full = False
    # Not before it is told: what comes now would be in front of the gap.
    stage.update(feed, 15)
    stage.session.writable()
    stage.update(feed, 16)
    assert stage.news == [("value", 11), ("gap", ("5-a:12", "5-a:15")), ("value", 16)]


def test_a_slow_reader_is_told_of_gaps_and_losses_that_it_slept_through(stage: Stage) -> None:
    """What it missed begins where it stopped, whatever the updates were that it did not get."""
    feed = make_feed("lamp.e", "event", 10)
    assert feed.reader is not None
    stage.follow(feed)
    stage.connection.is_full = True
    stage.session.deliver(feed, PreparedMessages(feed.gap_text(Missing("5-a:11", "5-a:19")), b"{}"))
    feed.reader.head = 20
    feed.delivered = ("5-a", 20)
    feed.reader.follow("8-b", frozenset({8}))
    feed.reader.head = 15
    stage.update(feed, 16)
    stage.connection.is_full = False
    stage.session.writable()
    assert stage.news == [("gap", ("5-a:11", "8-b:16"))]


def test_a_slow_reader_hears_nothing_of_a_channel_that_it_left_meanwhile(stage: Stage) -> None:
    left, kept = make_feed("lamp.a", "value", 0), make_feed("lamp.b", "value", 0)
    for feed in (left, kept):
        stage.follow(feed)
    stage.connection.is_full = True
    for feed in (left, kept):
        stage.update(feed, 7)
    stage.session.unsubscribe("lamp.a")
    stage.connection.is_full = False
    stage.session.writable()
    assert [message["params"]["channel"] for message in stage.connection.messages] == ["lamp.b"]


def test_a_slow_reader_of_many_values_gets_as_many_at_a_time_as_there_is_room_for(stage: Stage) -> None:
    """All at once they could be more than a reader may leave unread, which would end its connection."""
    feeds = [make_feed(f"lamp.{name}", "value", 0) for name in "abc"]
    stage.connection.is_full = True
    for feed in feeds:
        stage.follow(feed)
        stage.update(feed, 7)
    stage.connection.is_full = False
    stage.connection.capacity = 2
    stage.session.writable()
    assert stage.news == [("value", 7), ("value", 7)]
    for feed in feeds:
        stage.update(feed, 8)
    stage.connection.is_full = False
    stage.connection.capacity = 10
    stage.session.writable()
    stage.update(feeds[2], 9)
    assert stage.news[2:] == [("value", 8), ("value", 8), ("value", 8), ("value", 9)]
    assert [message["params"]["channel"] for message in stage.connection.messages[:2]] == ["lamp.a", "lamp.b"]
    assert stage.connection.closed == []


# --- subscriptions ----------------------------------------------------------------------------------------------------


def test_a_channel_is_followed_once_and_let_go_with_the_connection(stage: Stage) -> None:
    feeds = [make_feed("lamp.a", "value", 0), make_feed("lamp.b", "value", 0)]
    for feed in (*feeds, feeds[0]):
        stage.follow(feed)
    assert stage.hub.added == ["lamp.a", "lamp.b"]
    stage.session.unsubscribe("lamp.a")
    stage.session.unsubscribe("lamp.a")
    assert stage.hub.removed == ["lamp.a"]
    stage.session.connection_lost(1001, "")
    assert stage.hub.removed == ["lamp.a", "lamp.b"]
    stage.update(feeds[1], 1)
    assert stage.connection.texts == []


def test_a_channel_that_takes_a_role_by_now_ends_with_its_followers(stage: Stage) -> None:
    feed = make_feed("lamp.a", "value", 0)
    stage.follow(feed)
    stage.session.redeclared(feed)
    assert stage.connection.closed == []
    feed.declaration = Declaration("value", ("operator",))
    stage.session.redeclared(feed)
    assert [code for code, _ in stage.connection.closed] == [4401]
    stage.update(feed, 1)
    assert stage.connection.texts == []


def test_what_follows_an_answer_comes_right_behind_it(stage: Stage) -> None:
    stage.request(1)
    stage.session.send_after_answer([b'"first"', b'"second"'])
    stage.relay.answer(0)
    assert [message if isinstance(message, str) else message["id"] for message in stage.connection.messages] == [
        1, "first", "second",
    ]  # fmt: skip
    stage.session.landed(0)
    assert len(stage.connection.texts) == 3


def test_in_a_batch_what_was_missed_does_not_wait_for_the_answer(stage: Stage) -> None:
    """Updates do not either, and they come after it."""
    feed = make_feed("lamp.e", "event", 1)

    def subscribe(caller: Any, params: Any) -> bytes:
        del caller, params
        stage.follow(feed)
        stage.session.send_after_answer([feed.update_text("5-a", 1, b"1")])
        return b"{}"

    stage.methods["rpc.subscribe"] = subscribe
    stage.send([request(1, "rpc.subscribe"), request(2)])
    stage.update(feed, 2)
    assert stage.news == [("value", 1), ("value", 2)]
    stage.relay.answer(0)
    assert sorted(answer["id"] for answer in stage.connection.messages[-1]) == [1, 2]
    assert len(stage.connection.texts) == 3


def test_answers_after_the_end_go_nowhere(stage: Stage) -> None:
    stage.request(1)
    stage.session.connection_lost(1006, "")
    stage.relay.answer(0)
    stage.session.send(b"1")
    assert stage.connection.texts == []
    assert stage.log == ["open", "closed"]
