"""numpy's and pandas' values on the wire."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wispy.protocol.values import UnencodableError, encode


def test_the_codec_imports_neither_numpy_nor_pandas() -> None:
    code = (
        "import sys; from wispy.protocol.values import encode; encode({'a': 1j.real, 'b': float('nan')});"
        "assert not {'numpy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def numpy_values() -> list[tuple[Any, str]]:
    return [
        (np.float64(1.5), "1.5"),
        (np.float64("nan"), '{"$float":"NaN"}'),
        (np.float32(0.5), "0.5"),
        (np.int64(2**60), '{"$int":"1152921504606846976"}'),
        (np.uint8(7), "7"),
        (np.bool_(True), "true"),
        (np.str_("a"), '"a"'),
        (np.bytes_(b"ab"), '"YWI="'),
        (np.longdouble(1.5), "1.5"),
        ({np.int64(1): np.float32(2)}, '{"1":2.0}'),
        (np.arange(6).reshape(2, 3), "[[0,1,2],[3,4,5]]"),
        (np.array(3.5), "3.5"),
        (np.zeros((0, 3)), "[]"),
        (np.array([1.0, np.nan, -np.inf]), '[1.0,{"$float":"NaN"},{"$float":"-Infinity"}]'),
        (np.array(["a", "b"]), '["a","b"]'),
        (np.array([{"a": np.int8(1)}, None], dtype=object), '[{"a":1},null]'),
        (np.datetime64("2026-01-02"), '"2026-01-02"'),
        (np.datetime64("NaT"), "null"),
        (np.array(["2026-01-02T03:04:05.000000006", "NaT"], dtype="M8[ns]"), '["2026-01-02T03:04:05.000000006",null]'),
        (np.timedelta64(1500, "ms"), '"PT1.5S"'),
        (np.array([1, "NaT"], dtype="m8[s]"), '["PT1S",null]'),
    ]


@pytest.mark.parametrize(("value", "wire"), numpy_values(), ids=repr)
def test_numpy(value: Any, wire: str) -> None:
    assert encode(value).decode() == wire


def test_what_numpy_would_lose_is_refused() -> None:
    record = np.array([(1, 2.0)], dtype=[("a", int), ("b", float)])
    for value in (np.complex64(1), record, np.timedelta64(1, "ns"), np.timedelta64(1, "M"), np.void(b"a")):
        with pytest.raises(UnencodableError):
            encode({"value": value})
    if np.finfo(np.longdouble).nmant > 52:
        with pytest.raises(UnencodableError, match="more digits"):
            encode(np.longdouble("0.1"))


def pandas_values() -> list[tuple[Any, str]]:
    frame = pd.DataFrame({"t": pd.to_datetime(["2026-01-02", None]), "v": [1, 2], 3: [0.5, math.nan]})
    return [
        (frame, '{"t":["2026-01-02T00:00:00",null],"v":[1,2],"3":[0.5,{"$float":"NaN"}]}'),
        (pd.Series([1, 2], index=["a", "b"]), "[1,2]"),
        (pd.Series([1, None], dtype="Int64"), "[1,null]"),
        (pd.Index(["x"]), '["x"]'),
        (pd.Categorical(["b", "a"]), '["b","a"]'),
        (pd.Timestamp("2026-01-02T03:04:05.6"), '"2026-01-02T03:04:05.600000"'),
        (pd.Timestamp(1), '"1970-01-01T00:00:00.000000001"'),
        (pd.Timedelta(seconds=5), '"PT5S"'),
        (pd.Timedelta(1), '"P0DT0H0M0.000000001S"'),
        (pd.NaT, "null"),
        (pd.NA, "null"),
    ]


@pytest.mark.parametrize(("value", "wire"), pandas_values(), ids=lambda value: type(value).__name__)
def test_pandas(value: Any, wire: str) -> None:
    assert encode(value).decode() == wire


def test_a_frame_with_two_columns_of_one_name_is_refused() -> None:
    for columns in (["a", "a"], [1, "1"], [("a", 1), ("a", 2)]):
        with pytest.raises(UnencodableError):
            encode(pd.DataFrame([[1, 2]], columns=pd.Index(columns, dtype=object)))
