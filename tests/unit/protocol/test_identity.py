"""Who asks, on the way from a frontend to a worker."""

import msgspec
import pytest

from wispy.protocol.identity import NO_BEARER, Bearer, Identity, bearer_in
from wispy.protocol.relay import SessionRequests, decode_entry, encode

ALICE = Bearer("alice", ("a", "b"), 5000)


def test_a_bearer_is_read_as_it_was_written() -> None:
    block = SessionRequests("s", "run", 0, [], [], ALICE.text)
    arrived = decode_entry(encode(["front", [block]])).sessions[0].bearer
    bearer = bearer_in(bytes(arrived))
    assert bearer is not None
    assert bearer == ALICE
    assert bearer is bearer_in(bytes(ALICE.text))
    assert bearer.identity == Identity("alice", frozenset("ab"))


def test_a_bearer_is_good_until_it_expires() -> None:
    assert [ALICE.is_good(now_ms) for now_ms in (0, 4999, 5000)] == [True, True, False]
    assert Bearer("bob", (), 0).is_good(1 << 60)


@pytest.mark.parametrize(
    "text",
    [bytes(NO_BEARER), b"", b"[]", b'"alice"', b'["alice",["a"]]', b'["alice",["a"],"0"]', b"[null,[],0]", b"\xff"],
)
def test_what_is_no_bearer_is_nobody(text: bytes) -> None:
    assert bearer_in(text) is None


def test_nothing_is_said_where_nobody_has_to_say_who_he_is() -> None:
    block = SessionRequests("s", "run", 0, [], [])
    assert msgspec.json.decode(encode(block))[-1] is None
