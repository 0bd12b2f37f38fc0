"""What the fuzzer has found worth keeping is tried again by each run of the tests, without the fuzzer."""

import pytest

from tests.security.fuzz import corpus
from tests.security.fuzz.targets import TARGETS

LEAST = 15
"""Inputs of a target: fewer, and its file was damaged."""


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs_break_no_rule(target: str) -> None:
    inputs = corpus.load(target)
    assert len(inputs) >= LEAST
    for data in inputs:
        try:
            TARGETS[target](data)
        except Exception as error:
            raise AssertionError(f"{target}({data!r})") from error


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs_are_written_as_they_are_read(target: str) -> None:
    text = (corpus.FOLDER / f"{target}.txt").read_text("ascii")
    assert corpus.text_of(corpus.load(target)) == text
