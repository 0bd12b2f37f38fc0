"""Values of numpy and pandas as plain Python ones, wherever the program has imported these packages itself.

They are looked up in `sys.modules` and never imported: who has no array has no need of them.

    numpy   array                   nested lists, the first axis outermost
            scalar                  its Python scalar
            datetime64              ISO 8601 text, in its own resolution; NaT is null
            timedelta64             a timedelta; NaT is null
    pandas  DataFrame               {column: list of values}; the index is not sent: `reset_index()` makes it a column
            Series, Index           list of values
            Timestamp, Timedelta    ISO 8601 text; NaT and NA are null

Missing floats stay NaN. What would lose something is refused: complex numbers, structured arrays, a longdouble that
needs its extra digits, a timedelta64 finer than a microsecond or in months.
"""

import sys
from typing import Any, Final

NOT_AN_ARRAY: Final = object()
"""Returned for a value that is none of numpy's or pandas'."""

_PLAIN_KINDS: Final = "biufSUO"
"""numpy's letters for the element types whose `tolist()` is exact: bool, integers, floats, bytes, text, objects."""


class NoJsonFormError(Exception):
    """A value of numpy or pandas that has no exact plain form."""


def to_builtins(value: Any) -> Any:
    """`value` in Python's own types (its parts may need the same), or `NOT_AN_ARRAY`.

    Raises:
        NoJsonFormError: it would lose something.
    """
    pandas: Any = sys.modules.get("pandas")
    if pandas is not None and type(value).__module__.partition(".")[0] == "pandas":
        return _from_pandas(pandas, value)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return _from_array(numpy, value)
        if isinstance(value, numpy.generic):
            return _from_array(numpy, numpy.asarray(value))
    return NOT_AN_ARRAY


def _from_array(numpy: Any, array: Any) -> Any:
    kind = array.dtype.kind
    if kind == "M":
        # As text: `tolist()` gives bare integers where the resolution is finer than a microsecond.
        return numpy.where(numpy.isnat(array), None, numpy.datetime_as_string(array).astype(object)).tolist()
    if kind == "m":
        return _durations(numpy, array).tolist()
    if kind == "f" and array.dtype.itemsize > 8:
        return _as_float64(numpy, array).tolist()
    if kind not in _PLAIN_KINDS:
        raise NoJsonFormError(f"numpy's {array.dtype} has no form in JSON")
    return array.tolist()


def _durations(numpy: Any, array: Any) -> Any:
    unit, _ = numpy.datetime_data(array.dtype)
    if unit in ("Y", "M", "generic"):
        raise NoJsonFormError(f"numpy's {array.dtype} is no fixed time: make it days or seconds first")
    rounded = array.astype("timedelta64[us]")
    missing = numpy.isnat(array)
    if not (missing | (rounded == array)).all():
        raise NoJsonFormError(f"numpy's {array.dtype} is finer than a microsecond here: make it a number first")
    return numpy.where(missing, None, rounded.astype(object))


def _as_float64(numpy: Any, array: Any) -> Any:
    floats = array.astype(numpy.float64)
    if not numpy.array_equal(floats, array, equal_nan=True):
        raise NoJsonFormError(f"numpy's {array.dtype} has more digits than a float of 64 bits: make it one first")
    return floats


def _from_pandas(pandas: Any, value: Any) -> Any:
    if value is pandas.NaT or value is pandas.NA:
        return None
    if isinstance(value, pandas.DataFrame):
        if not value.columns.is_unique:
            raise NoJsonFormError("a DataFrame has two columns of one name")
        return {name: value.iloc[:, place] for place, name in enumerate(value.columns.tolist())}
    if isinstance(value, pandas.Series | pandas.Index):
        return value.tolist()
    if isinstance(value, pandas.Timestamp):
        return value.isoformat() if value.nanosecond else value.to_pydatetime()
    if isinstance(value, pandas.Timedelta):
        return value.isoformat() if value.nanoseconds else value.to_pytimedelta()
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # Categorical and the other extension arrays
        return value.tolist()
    return NOT_AN_ARRAY
