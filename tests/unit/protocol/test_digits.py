import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol import errors
from wispy.protocol.digits import MAX_DIGITS, has_longer_number
from wispy.protocol.jsonrpc import InvalidMessageError, parse


def longest(value: Any) -> int:
    """Digits in a row of the numbers in a value."""
    if isinstance(value, dict):
        return max((longest(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return max(map(longest, value), default=0)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return max(map(len, re.findall(r"\d+", json.dumps(value))))
    return 0


texts = st.text(alphabet='0123456789"\\-.,:[]', max_size=30)
numbers = st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    numbers | texts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3)
)


@given(values, st.integers(1, 22))
def test_it_is_exact_for_whatever_is_json(value: Any, limit: int) -> None:
    assert has_longer_number(json.dumps(value).encode(), limit) == (longest(value) > limit)


@pytest.mark.parametrize("before", range(12))
def test_a_number_is_found_wherever_it_begins(before: int) -> None:
    text = b"[" + b" " * before
    assert has_longer_number(text + b"-12345678]", 7)
    assert not has_longer_number(text + b"-1234567]", 7)
    assert has_longer_number(text + b'{"$int": "12345678"}]', 7)
    assert not has_longer_number(text + b'{"int": "12345678"}]', 7)


def test_what_is_no_json_gets_an_answer() -> None:
    for data in (b"1" * 500, b'"' + b"1" * 500, b'"\\' + b"1" * 500, b"-" * 500):
        has_longer_number(data, 4)


def test_a_text_of_many_digits_is_no_number_and_takes_no_time() -> None:
    data = b'"' + b"1" * (4 << 20) + b'"'
    began = time.process_time()
    assert not has_longer_number(data, MAX_DIGITS)
    assert time.process_time() - began < 1


def test_neither_do_many_that_are_nearly_too_long() -> None:
    data = b'["' + b"1" * 4301 + b'",' + b",".join([b"1" * 4300] * 500) + b"]"
    began = time.process_time()
    assert not has_longer_number(data, MAX_DIGITS)
    assert time.process_time() - began < 1


def test_a_message_with_such_a_number_is_too_large() -> None:
    data = b'{"jsonrpc":"2.0","id":7,"method":"a.b","params":[%b]}'
    assert parse(data % (b"1" * 30), batch_limit=1, digits_limit=30)
    with pytest.raises(InvalidMessageError) as caught:
        parse(data % (b"1" * 31), batch_limit=1, digits_limit=30)
    assert (caught.value.code, caught.value.id, caught.value.limit) == (errors.TOO_LARGE.code, b"7", "digits")
