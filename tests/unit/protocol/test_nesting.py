import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol import nesting
from wispy.protocol.nesting import is_deeper, without_escapes, without_texts


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


texts = st.text(alphabet='[]{}"\\a', max_size=5)
values = st.recursive(
    st.integers() | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


@given(values, st.integers(min_value=1, max_value=6))
def test_the_depth_is_exact_for_whatever_is_json(value: Any, limit: int) -> None:
    data = json.dumps(value).encode()
    assert is_deeper(data, limit) == (depth(value) > limit)


@given(values, st.integers(min_value=1, max_value=20))
def test_texts_are_left_out_wherever_a_part_of_the_data_ends(value: Any, part: int) -> None:
    data = without_escapes(json.dumps(value).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nesting, "_PART", part)
        assert without_texts(data) == re.sub(b'"[^"]*"', b"", data)


def test_arrays_and_objects_count_alike() -> None:
    data = b'{"a":[' * 5 + b"]}" * 5
    assert is_deeper(data, 9)
    assert not is_deeper(data, 10)


def test_what_is_wide_is_not_deep() -> None:
    assert not is_deeper(b"[" + b'{"a":[1,"["]},' * 1000 + b"[]]", 3)


def test_what_is_no_json_gets_an_answer() -> None:
    for data in (b"]" * 500, b"[" * 500, b"[]" * 500, b"][" * 500, b'"' * 501, b'["' * 500):
        is_deeper(data, 4)


ESCAPES = {
    "a text that does not end": b"[" * 65 + b'"' + b'\\"' * 20_000,
    "an escape that does not end": b"[" * 65 + b'"' + b'\\"' * 20_000 + b"\\",
    "a text of nothing else": b"[" * 64 + b'"' + b"\\n" * 500_000 + b'"' + b"]" * 64,
    "many texts": b'["\\\\","[",' + b'"\\"[",' * 100_000 + b"[" * 63 + b"]" * 64,
}


@pytest.mark.parametrize("data", ESCAPES.values(), ids=ESCAPES)
def test_escapes_take_no_time(data: bytes) -> None:
    began = time.process_time()
    assert not is_deeper(data, 64)
    assert time.process_time() - began < 1
