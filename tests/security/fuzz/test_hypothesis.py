"""The targets again, with what hypothesis makes of the fuzzer's words and inputs: other ones in each run."""

import ast
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.fuzz import corpus
from tests.security.fuzz.targets import TARGETS

_LINES = Path(__file__).with_name("words.dict").read_text(encoding="ascii").splitlines()
# libFuzzer escapes as Python does.
WORDS: list[bytes] = [ast.literal_eval(f"b{line}") for line in _LINES if line.startswith('"')]


def inputs(target: str) -> st.SearchStrategy[bytes]:
    """Kept inputs, words and bytes, put together; the first byte of a path says what is asked of it."""
    kept = st.sampled_from(corpus.load(target))
    piece = st.one_of(st.sampled_from(WORDS), st.binary(max_size=6), kept, kept.flatmap(beginnings))
    return st.lists(piece, max_size=6).map(b"".join)


def beginnings(data: bytes) -> st.SearchStrategy[bytes]:
    return st.integers(0, len(data)).map(lambda end: data[:end])


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_input_breaks_a_rule(target: str, data: st.DataObject) -> None:
    TARGETS[target](data.draw(inputs(target)))
