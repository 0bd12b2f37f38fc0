from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

import pytest

from tests.unit.worker.shapes import Colour, Motor, Tree
from wispy.worker import annotations
from wispy.worker.annotations import UNKNOWN


class Sample:
    text: "int | None"
    missing: "NotThere"  # type: ignore[name-defined]  # noqa: F821
    inner: "Inner"

    class Inner: ...


def test_annotations_are_evaluated_each_for_itself() -> None:
    own = annotations.own_annotations(Sample)
    assert annotations.evaluate(own["text"], Sample) == int | None
    assert annotations.evaluate(own["missing"], Sample) is UNKNOWN
    assert annotations.evaluate(own["inner"], Sample) is Sample.Inner


@pytest.mark.parametrize("annotation", [Final, Final[int], ClassVar, ClassVar[int], Annotated[Final[int], "x"]])
def test_constants(annotation: Any) -> None:
    assert annotations.is_constant(annotation)


def test_schemas() -> None:
    assert annotations.schema_of(int) == {"type": "integer"}
    assert annotations.schema_of(list[str]) == {"type": "array", "items": {"type": "string"}}
    for annotation in (UNKNOWN, Any, object, Final[int], Motor, Tree):
        assert annotations.schema_of(annotation) == {}


def test_the_choices_of_an_enumeration_stand_in_the_schema() -> None:
    colour = {"title": "Colour", "enum": ["blue", "red"]}
    assert annotations.schema_of(Colour) == colour
    assert annotations.schema_of(Colour | None) == {"anyOf": [colour, {"type": "null"}]}
    assert annotations.schema_of(list[Colour]) == {"type": "array", "items": colour}


def test_texts() -> None:
    assert annotations.text_of(int) == "int"
    assert annotations.text_of("Motor | None") == "Motor | None"
    assert annotations.text_of(UNKNOWN) is None


@pytest.mark.parametrize(
    ("annotation", "item"),
    [
        (list[int], int),
        (dict[str, list[int]], list[int]),
        (Sequence[int] | None, int),
        (Annotated[Mapping[int, str], "x"], str),
        (list, UNKNOWN),
        (dict[str, int] | list[int], UNKNOWN),
        (tuple[int, str], UNKNOWN),
        (set[int], UNKNOWN),
        (int, UNKNOWN),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_what_is_said_of_items(annotation: Any, item: Any) -> None:
    assert annotations.item_annotation(annotation) == item
