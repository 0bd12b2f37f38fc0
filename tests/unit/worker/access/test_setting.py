"""What pages set and delete: what it becomes, and what is left as it was."""

import datetime as dt
from typing import Annotated, Any, ClassVar, Final

import pytest

from tests.unit.worker.access.machine import Colour, Machine, Point, access, fired, path, refusal
from wispy.protocol import errors
from wispy.worker.marks import no_delete, read_only, write_roles

# --- attributes -------------------------------------------------------------------------------------------------------


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


# --- what is in a container -------------------------------------------------------------------------------------------


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
