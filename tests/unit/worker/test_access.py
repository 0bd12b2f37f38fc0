"""What pages can do to an object, and above all what they cannot: field-notes section 5."""

import collections
import dataclasses
import datetime as dt
import json
import os
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Final, NamedTuple

import attrs
import msgspec
import pytest

from tests.unit.worker.machine import ATTACKS, Colour, Machine, Point, access, fired, path, refusal
from wispy.protocol import errors, values
from wispy.worker.marks import expose, hide, no_delete, read_only, roles, write_roles


@pytest.fixture(autouse=True)
def nothing_fired() -> None:
    fired.clear()


# --- what is allowed ------------------------------------------------------------------------------------------------


def test_get() -> None:
    machine = access()
    for where, value in {
        "a": 1,
        "level": 3,
        "colour": Colour.RED,
        "numbers": [1, 2, 3],
        "numbers.0": 1,
        "numbers.-1": 3,
        "data.plain": 1,
        "data.list.1": 2,
        "data.3": "three",
        "data.__class__": "a key",
        "data.wheel.speed": 1.5,
        "pair.1.x": 1,
        "limits.nested.list": [1, 2],
        "wheel.speed": 1.5,
        "wheels.1.speed": 1.5,
        "wheel.parent.wheel.speed": 1.5,
        "slotted.count": 1,
        "status": "ok",
        "doubled": 2,
        "expensive": 9,
        "VERSION": 3,
        "odd name": 1,
    }.items():
        assert machine.get(path(where)) == value, where
    assert machine.get(("data", "a.b")) == 2


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


def test_set_and_delete() -> None:
    target = Machine()
    machine = access(target)
    machine.set(("a",), 2)
    assert (target.a, Machine.a) == (2, 1)
    machine.delete(("a",))
    assert target.a == 1
    with pytest.raises(AttributeError):  # Python's own answer: it is the class' value that is left
        machine.delete(("a",))
    machine.set(("wheel", "speed"), 3.5)
    assert target.wheel.speed == 3.5
    machine.set(("slotted", "count"), 4)
    machine.set(("slotted", "empty"), 5)
    assert (target.slotted.count, target.slotted.empty) == (4, 5)
    machine.set(("numbers", "0"), 9)
    machine.delete(("numbers", "-1"))
    assert target.numbers == [9, 2]
    machine.set(("data", "new"), [1])
    machine.set(("data", "3"), "drei")
    machine.delete(("data", "plain"))
    assert (target.data["new"], target.data[3], "plain" in target.data, "3" in target.data) == (
        [1],
        "drei",
        False,
        False,
    )
    assert fired == []


def test_properties_are_set_and_deleted_through_their_own_code() -> None:
    machine = access()
    machine.set(("speed",), 3)
    machine.delete(("speed",))
    machine.set(("doubled",), 1)
    assert fired == ["speed = 3.0", "del speed", "descriptor set 1"]


def test_containers_of_the_class_are_copied_before_they_change() -> None:
    target = Machine()
    machine = access(target)
    machine.set(("limits", "nested", "list", "0"), 9)
    machine.delete(("limits", "max"))
    machine.set(("couple", "0", "x"), 2)
    assert (target.couple, Machine.couple) == (({"x": 2},), ({"x": 1},))
    assert target.limits == {"nested": {"list": [9, 2]}}
    assert Machine.limits == {"max": 5, "nested": {"list": [1, 2]}}


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("level", 5, 5),
        ("ratio", 2, 2.0),
        ("colour", "blue", Colour.BLUE),
        ("point", {"x": 1, "y": 2.5}, Point(1.0, 2.5)),
        ("when", "2026-01-02T03:04:05Z", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)),
        ("when", None, None),
        ("small", 10, 10),
        ("sizes", [1, 2], (1, 2)),
        ("by_number", {"1": "a"}, {1: "a"}),
        ("anything", {"x": [1]}, {"x": [1]}),
        ("broken_hint", "text", "text"),
    ],
)
def test_what_is_set_becomes_what_is_annotated(name: str, given: Any, kept: Any) -> None:
    target = Machine()
    access(target).set((name,), given)
    value = getattr(target, name)
    assert value == kept
    assert type(value) is type(kept)


@pytest.mark.parametrize(
    ("where", "given", "text"),
    [
        ("level", "5", "level: expected int, got str"),
        ("level", 5.5, "level: expected int, got float"),
        ("level", True, "level: expected int, got bool"),
        ("level", None, "level: expected int, got null"),
        ("ratio", "1.5", "ratio: expected float, got str"),
        ("colour", "green", "colour: invalid enum value 'green'"),
        ("point", {"x": 1, "y": "no"}, "point.y: expected float, got str"),
        ("small", 11, "small: expected int <= 10"),
        ("sizes", [1, "2"], "sizes[1]: expected int, got str"),
        ("speed", "fast", "speed: expected float, got str"),
        ("VERSION", 4, "VERSION cannot be set: it is a constant"),
        ("SHARED", 4, "SHARED cannot be set: it is a constant"),
        ("test_sum", 1, "test_sum cannot be set: it is a method"),
        ("callback", 1, "callback cannot be set: it is a method"),
        ("status", "bad", "status cannot be set: it is a property that only the object's own code changes"),
        ("expensive", 1, "expensive cannot be set: it is a property"),
        ("wheel", {"speed": 1}, "wheel cannot be set: it is of a type that no page can send"),
        ("wheel.parent", None, "parent is more than data, a Machine: it cannot be replaced"),
        ("wheels", [], "wheels is more than data, a list: it cannot be replaced"),
        ("wheels.0", None, "the item '0' is more than data"),
        ("data.wheel", None, "the item 'wheel' is more than data"),
        ("data", {}, "data is more than data, a dict: it cannot be replaced"),
        ("lock", None, "lock is more than data, a lock"),
        ("log", None, "log is more than data, a Logger"),
        ("path", "/", "path is more than data, a PosixPath"),
        ("slotted", None, "slotted is more than data, a Slotted"),
        ("pair.0", 5, "the items of a tuple cannot be changed"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_changed(where: str, given: Any, text: str) -> None:
    target = Machine()
    machine = access(target)
    before = dict(vars(target))
    error = refusal(machine.set, path(where), given)
    assert (error.code, error.executed) == (errors.INVALID_PARAMS.code, "no")
    assert text in error.message
    assert dict(vars(target)) == before
    assert fired == []


@pytest.mark.parametrize("where", ["test_sum", "status", "VERSION", "wheel", "wheels", "wheels.0", "lock", "pair.0"])
def test_what_is_not_to_be_deleted(where: str) -> None:
    error = refusal(access().delete, path(where))
    assert error.code == errors.INVALID_PARAMS.code
    assert fired == []


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


def test_the_object_itself() -> None:
    machine = access()
    for operation in (machine.get, machine.resolve_call, machine.delete):
        assert refusal(operation, ()).code == errors.INVALID_PARAMS.code
    assert refusal(machine.set, (), 1).code == errors.INVALID_PARAMS.code


def test_a_dict_may_be_served_itself() -> None:
    target = {"a": 1, "list": [1]}
    served = access(target)
    assert served.get(()) == target
    served.set(("b",), 2)
    served.delete(("list", "0"))
    assert target == {"a": 1, "list": [], "b": 2}
    assert refusal(served.resolve_call, ("clear",)).code == errors.NOT_FOUND.code
    assert served.interface() == {"doc": "", "methods": [], "attributes": []}
    assert served.describe(())["type"] == "dict"


def test_exceptions_of_the_objects_own_code_pass_through() -> None:
    class Failing:
        ratio: float

        @property
        def value(self) -> float:
            raise KeyError("mine")

        @value.setter
        def value(self, value: float) -> None:
            raise ValueError("not now")

    failing = access(Failing())
    with pytest.raises(KeyError, match="mine"):
        failing.get(("value",))
    with pytest.raises(ValueError, match="not now"):
        failing.set(("value",), 1.5)
    with pytest.raises(AttributeError):
        failing.get(("ratio",))
    with pytest.raises(AttributeError):
        failing.delete(("ratio",))


# --- arguments ------------------------------------------------------------------------------------------------------


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


# --- telling -------------------------------------------------------------------------------------------------------


def test_the_interface_names_what_is_served_and_nothing_else() -> None:
    interface = access(max_interface_depth=2).interface()
    methods = {method["name"] for method in interface["methods"]}
    attributes = {attribute["name"] for attribute in interface["attributes"]}
    assert {"test_sum", "wait", "from_mixin", "callback", "wheel.turn"} <= methods
    assert {"a", "level", "status", "speed", "wheel", "wheel.speed", "slotted.count"} <= attributes
    hidden = {name for name in ATTACKS if "." not in name}
    assert not hidden & (methods | attributes)
    assert not {name for name in methods | attributes if "._" in name or name.startswith("_")}
    assert fired == []
    msgspec.json.encode(interface)


def test_source() -> None:
    machine = access()
    assert machine.source(("test_sum",)).lstrip().startswith("def test_sum(self, a: int, b: int = 2)")
    assert "def status(self)" in machine.source(("status",))
    assert "def turn" in machine.source(("wheel", "turn"))
    assert refusal(machine.source, ("a",)).code == errors.INVALID_PARAMS.code
    assert refusal(machine.source, ()).code == errors.NOT_FOUND.code
    by_role = access(source_roles=("author", "chief"))
    assert "test_sum" in by_role.source(("test_sum",), frozenset({"author"}))
    assert refusal(by_role.source, ("test_sum",), frozenset({"operator"})).to_json() == errors.NOT_FOUND().to_json()
    closed = access(source_access=False)
    for where in ("test_sum", "nothing", "a"):
        assert refusal(closed.source, (where,)).to_json() == errors.NOT_FOUND().to_json()


# --- cost -----------------------------------------------------------------------------------------------------------


def test_resolving_a_method_makes_nothing_new() -> None:
    machine = access()
    first = machine.resolve_call(("test_sum",))
    assert machine.resolve_call(("test_sum",)) is first
    args: list[Any] = [1]
    assert first.bind(args, {})[0] is args


# --- roles that the configuration names -------------------------------------------------------------------------------


class Stage:
    height: int = 1


class Motor:
    """What everybody may touch, but for one method and one attribute."""

    position: int = 0
    limit: Annotated[int, write_roles("chief")] = 9

    def __init__(self) -> None:
        self.stage = Stage()
        self.table = {"a": 1}
        self.gain = 1

    def move(self, to: int) -> int:
        return to

    @roles("chief")
    def reset(self) -> None: ...


OPERATOR = frozenset({"operator"})
CHIEF = frozenset({"chief"})
BOTH = OPERATOR | CHIEF


@pytest.mark.parametrize("given", [frozenset[str](), CHIEF])
def test_an_object_that_takes_a_role_is_absent_without_it(given: frozenset[str]) -> None:
    closed = access(Motor(), roles=("operator", "guard"))
    for where in ("position", "stage", "stage.height", "table", "table.a", "gain", "move", "reset", "absent"):
        for operation in (closed.get, closed.resolve_call, closed.delete, closed.describe, closed.source):
            error = refusal(operation, path(where), given)
            assert (error.code, str(error)) == (errors.NOT_FOUND.code, str(refusal(closed.get, ("absent",), given)))
        assert refusal(closed.set, path(where), 1, given).code == errors.NOT_FOUND.code
    assert refusal(closed.describe, (), given).denied == "role"
    assert closed.surface(given) == {}
    rows = [*closed.interface()["methods"], *closed.interface()["attributes"]]
    assert all(each["roles"] in (["guard", "operator"], []) for each in rows if "." not in each["name"])
    whole = access({"a": 1}, roles=("operator",))
    for where in ((), ("a",)):
        assert refusal(whole.get, where, given).code == errors.NOT_FOUND.code
    assert whole.get((), OPERATOR) == {"a": 1}


def test_roles_of_the_configuration_and_of_marks_are_both_needed() -> None:
    closed = access(Motor(), roles=("operator",))
    assert closed.get(("stage", "height"), OPERATOR) == 1
    assert closed.resolve_call(("move",), OPERATOR).bind([3], {}) == ([3], {})
    assert refusal(closed.resolve_call, ("reset",), OPERATOR).code == errors.NOT_FOUND.code
    assert closed.resolve_call(("reset",), BOTH) is not None
    assert set(closed.surface(OPERATOR)) == {"position", "limit", "stage", "stage.height", "table", "gain", "move"}


def test_a_channel_is_for_the_roles_that_configuration_and_marks_name() -> None:
    for configured, needed in ((None, None), (("operator",), OPERATOR)):
        assert access(Motor(), roles=configured).channel_roles("position") == needed

    class Alarmed:
        alarm: Annotated[str, roles("chief", "operator")]

    for configured, needed in ((None, BOTH), (("operator",), OPERATOR), (("guard",), frozenset[str]())):
        assert access(Alarmed(), roles=configured).channel_roles("alarm") == needed


class Store:
    fixed: Annotated[dict[str, Any], read_only]
    chiefs: Annotated[dict[str, Any], write_roles("chief")]
    kept: Annotated[dict[str, Any], no_delete]
    sizes: dict[str, list[int]] | None
    days: Annotated[dict[str, dt.date], "by name"]
    points: dict[str, Machine]
    LIMITS: Final = {"rows": [{"a": 1}]}
    machines: ClassVar[dict[str, Any]] = {"rows": [{"a": 1}]}

    def __init__(self) -> None:
        self.fixed, self.chiefs, self.kept, self._inner = ({"rows": [{"a": 1}]} for _ in range(4))
        self.sizes = {"rows": [1]}
        self.days = {"rows": dt.date(2026, 1, 1)}
        self.points = {}

    @property
    def shown(self) -> dict[str, Any]:
        return self._inner

    @property
    def loose(self) -> dict[str, Any]:
        return self._inner

    @loose.setter
    def loose(self, value: dict[str, Any]) -> None: ...


@pytest.mark.parametrize(
    ("where", "roles", "text"),
    [
        ("fixed", "chief", "is read-only"),
        ("LIMITS", "chief", "is a constant"),
        ("machines", "chief", "is a constant"),
        ("shown", "chief", "is a property that only the object's own code changes"),
        ("chiefs", "operator", "is read-only"),
        ("chiefs", "chief", ""),
        ("kept", "operator", ""),
        ("loose", "operator", ""),
    ],
)
def test_what_is_not_to_be_set_is_not_changed_in_part(where: str, roles: str, text: str) -> None:
    store = access(target := Store())
    for item, value in (("rows.0.a", 2), ("rows.0", {}), ("new", 1)):
        given = (path(f"{where}.{item}"), value, frozenset({roles}))
        if text:
            error = refusal(store.set, *given)
            assert (error.code, error.executed) == (errors.INVALID_PARAMS.code, "no")
            assert f"cannot be set: what it is in {text}" in error.message
        else:
            store.set(*given)
    for item in ("rows.0", "rows"):
        given = (path(f"{where}.{item}"), frozenset({roles}))
        if text:
            assert "cannot be deleted: what it is in" in refusal(store.delete, *given).message
        elif item == "rows.0":
            store.delete(*given)
    assert getattr(target, where) == ({"rows": [{"a": 1}]} if text else {"rows": [], "new": 1})


def test_items_become_what_the_annotation_of_their_container_says() -> None:
    store = access(target := Store())
    store.set(("days", "rows"), "2026-11-27")
    store.set(("days", "more"), "2026-11-28")
    store.set(("sizes", "rows", "0"), 5)
    store.set(("sizes", "more"), [1, 2])
    assert target.days == {"rows": dt.date(2026, 11, 27), "more": dt.date(2026, 11, 28)}
    assert target.sizes == {"rows": [5], "more": [1, 2]}
    for where, value, text in [
        ("days.rows", "soon", "days.rows: "),
        ("sizes.rows.0", "5", "sizes.rows.0: expected int, got str"),
        ("sizes.more", [1, None], "sizes.more[1]: expected int, got null"),
        ("points.new", {}, "new cannot be set: it is of a type that no page can send"),
    ]:
        assert text in refusal(store.set, path(where), value).message
    assert (target.sizes, target.points) == ({"rows": [5], "more": [1, 2]}, {})


def test_an_object_with_data_that_contains_itself_is_served() -> None:
    target: Any = Store()
    target.endless = {}
    target.endless["self"] = target.endless
    store = access(target)
    assert "endless" in {row["name"] for row in store.interface()["attributes"]}
    assert store.describe(("endless",))["kind"] == "attribute"


def test_what_takes_a_role_to_write_is_read_only_without_it() -> None:
    motor = Motor()
    kept = access(motor, write_roles=("operator",))
    for where in ("position", "limit", "stage.height", "table.a", "table.new", "gain"):
        for error in (refusal(kept.set, path(where), 5, CHIEF), refusal(kept.delete, path(where), CHIEF)):
            assert (error.code, error.denied, "read-only" in str(error)) == (errors.INVALID_PARAMS.code, "role", True)
    assert refusal(kept.set, ("absent",), 5, CHIEF).code == errors.NOT_FOUND.code
    assert (motor.position, motor.stage.height, motor.table, motor.gain) == (0, 1, {"a": 1}, 1)
    for where in ("position", "stage.height", "table.a", "gain"):
        kept.set(path(where), 5, OPERATOR)
    assert (motor.position, motor.stage.height, motor.table, motor.gain) == (5, 5, {"a": 5}, 5)
    assert refusal(kept.set, ("limit",), 5, OPERATOR).denied == "role", "its mark wants another one"
    kept.set(("limit",), 5, BOTH)
    assert kept.describe(("position",), CHIEF)["settable"] is False
    assert kept.describe(("position",), OPERATOR)["settable"] is True
    assert kept.surface(CHIEF) | {"move": "call"} == {
        **dict.fromkeys(("position", "limit", "stage", "stage.height", "table", "gain"), "get"),
        **dict.fromkeys(("move", "reset"), "call"),
    }
    told = {each["name"]: each.get("set_roles") for each in kept.interface()["attributes"]}
    assert (told["position"], told["limit"]) == (["operator"], [])
