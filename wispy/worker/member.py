"""What pages may touch under one name of a class: worked out once, from what stands there and what is said of it."""

import inspect
from enum import Enum
from typing import Any

from wispy.worker import annotations, conversion
from wispy.worker.annotations import UNKNOWN
from wispy.worker.marks import NO_MARKS, Marks
from wispy.worker.rights import Limiter, rights_of
from wispy.worker.signatures import Signature
from wispy.worker.statics import plain_function


class Kind(Enum):
    """What a name of a class is."""

    METHOD = "method"
    PROPERTY = "property"
    ATTRIBUTE = "attribute"


class Member:
    """What pages may touch under one name.

    Args:
        kind: what it is.
        static: what stands in the class: a function, a property, a value; `UNKNOWN` where it is in instances only.
        annotation: its type; `UNKNOWN` where there is none.
        marks: what its author has said of it, and of its class.
    """

    __slots__ = ("annotation", "converter", "is_constant", "kind", "limiter", "rights", "signature", "static")

    def __init__(self, kind: Kind, static: Any = UNKNOWN, annotation: Any = UNKNOWN, marks: Marks = NO_MARKS) -> None:
        self.kind = kind
        self.static = static
        self.is_constant = annotations.is_constant(annotation)
        self.annotation = UNKNOWN if annotations.says_nothing(annotation) or self.is_constant else annotation
        self.converter = conversion.converter_of(self.annotation)
        """Makes of values from pages what the annotation says; None where there is none, or no value can be that."""
        self.signature = _signature(static) if kind is Kind.METHOD else None
        """Of a method, and only of one."""
        self.rights = rights_of(marks, static)
        self.limiter = None if marks.rate is None or kind is not Kind.METHOD else Limiter(marks.rate)

    def may_set(self, roles: frozenset[str]) -> bool:
        """Whether a page of such a caller may set it, as far as the class tells."""
        return self.is_settable and self.rights.admit_set(roles)

    def may_delete(self, roles: frozenset[str]) -> bool:
        """Whether a page of such a caller may delete it, as far as the class tells."""
        if self.kind is Kind.PROPERTY:
            return getattr(self.static, "fdel", None) is not None and self.rights.admit_delete(roles)
        return self.is_settable and self.rights.admit_delete(roles)

    def may_change(self, roles: frozenset[str]) -> bool:
        """Whether a page of such a caller may change a dict or list that stands there, item by item."""
        is_changeable = self._has_setter if self.kind is Kind.PROPERTY else not self.is_constant
        return is_changeable and self.rights.admit_set(roles)

    @property
    def is_settable(self) -> bool:
        """Whether a value from a page could be set there, whoever may do so."""
        takes_values = self.annotation is UNKNOWN or self.converter is not None
        if self.kind is Kind.PROPERTY:
            return self._has_setter and takes_values
        return self.kind is Kind.ATTRIBUTE and takes_values and not self.is_constant

    @property
    def _has_setter(self) -> bool:
        """Of a property."""
        return hasattr(self.static, "__set__") and getattr(self.static, "fset", self) is not None


def _signature(static: Any) -> Signature:
    return Signature(plain_function(static), is_bound=not isinstance(static, staticmethod))


def property_type(static: Any) -> Any:
    """The type that a property takes, or else gives."""
    setter = getattr(static, "fset", None)
    if setter is not None:
        parameters = list(annotations.parameters_of(setter))[1:2]
        if parameters and parameters[0].annotation is not inspect.Parameter.empty:
            return annotations.evaluate_in(parameters[0].annotation, setter)
    getter = getattr(static, "fget", None) or getattr(static, "func", None)
    given = UNKNOWN if getter is None else annotations.own_annotations(getter).get("return", UNKNOWN)
    return given if given is UNKNOWN else annotations.evaluate_in(given, getter)
