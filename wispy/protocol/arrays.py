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

Back again, nested lists become a numpy array where an annotation asks for one (`from_lists`): numbers stay numbers,
texts texts and truth values truth values, and an integer must fit: among floats, too, one that no float is exactly is
refused.
"""

import sys
import typing
from typing import Any, Final

NOT_AN_ARRAY: Final = object()
"""Returned for a value that is none of numpy's or pandas'."""

LARGEST_EXACT: Final = 2**53
"""Up to here every integer is a float of 64 bits."""

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


_LEAVES: Final[dict[str, frozenset[type]]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float}),
    "U": frozenset({str}),
    "M": frozenset({str}),
}
"""numpy's letters for the element types that are read, and of which JSON values."""


def is_array_type(cls: Any) -> bool:
    """Whether a class is numpy's array."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and cls is numpy.ndarray


def from_lists(kind: Any, value: Any) -> Any:
    """Nested lists as an array.

    Args:
        kind: `numpy.ndarray`, or `NDArray[...]` with the type of its elements.
        value: what is to become one.

    Raises:
        ValueError: it is no array of that kind; numpy raises its own ones, too.
    """
    numpy: Any = sys.modules["numpy"]
    if not isinstance(value, list):
        raise ValueError("expected array, as nested lists")
    leaves = numpy.asarray(value, dtype=object)
    found: set[type] = set(map(type, leaves.ravel().tolist()))
    dtype = _element_type(numpy, kind)
    accepted = [_LEAVES.get(dtype.kind, frozenset())] if dtype is not None else [_LEAVES[each] for each in "bfU"]
    if not any(found <= types for types in accepted):
        names = ", ".join(sorted(each.__name__ for each in found))
        raise ValueError(f"expected an array{'' if dtype is None else f' of {dtype.name}'} of one shape, got {names}")
    try:
        array = numpy.asarray(value, dtype=dtype)
    except OverflowError as error:
        raise ValueError(f"an integer is too large for {dtype}") from error
    if array.dtype.kind == "O" or (array.dtype.kind in "iu" and not (array == leaves).all()):
        raise ValueError("an integer is too large for the array")
    if array.dtype.kind == "f" and int in found and not all(map(_is_exact, leaves.ravel().tolist())):
        raise ValueError("an integer has more digits than a float")
    return array


def _is_exact(leaf: float) -> bool:
    return isinstance(leaf, float) or abs(leaf) <= LARGEST_EXACT or int(float(leaf)) == leaf


def _element_type(numpy: Any, kind: Any) -> Any:
    """The dtype of `NDArray[...]`; None where it says none."""
    args = typing.get_args(kind)
    scalar = (typing.get_args(args[1]) or (None,))[0] if len(args) == 2 else None
    if not isinstance(scalar, type) or not issubclass(scalar, numpy.generic):
        return None
    if scalar in (numpy.floating, numpy.inexact):
        return numpy.dtype(numpy.float64)
    if scalar in (numpy.integer, numpy.signedinteger):
        return numpy.dtype(numpy.int64)
    return None if scalar in (numpy.generic, numpy.number) else numpy.dtype(scalar)
