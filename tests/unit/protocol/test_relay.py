"""What frontends and owners say to each other: it goes out and comes back, and no message is too large."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol import relay
from wispy.protocol.relay import Entry, RelayedRequest, Reply, SessionReplies, SessionRequests

session_names = st.text("0123456789abcdef", min_size=1, max_size=24)
ids = st.integers(1, 10**16)
bodies = st.sampled_from([b"null", b"9", b'"\xc3\xa4"', b'{"a":[1,2,{"b":null}]}', b"[" + b"1," * 50 + b"1]"]).map(
    msgspec.Raw
)
requests = st.builds(RelayedRequest, ids, st.integers(0, 2**53), st.booleans(), st.text(max_size=20), bodies)
blocks = st.builds(
    SessionRequests, session_names, st.text(max_size=40), ids, st.lists(ids, max_size=4), st.lists(requests, max_size=4)
)
replies = st.builds(Reply, ids, st.integers(0, 3), bodies)


@given(st.builds(Entry, session_names, st.lists(blocks, max_size=4)))
def test_entry_goes_out_and_comes_back(entry: Entry) -> None:
    assert relay.decode_entry(relay.encode(entry)) == entry


def test_entry_is_an_array_with_raw_params() -> None:
    request = RelayedRequest(7, 1000, False, "sample.f", msgspec.Raw(b"[4, 5]"))
    entry = Entry("front", [SessionRequests("s1", "run", 6, [], [request])])
    assert relay.encode(entry) == b'["front",[["s1","run",6,[],[[7,1000,false,"sample.f",[4, 5]]],null]]]'


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'["f",[["s","r",0,[],[[1,2,3]]]]]', b'["f",[["s","r","0",[],[]]]]']
)
def test_what_is_no_entry_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        relay.decode_entry(data)


@given(st.dictionaries(session_names, st.lists(replies, min_size=1, max_size=4), max_size=4))
def test_replies_go_out_in_one_message(answers: dict[str, list[Reply]]) -> None:
    (message,) = relay.reply_messages(answers)
    assert {block.session: block.replies for block in relay.decode_replies(message)} == answers


def told(messages: list[bytes]) -> list[tuple[str, Reply]]:
    heard: list[SessionReplies] = [block for message in messages for block in relay.decode_replies(message)]
    return [(block.session, reply) for block in heard for reply in block.replies]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 500)), max_size=30), st.integers(600, 1500))
def test_no_message_is_over_the_limit(rows: list[tuple[str, int]], limit: int) -> None:
    answers: dict[str, list[Reply]] = {}
    for number, (session, size) in enumerate(rows, 1):
        body = msgspec.Raw(b'"' + b"x" * size + b'"')
        answers.setdefault(session, []).append(Reply(number, relay.RESULT, body))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relay, "MAX_REPLY_MESSAGE_BYTES", limit)
        messages = relay.reply_messages(answers)
    assert all(len(message) <= limit for message in messages)
    assert told(messages) == [(session, reply) for session, replies in answers.items() for reply in replies]


def test_messages_are_filled() -> None:
    body = msgspec.Raw(b'"' + b"x" * 100_000 + b'"')
    answers = {"s": [Reply(id, relay.RESULT, body) for id in range(1, 31)]}
    assert len(relay.reply_messages(answers)) == 3
