"""What the author of a class has annotated.

Rules:
- An annotation is evaluated by itself: one that names what only a type checker has imported spoils no other. What
  cannot be evaluated counts as not annotated.
- `Final` and `ClassVar` attributes are not set from a page.
"""

import collections.abc
import inspect
import logging
import sys
import types
import typing
from typing import Any, Final, cast

import msgspec

if sys.version_info >= (3, 14):
    import annotationlib

log = logging.getLogger("wispy.worker")

UNKNOWN: Final[Any] = object()
"""There is no annotation, or it cannot be evaluated."""


def own_annotations(holder: Any) -> dict[str, Any]:
    """The annotations of a function, or in the body of a class and not of its bases, as they stand there."""
    try:
        return _raw_annotations(holder)
    except Exception as error:  # the author's text may raise anything
        log.warning("the annotations of %s cannot be read, values are not checked against them: %s", holder, error)
        return {}


def signature_of(function: Any) -> inspect.Signature:
    """The signature of a function.

    Raises:
        Exception: it does not tell; Python 3.14 evaluates annotations here, and the author's text may raise anything.
    """
    try:
        return inspect.signature(function)
    except Exception:
        if sys.version_info < (3, 14):
            raise
        return inspect.signature(function, annotation_format=annotationlib.Format.STRING)


def _raw_annotations(holder: Any) -> dict[str, Any]:
    """Before Python 3.14 each is there as it was evaluated, or as a text. Since then all are evaluated together when
    somebody asks; where one cannot be, all are had as texts, to be evaluated one by one.
    """
    try:
        return inspect.get_annotations(holder)
    except Exception:
        if sys.version_info < (3, 14):
            raise
        return annotationlib.get_annotations(holder, format=annotationlib.Format.STRING)


def evaluate(annotation: Any, owner: type) -> Any:
    """The type that an annotation in the body of `owner` means, or `UNKNOWN`."""
    module = sys.modules.get(owner.__module__)
    return _evaluated(annotation, vars(module) if module else {}, dict(vars(owner)), owner.__qualname__)


def evaluate_in(annotation: Any, function: Any) -> Any:
    """The type that an annotation in the signature of `function` means, or `UNKNOWN`."""
    names = getattr(function, "__globals__", {})
    return _evaluated(annotation, names, None, getattr(function, "__qualname__", "a function"))


def _evaluated(annotation: Any, names: dict[str, Any], local: dict[str, Any] | None, where: str) -> Any:
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, names, local, include_extras=True)["it"]
    except Exception as error:  # the author's text may raise anything
        log.debug("an annotation in %s cannot be read and does not count: %s", where, error)
        return UNKNOWN


def parameters_of(function: Any) -> list[inspect.Parameter]:
    """The parameters of a function; none where it does not tell them."""
    try:
        return list(signature_of(function).parameters.values())
    except Exception:
        return []


def is_constant(annotation: Any) -> bool:
    """Whether the attribute is declared `Final` or `ClassVar`."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation in (Final, typing.ClassVar) or typing.get_origin(annotation) in (Final, typing.ClassVar)


def says_nothing(annotation: Any) -> bool:
    """Whether the annotation lets every value pass."""
    return annotation in (UNKNOWN, Any, object)


def item_annotation(annotation: Any) -> Any:
    """What the annotation of a dict or list says of its items; `UNKNOWN` where that is nothing, or hard to tell."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return item_annotation(parts[0])
    if origin in (typing.Union, types.UnionType):
        others = [part for part in parts if part is not type(None)]
        return item_annotation(others[0]) if len(others) == 1 else UNKNOWN
    if not isinstance(origin, type):
        return UNKNOWN
    if issubclass(origin, collections.abc.Mapping):
        return parts[1] if len(parts) == 2 else UNKNOWN
    return parts[0] if issubclass(origin, collections.abc.Sequence) and len(parts) == 1 else UNKNOWN


def schema_of(annotation: Any) -> dict[str, Any]:
    """The JSON schema of a type; an empty one, which lets everything pass, where there is none or it is not plain."""
    if says_nothing(annotation) or is_constant(annotation):
        return {}
    try:
        schema = msgspec.json.schema(annotation)
    except Exception:  # types of the author that have no schema
        return {}
    definitions: dict[str, Any] = schema.pop("$defs", {})
    # Named definitions would have to move to the root of the document that this becomes part of. Choices can stand in
    # their place instead; structures might contain themselves.
    if any("enum" not in each for each in definitions.values()):
        return {}
    return _with_choices(schema, definitions)


def _with_choices(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema with each enumeration where it is referred to."""
    if isinstance(schema, list):
        return [_with_choices(each, definitions) for each in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    known = cast(dict[str, Any], schema)
    if "$ref" in known:
        return definitions[str(known["$ref"]).rpartition("/")[2]]
    return {key: _with_choices(value, definitions) for key, value in known.items()}


def text_of(annotation: Any) -> str | None:
    """An annotation as its author would read it."""
    if annotation is UNKNOWN or annotation is inspect.Parameter.empty:
        return None
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
