"""The marks by which authors say who may touch what, as decorators and in annotations."""

import functools
import logging
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import pytest

from wispy.worker import marks
from wispy.worker.marks import (
    HIDDEN,
    NO_MARKS,
    Marks,
    Place,
    Rate,
    class_marks,
    function_marks,
    hide,
    marks_of,
    no_delete,
    rate,
    read_only,
    roles,
    split,
    threaded,
    write_roles,
)

if TYPE_CHECKING:
    from decimal import Decimal


def test_a_property_is_marked_within() -> None:
    class Sample:
        @read_only
        @property
        def a(self) -> int:
            return 1

        @roles("operator")
        @functools.cached_property
        def b(self) -> int:
            return 1

    assert marks_of(Sample.__dict__["a"].fget) == Marks(writable=False, deletable=False)
    assert marks_of(Sample.__dict__["b"].func) == Marks(roles=frozenset({"operator"}))


def test_a_class_hands_its_marks_to_its_subclasses() -> None:
    @roles("operator")
    class Base: ...

    @read_only
    class Sub(Base): ...

    assert class_marks(Sub) == Marks(roles=frozenset({"operator"}), writable=False, deletable=False)
    assert class_marks(Base) == Marks(roles=frozenset({"operator"}))
    assert class_marks(int) == NO_MARKS


@pytest.mark.parametrize(
    ("mark", "marked", "text"),
    [
        (read_only, lambda: None, "@read_only marks properties and classes, not functions: write it above @property"),
        (threaded, type("Sample", (), {}), "@threaded marks methods, not classes"),
        (rate(1), property(lambda _: 1), r"@rate\(1\) marks methods, not properties"),
        (hide, 5, "@hide marks methods and properties and classes, not int objects"),
    ],
)
def test_a_mark_that_would_have_no_effect_is_an_error(mark: marks.Mark, marked: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        mark(marked)


def test_marks_in_annotations_are_taken_out() -> None:
    operator = Marks(roles=frozenset({"operator"}))
    for annotation, plain, said in [
        (int, int, NO_MARKS),
        (Annotated[int, "text"], Annotated[int, "text"], NO_MARKS),
        (Annotated[int, roles("operator")], int, operator),
        (Annotated[int, "text", roles("operator")], Annotated[int, "text"], operator),
        (ClassVar[Annotated[int, hide]], ClassVar[int], HIDDEN),
        (Final[Annotated[int, hide]], Final[int], HIDDEN),
        (Annotated[int, roles("operator"), no_delete], int, Marks(roles=frozenset({"operator"}), deletable=False)),
    ]:
        assert split(annotation, Place.PROPERTY, "x") == (plain, said)


def test_a_mark_without_effect_in_an_annotation_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert split(Annotated[int, threaded], Place.PROPERTY, "Sample.a") == (int, NO_MARKS)
    assert "wispy.threaded has no effect in an annotation of Sample.a" in caplog.text


def test_a_function_may_say_it_in_its_return_annotation() -> None:
    def move() -> Annotated[float, roles("operator"), rate(2)]: ...

    assert function_marks(move) == Marks(roles=frozenset({"operator"}), rate=Rate(2.0, 2, False))
    assert function_marks(roles("chief")(move)).roles == {"chief"}


def test_a_restriction_that_cannot_be_read_hides_all(caplog: pytest.LogCaptureFixture) -> None:
    def restricted() -> "Annotated[Decimal, roles('operator')]": ...
    def harmless() -> "Annotated[Decimal, threaded]": ...
    def plain() -> "Decimal": ...

    assert function_marks(restricted) == HIDDEN
    assert "restricted cannot be read, so that it is not served at all" in caplog.text
    assert function_marks(harmless) == function_marks(plain) == NO_MARKS
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


@pytest.mark.parametrize("names", [(), ("",), (1,), (["operator"],)])
def test_roles_are_named(names: Any) -> None:
    for mark in (roles, write_roles):
        with pytest.raises(TypeError, match="name the roles"):
            mark(*names)


def test_rates_are_checked() -> None:
    assert rate(0.5)(lambda: None).__wispy__.rate == Rate(0.5, 1, False)  # type: ignore[attr-defined]
    assert rate(10, burst=3, per="object")(lambda: None).__wispy__.rate == Rate(10.0, 3, True)  # type: ignore[attr-defined]
    for wrong in [{"per_second": 0}, {"per_second": True}, {"per_second": float("inf")}, {"per_second": 1, "burst": 0}]:
        with pytest.raises(ValueError, match="a number of calls"):
            rate(**wrong)
    with pytest.raises(ValueError, match="per"):
        rate(1, per="user")  # type: ignore[arg-type]
