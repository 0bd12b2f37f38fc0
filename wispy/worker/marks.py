"""The marks by which an author says how a method is run and who may touch what: decorators, equally annotations.

    @roles("operator")
    @locking
    def move(self, to: float) -> None: ...

    speed: Annotated[float, read_only] = 0.0

Rules:
- A mark changes nothing about what it marks: a function can still be called as before.
- The marks of a function are one frozen struct in its attribute `__wispy__`, which `functools.wraps` carries along;
  those of a property are its getter's; those of a class are the defaults of its members, and its subclasses have them.
- A decorator where it would have no effect is an error; a mark in an annotation, a warning in the log.
"""

import functools
import inspect
import logging
import math
import re
import types
import typing
from enum import Enum
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, cast

import msgspec

from wispy.worker.annotations import own_annotations

log = logging.getLogger("wispy.worker")

MarkedT = TypeVar("MarkedT")

MARKS_ATTRIBUTE: Final = "__wispy__"


class Rate(msgspec.Struct, frozen=True):
    """How often a method may be called."""

    per_second: float
    burst: int
    """Calls that may come at once after a pause."""
    per_object: bool
    """Whether all sessions together may call it so often, or else each."""


class Marks(msgspec.Struct, frozen=True):
    """What an author has said; None where he has said nothing."""

    # how a method is run
    threaded: bool | None = None
    locking: bool | None = None
    idempotent: bool | None = None
    timeout_s: float | None = None
    rate: Rate | None = None
    # who may touch it
    exposed: bool | None = None
    readable: bool | None = None
    writable: bool | None = None
    deletable: bool | None = None
    roles: frozenset[str] | None = None
    write_roles: frozenset[str] | None = None

    def or_else(self, other: "Marks") -> "Marks":
        """These marks, and the other ones' where these say nothing."""
        if self == NO_MARKS:
            return other
        said = {name: value for name in Marks.__struct_fields__ if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(other, **said)


NO_MARKS: Final = Marks()
HIDDEN: Final = Marks(exposed=False)


class Place(Enum):
    """Where a mark has an effect as a decorator."""

    METHOD = "methods"
    PROPERTY = "properties"
    CLASS = "classes"


_METHODS: Final = (Place.METHOD,)
_DATA: Final = (Place.PROPERTY, Place.CLASS)
_ALL: Final = (Place.METHOD, Place.PROPERTY, Place.CLASS)


class Mark:
    """One thing to say: a decorator, and equally a mark for an annotation.

    Args:
        name: what the author writes.
        places: what it may decorate.
        said: fields of `Marks`.
    """

    def __init__(self, name: str, places: tuple[Place, ...], **said: Any) -> None:
        self._name = name
        self._said = said
        self.places = places

    def __call__(self, marked: MarkedT) -> MarkedT:
        """Mark a function, a property or a class, and return it unchanged."""
        place, bearer = _bearer(marked)
        if place not in self.places:
            possible = " and ".join(each.value for each in self.places)
            raise TypeError(f"@{self._name} marks {possible}, not {_named(place, marked)}")
        setattr(bearer, MARKS_ATTRIBUTE, self.added_to(marks_of(bearer)))
        return marked

    def __repr__(self) -> str:
        return f"wispy.{self._name}"

    def added_to(self, marks: Marks) -> Marks:
        """The marks, with this one in addition; it outweighs an earlier one of the same kind."""
        return msgspec.structs.replace(marks, **self._said)


def _bearer(marked: Any) -> tuple[Place | None, Any]:
    """What a mark is put on, and where that stands. Static methods, class methods and properties are marked within."""
    if isinstance(marked, type):
        return Place.CLASS, cast(Any, marked)
    if isinstance(marked, property):
        return Place.PROPERTY, marked.fget
    if isinstance(marked, functools.cached_property):
        return Place.PROPERTY, cast(Any, marked).func
    inner = getattr(marked, "__func__", marked)
    return (Place.METHOD if inspect.isroutine(inner) else None), inner


def _named(place: Place | None, marked: Any) -> str:
    if place is Place.METHOD:
        return "functions: write it above @property, or into the annotation of an attribute"
    return place.value if place is not None else f"{type(marked).__name__} objects"


# --- how a method is run ----------------------------------------------------------------------------------------------

threaded = Mark("threaded", _METHODS, threaded=True)
"""Run in the object's thread pool. Its author takes care of data that several threads touch."""

synchronous = Mark("synchronous", _METHODS, threaded=False)
"""Run on the objects' loop, one call after the other, also where `func_caller.synchronous_default` is off."""

locking = Mark("locking", _METHODS, locking=True)
"""At most one locking method of the object runs at a time; the others wait in order of arrival."""

not_locking = Mark("not_locking", _METHODS, locking=False)
"""Never wait for a locking method, also where `func_caller.locking_default` is on."""

idempotent = Mark("idempotent", _METHODS, idempotent=True)
"""Running it twice does what running it once does: a client may repeat it by itself when an outcome is unknown."""


def timeout(seconds: float) -> Mark:
    """The longest that one call of the function may run, in seconds, in place of `func_caller.run_timeout_default`.

    A caller's own time-out counts where it is shorter, never where it is longer: a page cannot hold a place in the
    worker for longer than the method's author allows. `math.inf` means no limit.
    """
    if isinstance(seconds, bool) or not seconds > 0:
        raise ValueError(f"a time-out is a number of seconds above 0, not {seconds!r}")
    return Mark(f"timeout({seconds!r})", _METHODS, timeout_s=float(seconds))


def rate(per_second: float, *, burst: int | None = None, per: Literal["session", "object"] = "session") -> Mark:
    """How often the method may be called; what comes faster is answered RATE_LIMITED, and does not run.

    Args:
        per_second: calls a second, in the long run.
        burst: calls that may come at once after a pause; the next whole number of `per_second`, if not given.
        per: whether each session may do so, or all together. The plain clients of one frontend process are one session.
    """
    if isinstance(per_second, bool) or not 0 < per_second < math.inf:
        raise ValueError(f"a rate is a number of calls a second above 0, not {per_second!r}")
    calls = math.ceil(per_second) if burst is None else burst
    if type(calls) is not int or calls < 1:
        raise ValueError(f"a burst is a number of calls, at least 1, not {burst!r}")
    if per not in ("session", "object"):
        raise ValueError(f'a rate is per "session" or per "object", not {per!r}')
    return Mark(f"rate({per_second!r})", _METHODS, rate=Rate(float(per_second), calls, per == "object"))


# --- who may touch it -------------------------------------------------------------------------------------------------

expose = Mark("expose", _ALL, exposed=True)
"""Serve it also where `interface.expose` is `declared`. Names that begin with an underscore stay hidden."""

hide = Mark("hide", _ALL, exposed=False)
"""Do not serve it: pages find nothing of this name."""

read_only = Mark("read_only", _DATA, writable=False, deletable=False)
"""Pages may get it, and not set or delete it."""

write_only = Mark("write_only", _DATA, readable=False)
"""Pages may set it, and not get it; its channel is closed to them, too."""

no_delete = Mark("no_delete", _DATA, deletable=False)
"""Pages may not delete it."""


def roles(*names: str) -> Mark:
    """Serve it to callers with one of these roles; all others find nothing of this name."""
    return Mark(f"roles({', '.join(map(repr, names))})", _ALL, roles=_checked(names))


def write_roles(*names: str) -> Mark:
    """Let only callers with one of these roles set and delete it; to all others it is read-only."""
    return Mark(f"write_roles({', '.join(map(repr, names))})", _DATA, write_roles=_checked(names))


def _checked(names: tuple[Any, ...]) -> frozenset[str]:
    if not names or not all(isinstance(name, str) and name for name in names):
        raise TypeError(f'name the roles, as in roles("operator"), not {names!r}')
    return frozenset(names)


# --- what was said ----------------------------------------------------------------------------------------------------


def marks_of(marked: Any) -> Marks:
    """What decorators have said about a function or a class; empty marks where there were none."""
    marks = getattr(marked, MARKS_ATTRIBUTE, None)
    return marks if isinstance(marks, Marks) else NO_MARKS


def class_marks(cls: type) -> Marks:
    """What is said about a class that may be anybody's: nothing of it is touched."""
    marks = next((vars(each)[MARKS_ATTRIBUTE] for each in cls.__mro__ if MARKS_ATTRIBUTE in vars(each)), None)
    return marks if isinstance(marks, Marks) else NO_MARKS


def function_marks(function: Any) -> Marks:
    """What is said about a function, by decorators or else in its return annotation."""
    return marks_of(function).or_else(returned_marks(function))


def returned_marks(function: Any) -> Marks:
    """The marks in `-> Annotated[..., mark]`. Only this annotation is evaluated: others may name types not imported."""
    annotations = own_annotations(function)
    if "return" not in annotations:
        return NO_MARKS
    holder = types.SimpleNamespace(__annotations__={"return": annotations["return"]})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    where = getattr(function, "__qualname__", repr(function))
    try:
        hint = typing.get_type_hints(holder, globalns=names, include_extras=True)["return"]
    except Exception as error:  # evaluating the author's text may raise anything
        return unreadable_marks(annotations["return"], where, error)
    return split(hint, Place.METHOD, where)[1]


def unreadable_marks(annotation: Any, where: str, error: Exception | None = None) -> Marks:
    """The marks of an annotation that cannot be evaluated: if it may restrict anything, it hides all.

    Args:
        annotation: its text.
        where: whose it is, for the log.
        error: why it cannot be evaluated.
    """
    text = str(annotation)
    if "Annotated" not in text:
        return NO_MARKS
    reason = f": {error}" if error is not None else ""
    if _RESTRICTION.search(text):
        log.error("an annotation of %s cannot be read, so that it is not served at all%s", where, reason)
        return HIDDEN
    log.warning("an annotation of %s cannot be read, its marks do not count%s", where, reason)
    return NO_MARKS


_RESTRICTION: Final = re.compile(r"\b(hide|read_only|write_only|no_delete|roles|write_roles|rate)\b")


def split(annotation: Any, place: Place, where: str) -> tuple[Any, Marks]:
    """A type without its marks, and the marks.

    Args:
        annotation: evaluated.
        place: what it is the annotation of: an attribute is as a property.
        where: whose it is, for the log.
    """
    origin = typing.get_origin(annotation)
    if origin in (ClassVar, Final):
        inner, marks = split(typing.get_args(annotation)[0], place, where)
        return (annotation if marks is NO_MARKS else origin[inner]), marks
    if origin is not Annotated:
        return annotation, NO_MARKS
    inner, *extras = typing.get_args(annotation)
    plain, marks = split(inner, place, where)
    for each in extras:
        if not isinstance(each, Mark):
            continue
        if place in each.places:
            marks = each.added_to(marks)
        else:
            log.warning("%r has no effect in an annotation of %s", each, where)
    others = tuple(each for each in extras if not isinstance(each, Mark))
    return (Annotated[(plain, *others)] if others else plain), marks
