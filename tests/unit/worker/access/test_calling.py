"""Which methods pages call, and with which arguments."""

import os
from typing import Any

import pytest

from tests.unit.worker.access.machine import Machine, access, path, refusal
from wispy.protocol import errors

# --- methods ----------------------------------------------------------------------------------------------------------


def test_call() -> None:
    machine = access()
    for where, args, result in [
        ("test_sum", [4, 5], 9),
        ("test_sum", [4], 6),
        ("from_mixin", [], "mixin"),
        ("static", [3], 3),
        ("make", [3], "Machine 3"),
        ("cached", [7], 7),
        ("wheel.turn", [2], 2),
        ("wheels.0.turn", [], 1),
        ("data.wheel.turn", [], 1),
        ("callback", [1], 2),
        ("own_method", [3], 3),
    ]:
        method = machine.resolve_call(path(where))
        args, kwargs = method.bind(args, {})
        assert method.function(*args, **kwargs) == result, where


def test_an_attribute_of_the_instance_stands_before_the_method_of_its_class() -> None:
    target = Machine()
    machine = access(target)
    assert machine.resolve_call(("test_sum",)).function(1) == 3
    target.test_sum = lambda a: a * 100  # type: ignore[attr-defined]
    assert machine.resolve_call(("test_sum",)).function(1) == 100
    target.test_sum = os.system  # type: ignore[attr-defined]
    assert refusal(machine.resolve_call, ("test_sum",)).code == errors.NOT_FOUND.code


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("test_sum", [1], {}),
        ("test_sum", [1, 2], {}),
        ("test_sum", [], {"a": 1}),
        ("test_sum", [1], {"b": 2}),
        ("gather", [1, 2, 3], {"x": 1, "class": 2}),
        ("gather", [], {}),
        ("named_only", [], {"unit": "m"}),
        ("static", [1], {}),
        ("make", [1], {}),
    ],
)
def test_arguments_that_fit(name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    method = access().resolve_call((name,))
    assert method.bind(args, kwargs) == (args, kwargs)
    method.function(*args, **kwargs)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "text"),
    [
        ("test_sum", [], {}, "test_sum(): missing a required argument: 'a'"),
        ("test_sum", [1, 2, 3], {}, "test_sum(): too many positional arguments"),
        ("test_sum", [1], {"a": 2}, "test_sum(): multiple values for argument 'a'"),
        ("test_sum", [1], {"c": 2}, "test_sum(): got an unexpected keyword argument 'c'"),
        ("test_sum", [1], {"self": 2}, "unexpected keyword argument 'self'"),
        ("gather", [], {"self": 2}, "unexpected keyword argument 'self'"),
        ("gather", [], {"__class__": 2}, "unexpected keyword argument '__class__'"),
        ("gather", [], {"a b": 2}, "unexpected keyword argument 'a b'"),
        ("gather", [], {"a.b": 2}, "unexpected keyword argument 'a.b'"),
        ("gather", [], {"": 2}, "unexpected keyword argument ''"),
        ("gather", [], {"a\0": 2}, "unexpected keyword argument"),
        ("make", [1], {"cls": 2}, "unexpected keyword argument 'cls'"),
        ("named_only", [], {}, "missing a required"),
        ("named_only", ["m"], {}, "named_only(): "),
        ("own_method", [1], {"self": 2}, "unexpected keyword argument 'self'"),
    ],
)
def test_arguments_that_do_not(name: str, args: list[Any], kwargs: dict[str, Any], text: str) -> None:
    error = refusal(access().resolve_call((name,)).bind, args, kwargs)
    assert (error.code, error.executed) == (errors.INVALID_PARAMS.code, "no")
    assert text in error.message


# --- cost -------------------------------------------------------------------------------------------------------------


def test_resolving_a_method_makes_nothing_new() -> None:
    machine = access()
    first = machine.resolve_call(("test_sum",))
    assert machine.resolve_call(("test_sum",)) is first
    args: list[Any] = [1]
    assert first.bind(args, {})[0] is args
