"""The seal on entries: no change of what is sealed is taken, nor the same for another object."""

from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol.envelope import MARK, Seal

SEAL = Seal("a secret", "wispy:{sample}:requests")


@given(st.binary())
def test_what_is_sealed_is_opened(entry: bytes) -> None:
    assert SEAL.opened(SEAL.seal(entry)) == entry


@given(st.binary(), st.integers(min_value=0), st.integers(1, 255))
def test_any_changed_byte_is_refused(entry: bytes, place: int, change: int) -> None:
    data = bytearray(SEAL.seal(entry))
    data[place % len(data)] ^= change
    assert SEAL.opened(bytes(data)) is None


@given(st.binary(), st.integers(min_value=0), st.binary(min_size=1))
def test_nothing_is_left_out_or_added(entry: bytes, place: int, more: bytes) -> None:
    data = SEAL.seal(entry)
    cut = place % len(data)
    assert SEAL.opened(data[:cut]) is None
    assert SEAL.opened(data + more) is None
    assert SEAL.opened(data[:cut] + more + data[cut:]) is None or data[:cut] + more + data[cut:] == data


@given(st.binary(), st.text(), st.text())
def test_a_seal_is_one_secrets_and_one_streams(entry: bytes, secret: str, stream: str) -> None:
    data = Seal(secret, stream).seal(entry)
    shorter = stream[1:] if len(stream) > 1 else "another"
    for other in (Seal(secret + "x", stream), Seal(secret, stream + "x"), Seal(secret, shorter)):
        assert other.opened(data) is None


def test_what_the_stream_is_called_and_what_the_entry_says_are_kept_apart() -> None:
    data = Seal("s", "ab").seal(b"c")
    assert Seal("s", "a").opened(data[: 1 + 32] + b"bc") is None


@given(st.binary())
def test_what_is_not_sealed_is_refused(data: bytes) -> None:
    assert SEAL.opened(data) is None
    assert SEAL.opened(MARK + data) is None
