"""What is sent of a record, and that what pages may not have is not sent within what they may."""

import collections
import dataclasses
import json
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple

import attrs
import msgspec
import pytest

from tests.unit.worker.access.machine import Point, access, refusal
from wispy.protocol import errors, values
from wispy.worker.marks import expose, hide


def test_records_with_hidden_fields_are_not_sent_whole() -> None:
    @dataclasses.dataclass
    class Login:
        user: str = "a"
        _password: str = "hunter2"

    @dataclasses.dataclass
    class Team:
        lead: Login = dataclasses.field(default_factory=Login)

    class Holder:
        def __init__(self) -> None:
            self.login = Login()
            self.logins = {"first": Login(), "point": Point()}
            self.nested = [1, [(2, {"deep": Login()})]]
            self.team = Team()
            self.point = Point(1.0, 2.0)
            self.points: list[Any] = [Point(1.0, 2.0), [Point()]]
            self.endless: list[Any] = [1]
            self.endless.append(self.endless)

    holder = access(Holder())
    assert holder.get(("point",)) == Point(1.0, 2.0)
    assert holder.get(("points",)) == [Point(1.0, 2.0), [Point()]]
    assert holder.get(("login", "user")) == "a"
    assert holder.get(("logins", "point")) == Point()
    assert holder.get(("endless",))[0] == 1
    for where in (("login",), ("logins",), ("logins", "first"), ("nested",), ("nested", "1"), ("team",)):
        assert refusal(holder.get, where).code == errors.UNSENDABLE.code


class Elsewhere:
    """The records of another package."""

    @dataclasses.dataclass
    class Data:
        __module__ = "elsewhere"
        x: Any = 1
        _hidden: int = 2
        constant: ClassVar[int] = 3
        passing: dataclasses.InitVar[int] = 4

        def __post_init__(self, passing: int) -> None:
            self.later = passing

        @property
        def computed(self) -> int:
            return 5

    class Struct(msgspec.Struct, rename="camel", tag="kind", omit_defaults=True):
        __module__ = "elsewhere"
        two_words: Any = 1
        _hidden: int = 0
        left_out: int = 3

    @attrs.define(slots=False)
    class Attrs:
        __module__ = "elsewhere"
        x: Any = 1
        _hidden: int = 2

        def __attrs_post_init__(self) -> None:
            self.later = 3
            self._later = 4

    @attrs.define
    class SlottedAttrs:
        __module__ = "elsewhere"
        x: Any = 1
        _hidden: int = 2

    Data.__module__ = Struct.__module__ = Attrs.__module__ = SlottedAttrs.__module__ = "elsewhere"


@pytest.mark.parametrize(
    ("record", "sent"),
    [
        (Elsewhere.Data(), {"x": 1, "_hidden": 2}),
        (Elsewhere.Struct(two_words=7, _hidden=2), {"type": "kind", "twoWords": 7, "_hidden": 2}),
        (Elsewhere.Attrs(), {"x": 1, "later": 3}),
        (Elsewhere.SlottedAttrs(), {"x": 1}),
    ],
)
@pytest.mark.parametrize("served", ["public", "declared"])
def test_what_is_sent_of_a_record_of_another_package(record: Any, sent: dict[str, Any], served: str) -> None:
    """`docs/reference/access.md` says so."""

    class Holder:
        held: Annotated[Any, expose] = None

    holder = Holder()
    for held, whole in ((record, sent), ([record], [sent]), ({"a": (record,)}, {"a": [sent]})):
        holder.held = held
        assert json.loads(values.encode(access(holder, expose=served).get(("held",)))) == whole


@dataclasses.dataclass
class Login:
    user: str = "a"
    _password: str = "hunter2"


@hide
@dataclasses.dataclass
class Hidden:
    x: int = 1


@dataclasses.dataclass
class Restricted:
    interface_access_restricted = True
    x: int = 1


class Pair(NamedTuple):
    first: Any
    second: int = 2


class Mapping(dict[str, Any]):
    """Travels as a dict."""


@hide
class HiddenMapping(dict[str, Any]):
    """As a dict, too."""


@pytest.mark.parametrize("record", [Login(), Hidden(), Restricted(), HiddenMapping(a=[])])
@pytest.mark.parametrize(
    "around",
    [
        lambda record: [record],
        lambda record: {"a": (1, [record])},
        lambda record: Pair(record),
        lambda record: Mapping(a=record),
        lambda record: {"a": record}.values(),
        lambda record: {"a": record}.items(),
        lambda record: collections.deque([record]),
        lambda record: Elsewhere.Data(record),
        lambda record: Elsewhere.Struct(two_words=[record]),
        lambda record: Elsewhere.Attrs(record),
    ],
)
def test_what_is_not_for_pages_is_not_sent_within_what_is(record: Any, around: Callable[[Any], Any]) -> None:
    class Holder:
        held: Any = None

    holder = Holder()
    holder.held = around(record)
    assert refusal(access(holder).get, ("held",)).code == errors.UNSENDABLE.code
    holder.held = around(Point())
    assert access(holder).get(("held",)) == holder.held


def test_a_record_without_marks_has_nothing_for_pages_where_only_what_is_marked_is_served() -> None:
    class Holder:
        point: Annotated[Point, expose] = Point()

    assert access(Holder()).get(("point",)) == Point()
    assert refusal(access(Holder(), expose="declared").get, ("point",)).code == errors.UNSENDABLE.code
