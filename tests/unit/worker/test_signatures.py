import dataclasses
import datetime as dt
import enum
import functools
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.worker.signatures import Signature


def plain(self: Any, a: Any, b: Any = 2) -> Any: ...
def nothing(self: Any) -> Any: ...
def positional(self: Any, a: Any, /, b: Any) -> Any: ...
def named(self: Any, a: Any = 1, *, b: Any) -> Any: ...
def optional_named(self: Any, a: Any, *, b: Any = 1) -> Any: ...
def gathering(self: Any, *args: Any, **kwargs: Any) -> Any: ...
def both(self: Any, a: Any, *args: Any, b: Any = 1, **kwargs: Any) -> Any: ...
def only_gathered(*args: Any) -> Any: ...


@functools.wraps(plain)
def wrapped(*args: Any, **kwargs: Any) -> Any:
    return plain(*args, **kwargs)


FUNCTIONS = [plain, nothing, positional, named, optional_named, gathering, both, only_gathered, wrapped]


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from(["a", "b", "c", "kwargs"]), st.integers(), max_size=3),
)
def test_it_agrees_with_python(function: Callable[..., Any], args: list[int], kwargs: dict[str, int]) -> None:
    signature = Signature(function, is_bound=True)
    try:
        function(None, *args, **kwargs)
    except TypeError:
        with pytest.raises(RPCError) as caught:
            signature.bind(args, kwargs)
        assert caught.value.code == errors.INVALID_PARAMS.code
    else:
        assert signature.bind(args, kwargs) == (args, kwargs)


@pytest.mark.parametrize("name", ["self", "__class__", "__x", "a b", "", "1", "a.b", "a\0", "\ud800", "x" * 5000 + " "])
def test_names_that_no_argument_has(name: str) -> None:
    with pytest.raises(RPCError) as caught:
        Signature(gathering, is_bound=True).bind([], {name: 1})
    assert len(caught.value.message) < 300
    caught.value.to_json()


def test_the_plain_way_looks_at_nothing() -> None:
    signature = Signature(plain, is_bound=True)
    signature.signature = None  # type: ignore[assignment]
    for args in ([1], [1, 2]):
        assert signature.bind(args, {})[0] is args


def test_functions_that_do_not_tell_take_anything() -> None:
    signature = Signature(max, is_bound=False)
    assert signature.bind([1, 2, 3], {}) == ([1, 2, 3], {})


def test_a_static_function_keeps_its_first_parameter() -> None:
    assert str(Signature(plain, is_bound=False)).startswith("(self")
    assert str(Signature(plain, is_bound=True)).startswith("(a")


@dataclasses.dataclass
class Step:
    rate: float
    label: str = ""


class Colour(enum.Enum):
    RED = "red"


def annotated(
    self: Any,
    step: Step,
    colour: "Colour" = Colour.RED,
    count: int = None,  # type: ignore[assignment]  # noqa: RUF013
    *more: int,
    at: dt.date | None = None,
    missing: "NotThere" = 1,  # type: ignore[name-defined]  # noqa: F821
    own: "Signature | None" = None,
    **named: float,
) -> Any: ...
def adds(self: Any, a: int, b: int) -> Any: ...


def test_arguments_become_what_their_annotations_say() -> None:
    bind = Signature(annotated, is_bound=True).bind
    args, kwargs = bind(
        [{"rate": 2}, "red", 3, 4], {"at": "2026-11-27", "missing": "x", "own": "as it is", "gain": 1, "it": 2.5}
    )
    assert args == [Step(2.0), Colour.RED, 3, 4]
    assert kwargs == {"at": dt.date(2026, 11, 27), "missing": "x", "own": "as it is", "gain": 1.0, "it": 2.5}
    assert type(kwargs["gain"]) is float


@pytest.mark.parametrize("annotation", [(0, 10), [int], {"unit": "V"}, Annotated[int, {"unit": "V"}], 5, print])
@pytest.mark.parametrize("default", [None, 1])
def test_an_annotation_that_is_no_type_is_no_check(annotation: Any, default: Any) -> None:
    def level(self: Any, value: Any = default) -> None: ...

    level.__annotations__["value"] = annotation
    signature = Signature(level, is_bound=True)
    assert signature.bind([7], {}) == ([7], {})
    assert signature.describe()[0]["name"] == "value"


def test_a_default_of_none_lets_null_pass() -> None:
    assert Signature(annotated, is_bound=True).bind([{"rate": 2}, "red", None], {})[0] == [Step(2.0), Colour.RED, None]


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ([{"rate": "x"}], {}, "annotated(): args[0].rate: expected float, got str"),
        ([{"rate": 1}, "blue"], {}, "annotated(): args[1]: invalid enum value 'blue'"),
        ([{"rate": 1}, "red", "1"], {}, "annotated(): args[2]: expected int | null, got str"),
        ([{"rate": 1}, "red", 1, 2, True], {}, "annotated(): args[4]: expected int, got bool"),
        ([], {"step": {"rate": None}}, "annotated(): kwargs.step.rate: expected float, got null"),
        ([{"rate": 1}], {"at": 5}, "annotated(): kwargs.at: expected date | null, got int"),
        ([{"rate": 1}], {"gain": "5"}, "annotated(): kwargs.gain: expected float, got str"),
    ],
)
def test_an_argument_that_is_no_such_thing_is_refused(args: list[Any], kwargs: dict[str, Any], text: str) -> None:
    with pytest.raises(RPCError) as caught:
        Signature(annotated, is_bound=True).bind(args, kwargs)
    assert caught.value.code == errors.INVALID_PARAMS.code
    assert caught.value.executed == "no"
    assert caught.value.message == text


def test_what_fits_as_it_is_is_not_copied() -> None:
    args = [1, 2]
    assert Signature(adds, is_bound=True).bind(args, {})[0] is args
    with pytest.raises(RPCError, match=r"adds\(\): args\[1\]: expected int, got float"):
        Signature(adds, is_bound=True).bind([1, 2.5], {})


def test_a_refusal_is_short_whatever_the_caller_has_sent() -> None:
    with pytest.raises(RPCError) as caught:
        Signature(plain, is_bound=True).bind([1], {"x" * 1_000_000: 2})
    assert len(caught.value.message) < 600
