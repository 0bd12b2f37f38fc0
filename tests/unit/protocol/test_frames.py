"""Frames against the rules of RFC 6455, and against the parser of the `websockets` package."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError as ReferenceProtocolError
from websockets.frames import Close as ReferenceClose
from websockets.frames import Frame as ReferenceFrame
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from wispy.protocol import frames
from wispy.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    NO_STATUS,
    PING,
    PONG,
    TEXT,
    Event,
    FrameParser,
    ProtocolError,
)
from wispy.protocol.room import FREE, Room

LIMIT = 1000

THOROUGH = settings(max_examples=300)

Outcome = tuple[list[Event], int | None]
"""What came out of some bytes: messages and control frames, and the Close code of the violation that ended it."""


def client_frame(opcode: int, payload: bytes, *, final: bool = True, mask: bytes = b"\1\2\3\4", bits: int = 0) -> bytes:
    length = len(payload)
    first = (0x80 if final else 0) | bits << 4 | opcode
    if length < 126:
        header = bytes((first, 0x80 | length))
    elif length < 65536:
        header = bytes((first, 0x80 | 126)) + length.to_bytes(2, "big")
    else:
        header = bytes((first, 0x80 | 127)) + length.to_bytes(8, "big")
    return header + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))


def parse(data: bytes, cuts: list[int] | None = None, limit: int = LIMIT) -> Outcome:
    """Feed `data` in pieces, as a connection does, and take what can be taken after each, up to the first Close."""
    parser = FrameParser(limit, Room())
    events: list[Event] = []
    edges = [0, *sorted(cuts or []), len(data)]
    try:
        for start, end in itertools.pairwise(edges):
            if (text := parser.whole_text(data[start:end])) is not None:
                events.append((TEXT, text))
                continue
            parser.feed(data[start:end])
            while (event := parser.next()) is not None:
                if event[0] != CONTINUATION:
                    events.append(event)
                if event[0] == CLOSE:
                    return events, None
    except ProtocolError as error:
        return events, error.code
    return events, None


def parse_by_reference(data: bytes, limit: int = LIMIT) -> Outcome:
    """The same by `websockets`; it leaves assembling and UTF-8 of messages to its users, so these are done here."""
    protocol = ServerProtocol(state=State.OPEN, max_size=limit)
    protocol.receive_data(data)
    events: list[Event] = []
    message: tuple[int, bytes] | None = None
    for frame in protocol.events_received():
        assert isinstance(frame, ReferenceFrame)
        payload = bytes(frame.data)
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            opcode, before = message or (int(frame.opcode), b"")
            message = opcode, before + payload
            if not frame.fin:
                continue
            payload = message[1]
            message = None
            if opcode == TEXT and not is_utf8(payload):
                return events, 1007
            events.append((opcode, payload))
        else:
            events.append((int(frame.opcode), payload))
            if frame.opcode == Opcode.CLOSE:
                return events, None
    if protocol.parser_exc is not None and protocol.close_sent is not None:
        return events, protocol.close_sent.code
    return events, None


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# The rules


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_of_all_lengths(opcode: int, size: int) -> None:
    assert parse(client_frame(opcode, b"x" * size), limit=100_000) == ([(opcode, b"x" * size)], None)


def test_next_takes_one_frame_at_a_time() -> None:
    parser = FrameParser(LIMIT, Room())
    parser.feed(client_frame(TEXT, b"one") + client_frame(TEXT, b"t", final=False) + client_frame(CONTINUATION, b"wo"))
    assert parser.next() == (TEXT, b"one")
    assert parser.pending > 0
    assert parser.next() == (CONTINUATION, b"")
    assert parser.next() == (TEXT, b"two")
    assert parser.next() is None
    assert parser.pending == 0


def test_what_was_not_taken_goes_before_what_is_fed_later() -> None:
    parser = FrameParser(LIMIT, Room())
    parser.feed(client_frame(TEXT, b"one") + client_frame(TEXT, b"two"))
    assert parser.next() == (TEXT, b"one")
    parser.feed(client_frame(TEXT, b"three"))
    assert parser.next() == (TEXT, b"two")
    assert parser.next() == (TEXT, b"three")


@pytest.mark.parametrize("size", [2, 119, 125, 126, 65535])
def test_a_read_that_is_one_whole_text_is_taken_at_once(size: int) -> None:
    text = b"x" * size
    data = client_frame(TEXT, text)
    assert FrameParser(65535, Room()).whole_text(data) == text
    assert FrameParser(size - 1, Room()).whole_text(data) is None, "it is too large"
    for other in (data[:-1], data + b"\x81", client_frame(BINARY, text), client_frame(TEXT, "é".encode() * size)):
        assert FrameParser(200_000, Room()).whole_text(other) is None
    long = b"\x81\xff" + size.to_bytes(8, "big") + bytes(4) + text  # more header than it takes, and no mask to see
    assert FrameParser(200_000, Room()).whole_text(long[:133]) is None
    begun = FrameParser(65535, Room())
    begun.feed(data[:1])
    assert begun.whole_text(data) is None, "something is left from before"
    assert begun.next() is None
    assert begun.whole_text(data) is None
    fragmented = FrameParser(65535, Room())
    fragmented.feed(client_frame(TEXT, b"a", final=False))
    assert fragmented.next() == (CONTINUATION, b"")
    assert fragmented.whole_text(data) is None, "a message is not finished"


def test_an_idle_parser_holds_no_data() -> None:
    parser = FrameParser(LIMIT, Room())
    parser.feed(client_frame(TEXT, b"x" * 1000))
    assert parser.next() == (TEXT, b"x" * 1000)
    assert parser.next() is None
    assert parser._data == b""


def test_a_message_may_be_as_large_as_the_limit_in_any_number_of_frames() -> None:
    assert parse(client_frame(TEXT, b"x" * LIMIT)) == ([(TEXT, b"x" * LIMIT)], None)
    assert parse(client_frame(TEXT, b"x" * (LIMIT + 1))) == ([], 1009)
    start = client_frame(TEXT, b"x" * LIMIT, final=False)
    assert parse(start + client_frame(PING, b"y" * 125) + client_frame(CONTINUATION, b"")) == (
        [(PING, b"y" * 125), (TEXT, b"x" * LIMIT)],
        None,
    )
    assert parse(start + client_frame(CONTINUATION, b"y")) == ([], 1009)


def test_a_large_message_is_refused_before_it_comes() -> None:
    assert parse(client_frame(BINARY, b"x" * 100_000)[:14]) == ([], 1009)
    assert parse(b"\x82\xff" + b"\xff" * 8 + b"mask") == ([], 1009)


def test_the_limit_may_change() -> None:
    parser = FrameParser(10, Room())
    parser.limit(200)
    parser.feed(client_frame(TEXT, b"a" * 200))
    assert parser.next() == (TEXT, b"a" * 200)
    parser.limit(199)
    parser.feed(client_frame(TEXT, b"a" * 200))
    with pytest.raises(ProtocolError) as raised:
        parser.next()
    assert raised.value.code == 1009


def test_a_flood_of_fragments_is_refused() -> None:
    start = client_frame(TEXT, b"", final=False)
    allowed = 1024 + LIMIT // 64
    fragments = client_frame(CONTINUATION, b"", final=False) * (allowed - 2)
    last = client_frame(CONTINUATION, b"x")
    assert parse(start + fragments + last) == ([(TEXT, b"x")], None)
    assert parse(start + fragments + client_frame(CONTINUATION, b"", final=False) + last) == ([], 1009)


@pytest.mark.parametrize("cut", range(1, 20))
def test_wrong_text_is_refused_at_its_first_wrong_byte(cut: int) -> None:
    text = b"valid \xce\xba\xe1\xbd\xb9 \xf4\x90 never read"
    data = client_frame(TEXT, text)
    wrong_at = len(data) - len(text) + text.index(b"\x90")
    assert parse(data[:wrong_at], [cut]) == ([], None)
    assert parse(data[: wrong_at + 1], [cut]) == ([], 1007)


def test_a_character_may_be_divided_by_fragments() -> None:
    data = client_frame(TEXT, b"\xe2\x82", final=False) + client_frame(CONTINUATION, b"\xac")
    assert parse(data) == ([(TEXT, b"\xe2\x82\xac")], None)
    assert parse(client_frame(TEXT, b"\xe2\x82")) == ([], 1007)


def test_a_binary_message_may_hold_anything() -> None:
    assert parse(client_frame(BINARY, b"\xff\xfe")) == ([(BINARY, b"\xff\xfe")], None)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(client_frame(TEXT, b"", bits=4), id="RSV1"),
        pytest.param(client_frame(TEXT, b"", bits=1), id="RSV3"),
        pytest.param(client_frame(3, b""), id="reserved opcode"),
        pytest.param(client_frame(11, b""), id="reserved control opcode"),
        pytest.param(b"\x81\x05hello", id="no mask"),
        pytest.param(b"\x81\x00", id="no mask, no payload"),
        pytest.param(client_frame(PING, b"", final=False), id="fragmented ping"),
        pytest.param(client_frame(PING, b"x" * 126), id="long ping"),
        pytest.param(client_frame(CONTINUATION, b""), id="nothing to continue"),
        pytest.param(client_frame(TEXT, b"", final=False) + client_frame(TEXT, b""), id="not continued"),
        pytest.param(client_frame(CLOSE, b"x"), id="Close of one byte"),
        pytest.param(client_frame(CLOSE, (1005).to_bytes(2, "big")), id="Close with 1005"),
    ],
)
def test_violations(data: bytes) -> None:
    assert parse(data) == ([], 1002)


def test_violations_are_found_with_the_first_two_bytes() -> None:
    assert parse(client_frame(3, b"")[:2]) == ([], 1002)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999])
def test_codes_that_a_close_may_hold(code: int) -> None:
    payload = code.to_bytes(2, "big") + "grüß".encode()
    assert parse(client_frame(CLOSE, payload)) == ([(CLOSE, payload)], None)
    assert frames.read_close(payload) == (code, "grüß")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_codes_that_a_close_may_not_hold(code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        frames.read_close(code.to_bytes(2, "big"))
    assert caught.value.code == 1002


def test_a_close_without_code() -> None:
    assert frames.read_close(b"") == (NO_STATUS, "")
    assert frames.close_frame(NO_STATUS) == b"\x88\x00"


def test_a_close_with_wrong_text() -> None:
    with pytest.raises(ProtocolError) as caught:
        frames.read_close(b"\x03\xe8\xff")
    assert caught.value.code == 1007


# Frames that the server sends


@given(st.sampled_from([TEXT, BINARY, PING, PONG]), st.integers(0, 125) | st.sampled_from([126, 65535, 65536]))
def test_frames_are_as_the_reference_writes_them(opcode: int, size: int) -> None:
    if opcode >= CLOSE:
        size = min(size, 125)
    payload = b"x" * size
    expected = ReferenceFrame(Opcode(opcode), payload).serialize(mask=False)
    assert frames.frame(opcode, payload) == expected
    if opcode == TEXT:
        assert frames.text_frame(payload) == expected


@given(st.sampled_from([1000, 1001, 1008, 4001]), st.text(max_size=200))
def test_a_close_holds_as_much_of_its_reason_as_it_can(code: int, reason: str) -> None:
    frame = frames.close_frame(code, reason)
    assert frame[0] == 0x88
    assert frame[1] == len(frame) - 2 <= 125
    found_code, found_reason = frames.read_close(frame[2:])
    assert found_code == code
    whole = reason.encode(errors="replace").decode()
    assert whole.startswith(found_reason)
    if len(whole.encode()) <= frames.MAX_CLOSE_REASON:
        assert found_reason == whole


# Against the reference

payloads = st.binary(max_size=20) | st.text(max_size=20).map(str.encode) | st.integers(100, 400).map(lambda n: b"x" * n)
masks = st.sampled_from([b"\0\0\0\0", b"\1\2\3\4", b"\xff\x00\xaa\x55"])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message in one or several frames, with control frames between them."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    pieces = draw(st.lists(payloads, min_size=1, max_size=4))
    if opcode == TEXT:
        pieces = [piece if is_utf8(piece) else b"?" for piece in pieces]
    data = b""
    for index, piece in enumerate(pieces):
        if index:
            data += draw(st.just(b"") | controls)
        final = index == len(pieces) - 1
        data += client_frame(opcode if not index else CONTINUATION, piece, final=final, mask=draw(masks))
    return data


controls = st.builds(
    lambda opcode, payload, mask: client_frame(opcode, payload[:125], mask=mask),
    st.sampled_from([PING, PONG]),
    payloads,
    masks,
)
closes = st.builds(
    lambda code, reason: client_frame(CLOSE, code.to_bytes(2, "big") + reason),
    st.sampled_from([1000, 1001, 1005, 1014, 3000, 999, 5000]),
    st.sampled_from([b"", b"bye", b"\xff"]),
) | st.sampled_from([client_frame(CLOSE, b""), client_frame(CLOSE, b"x")])

any_frame = st.builds(
    lambda opcode, payload, final, mask, bits: client_frame(opcode, payload, final=final, mask=mask, bits=bits),
    st.integers(0, 15),
    payloads,
    st.booleans(),
    masks,
    st.sampled_from([0, 0, 0, 0, 0, 1, 2, 4]),
)

conversations = st.lists(messages() | controls | any_frame | closes, max_size=8).map(b"".join)
valid_conversations = st.lists(messages() | controls, max_size=8).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid conversation with some bytes changed, left out or put in."""
    data = bytearray(draw(valid_conversations))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(["set", "cut", "insert"]))
        if change == "insert":
            data[position:position] = draw(st.binary(min_size=1, max_size=4))
        elif change == "cut":
            del data[position : position + draw(st.integers(1, 4))]
        elif position < len(data):
            data[position] = draw(st.integers(0, 255))
    return bytes(data)


PADDING = bytes(LIMIT + 14)
"""Completes any frame of which a part is there, so that both parsers have to judge it."""


def agree(ours: Outcome, reference: Outcome) -> bool:
    """Whether both parsers saw the same.

    Ours looks at the first two bytes of a frame before its length, the reference at the length first; and ours refuses
    a text as soon as it is wrong, not only at its end. The reference takes a control frame whose short length is
    written the long way, which RFC 6455 (5.2, 5.5) does not allow; and no close between the fragments of a message,
    where it may stand like any control frame (5.4). It also counts a control frame there as a part of the message,
    when it looks whether that is too large.
    """
    seen = len(reference[0])
    if reference[1] == 1009 and seen < len(ours[0]) and ours[0][seen][0] >= CLOSE:
        return ours[0][:seen] == reference[0]
    if ours[1] is None and reference[1] == 1002 and ours[0] and ours[0][-1][0] == CLOSE:
        return ours[0][:-1] == reference[0]
    if ours[1] == 1007:
        return ours[0] == reference[0][: len(ours[0])] and reference[1] is not None
    if ours[1] == 1002 and len(ours[0]) < len(reference[0]):
        opcode, payload = reference[0][len(ours[0])]
        return ours[0] == reference[0][: len(ours[0])] and opcode >= CLOSE and len(payload) < 126
    return ours[0] == reference[0] and (ours[1] == reference[1] or (ours[1], reference[1]) == (1002, 1009))


def test_what_has_come_of_a_message_counts_in_the_room() -> None:
    room = Room(50_000)
    one, other = FrameParser(200_000, room), FrameParser(200_000, room)
    one.feed(client_frame(BINARY, b"x" * 100_000)[: FREE + 40_000 + 14])
    assert one.next() is None
    assert room.taken == 40_000, "what has come, not what was announced"
    other.feed(client_frame(TEXT, b"x" * FREE, final=False))
    assert other.next() == (CONTINUATION, b"")
    other.feed(client_frame(CONTINUATION, b"x" * 10_001))
    with pytest.raises(ProtocolError) as refused:
        other.next()
    assert (refused.value.code, room.refused) == (1013, 1)
    other.drop()
    one.feed(client_frame(BINARY, b"x" * 100_000)[FREE + 40_000 + 14 :])
    with pytest.raises(ProtocolError):
        one.next()
    one.drop()
    one.drop()
    assert (room.taken, one.pending) == (0, 0)


def test_a_message_that_is_whole_counts_no_more() -> None:
    room = Room(100_000)
    parser = FrameParser(200_000, room)
    data = client_frame(TEXT, b"x" * 90_000)
    for _ in range(3):
        parser.feed(data[:80_000])
        assert parser.next() is None
        assert room.taken > 0
        parser.feed(data[80_000:])
        assert parser.next() == (TEXT, b"x" * 90_000)
        assert room.taken == 0
    parser.feed(client_frame(TEXT, b"x" * 150_000))
    assert parser.next() == (TEXT, b"x" * 150_000), "one that comes in one piece is never kept"


@THOROUGH
@given(valid_conversations, st.lists(st.integers(0, 3000), max_size=10))
def test_valid_conversations_as_the_reference_reads_them(data: bytes, cuts: list[int]) -> None:
    outcome = parse(data, [min(cut, len(data)) for cut in cuts])
    assert agree(outcome, parse_by_reference(data))
    assert outcome[1] is None or outcome[1] == 1009


@THOROUGH
@given(conversations | mutated() | st.binary(max_size=60), st.lists(st.integers(0, 3000), max_size=10))
@example(client_frame(TEXT, b"x" * 600, final=False) + client_frame(CONTINUATION, b"x" * 600), [])
@example(client_frame(CLOSE, b"\x03\xe8\xff"), [])
@example(b"\x88\xfe", [])
@example(client_frame(TEXT, b"", final=False) + client_frame(CLOSE, b"\x03\xe8"), [])
def test_any_bytes_as_the_reference_reads_them(data: bytes, cuts: list[int]) -> None:
    assert parse(data, [min(cut, len(data)) for cut in cuts]) == parse(data), "how the bytes are cut must not matter"
    assert agree(parse(data + PADDING), parse_by_reference(data + PADDING))


@given(st.binary(max_size=200))
def test_a_close_as_the_reference_reads_it(payload: bytes) -> None:
    try:
        ours = frames.read_close(payload)
    except ProtocolError as error:
        with pytest.raises(UnicodeDecodeError if error.code == 1007 else ReferenceProtocolError):
            ReferenceClose.parse(payload)
    else:
        close = ReferenceClose.parse(payload)
        assert ours == (close.code, close.reason)
