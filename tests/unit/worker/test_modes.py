"""How a function's mode follows from decorators, its return annotation and the configuration."""

import functools
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from wispy.worker import modes
from wispy.worker.marks import Marks, idempotent, locking, marks_of, not_locking, synchronous, threaded, timeout
from wispy.worker.modes import Kind, Modes, longest_run_s, resolve_mode

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(frozen=True)
class FuncCaller:
    """The configuration's `func_caller`, as far as modes need it."""

    locking_default: bool = False
    synchronous_default: bool = True
    check_return_annotation_default: bool = True
    run_timeout_default: float = 60.0


DEFAULTS = FuncCaller()


def plain() -> int:
    return 1


async def asynchronous() -> int:
    return 1


def test_without_marks_the_defaults_decide() -> None:
    mode = resolve_mode(plain, DEFAULTS)
    assert (mode.kind, mode.locking, mode.idempotent, mode.timeout_s) == (Kind.SYNCHRONOUS, False, False, 60.0)
    other = resolve_mode(plain, FuncCaller(locking_default=True, synchronous_default=False, run_timeout_default=5))
    assert (other.kind, other.locking, other.timeout_s) == (Kind.THREADED, True, 5)


@pytest.mark.parametrize("synchronous_default", [True, False])
def test_async_def_is_asynchronous_whatever_else_is_said(synchronous_default: bool) -> None:
    defaults = FuncCaller(synchronous_default=synchronous_default)
    assert resolve_mode(asynchronous, defaults).kind is Kind.ASYNCHRONOUS

    @threaded
    async def marked() -> None: ...

    assert resolve_mode(marked, defaults).kind is Kind.ASYNCHRONOUS


def test_decorators_return_the_function_itself_and_add_up() -> None:
    def work() -> int:
        return 5

    marked = threaded(locking(idempotent(timeout(2.5)(work))))
    assert marked is work
    assert marked() == 5
    mode = resolve_mode(work, DEFAULTS)
    assert (mode.kind, mode.locking, mode.idempotent, mode.timeout_s) == (Kind.THREADED, True, True, 2.5)


def test_the_outer_decorator_wins() -> None:
    @synchronous
    @threaded
    @not_locking
    @locking
    def work() -> None: ...

    assert marks_of(work) == Marks(threaded=False, locking=False)


def test_decorators_outweigh_defaults_in_both_directions() -> None:
    @synchronous
    @not_locking
    def work() -> None: ...

    mode = resolve_mode(work, FuncCaller(locking_default=True, synchronous_default=False))
    assert (mode.kind, mode.locking) == (Kind.SYNCHRONOUS, False)


def test_static_and_class_methods_in_either_order() -> None:
    class Instrument:
        @threaded
        @staticmethod
        def outside() -> None: ...

        @staticmethod
        @threaded
        def inside() -> None: ...

        @locking
        @classmethod
        def of_the_class(cls) -> None: ...

        @timeout(3)
        def method(self) -> None: ...

    instrument = Instrument()
    of = Modes(DEFAULTS).of
    assert of(instrument.outside).kind is Kind.THREADED
    assert of(instrument.inside).kind is Kind.THREADED
    assert of(instrument.of_the_class).locking
    assert of(instrument.method).timeout_s == 3


def test_wraps_carries_marks_along() -> None:
    @threaded
    def work() -> None: ...

    @functools.wraps(work)
    def wrapper() -> None:
        work()

    assert resolve_mode(wrapper, DEFAULTS).kind is Kind.THREADED


def test_marks_in_the_return_annotation() -> None:
    def work() -> Annotated[int, "volts", threaded, locking, timeout(4)]:
        return 1

    mode = resolve_mode(work, DEFAULTS)
    assert (mode.kind, mode.locking, mode.timeout_s) == (Kind.THREADED, True, 4)
    unread = resolve_mode(work, FuncCaller(check_return_annotation_default=False))
    assert (unread.kind, unread.locking) == (Kind.SYNCHRONOUS, False)


def test_a_decorator_outweighs_the_annotation() -> None:
    @synchronous
    def work() -> Annotated[int, threaded, locking]:
        return 1

    mode = resolve_mode(work, DEFAULTS)
    assert (mode.kind, mode.locking) == (Kind.SYNCHRONOUS, True)


def test_an_annotation_written_as_text() -> None:
    def work(amount: "Decimal") -> "Annotated[int, threaded]":
        return int(amount)

    assert resolve_mode(work, DEFAULTS).kind is Kind.THREADED


def test_an_annotation_that_cannot_be_read_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def work() -> "Annotated[Decimal, threaded]": ...

    def unmarked() -> "Decimal": ...

    with caplog.at_level(logging.WARNING):
        assert resolve_mode(unmarked, DEFAULTS).kind is Kind.SYNCHRONOUS
        assert not caplog.records
        assert resolve_mode(work, DEFAULTS).kind is Kind.SYNCHRONOUS
    assert "work cannot be read" in caplog.text


@pytest.mark.parametrize("wrong", [0, -1, math.nan, True])
def test_a_timeout_is_a_number_of_seconds_above_zero(wrong: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        timeout(wrong)


@pytest.mark.parametrize("wrong", [int, property(lambda self: 1), 5])
def test_only_functions_can_be_marked(wrong: Any) -> None:
    with pytest.raises(TypeError, match="@threaded marks methods, not"):
        threaded(wrong)


def test_the_shorter_time_limit_counts() -> None:
    mode = resolve_mode(timeout(10)(lambda: None), DEFAULTS)
    assert longest_run_s(mode, None) == 10
    assert longest_run_s(mode, 3) == 3
    assert longest_run_s(mode, 30) == 10
    assert longest_run_s(mode, math.nan) == 10


def test_modes_are_remembered_by_function_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "REMEMBERED_MODES", 3)
    known = Modes(DEFAULTS)

    class Instrument:
        @locking
        def method(self) -> None: ...

    first = known.of(Instrument().method)
    assert known.of(Instrument().method) is first
    for _ in range(10):
        assert not known.of(lambda: None).locking
    assert known.of(Instrument().method).locking


def test_callable_objects_have_modes_even_where_they_cannot_be_hashed() -> None:
    class Action:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self) -> None: ...

    assert Modes(DEFAULTS).of(Action()).kind is Kind.SYNCHRONOUS
