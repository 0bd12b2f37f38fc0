import collections
import datetime as dt
import enum
import threading
from typing import Any

import numpy as np
import pytest

from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.worker.containers import copied, delete_item, get_item, is_data, set_item
from wispy.worker.tracked import Root, TrackedDict, TrackedList, wrap


class Colour(enum.Enum):
    RED = 1


class Child: ...


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        1.5,
        "a",
        b"a",
        [1, [2, {"a": (3,)}]],
        {1, 2},
        dt.date(2026, 1, 1),
        Colour.RED,
        np.zeros(3),
        np.float32(1),
    ],
    ids=repr,
)
def test_data(value: Any) -> None:
    assert is_data(value)


@pytest.mark.parametrize(
    "value",
    [Child(), [Child()], {"a": [1, Child()]}, (1, {"x": Child}), len, Child, threading.Lock(), lambda: 1, object()],
    ids=lambda value: type(value).__name__,
)
def test_more_than_data(value: Any) -> None:
    assert not is_data(value)


def test_items_by_key() -> None:
    data = {"a": 1, "1": "text", 2: "number", "-3": "minus"}
    assert [get_item(data, name) for name in ("a", "1", "2", "-3")] == [1, "text", "number", "minus"]
    set_item(data, "2", "replaced")
    set_item(data, "4", "new")
    delete_item(data, "1")
    assert data == {"a": 1, 2: "replaced", "-3": "minus", "4": "new"}


def test_items_by_index() -> None:
    items = [1, 2, 3]
    assert [get_item(items, name) for name in ("0", "2", "-1")] == [1, 3, 3]
    set_item(items, "-1", 9)
    delete_item(items, "0")
    assert items == [2, 9]
    assert get_item(("a", "b"), "1") == "b"


@pytest.mark.parametrize(
    ("container", "name"),
    [
        ({}, "a"),
        ({1: 1}, "01"),
        ({1: 1}, "+1"),
        ({1: 1}, " 1"),
        ({1.5: 1}, "1.5"),
        ({None: 1}, "None"),
        ([1], "1"),
        ([1], "-2"),
        ([1], "x"),
        ([1], "0.0"),
        ([1], "00"),
        ([1], "\u0660"),
        ([1], "1" * 30),
        ([1], "append"),
        ((1,), "count"),
        (collections.defaultdict(list), "a"),
    ],
    ids=repr,
)
def test_what_is_not_there(container: Any, name: str) -> None:
    for operation in (get_item, delete_item):
        with pytest.raises(RPCError) as caught:
            operation(container, name)
        assert caught.value.code == errors.NOT_FOUND.code
    if not isinstance(container, dict):
        with pytest.raises(RPCError):
            set_item(container, name, 1)
    assert len(container) <= 1


def test_children_stay() -> None:
    child = Child()
    for container, name in (({"a": child}, "a"), ([child], "0"), ({"a": [child]}, "a"), ((1, 2), "0")):
        for operation in (lambda: set_item(container, name, 1), lambda: delete_item(container, name)):  # noqa: B023
            with pytest.raises(RPCError) as caught:
                operation()
            assert caught.value.code == errors.INVALID_PARAMS.code


def test_tracked_ones_report_the_change() -> None:
    changes: list[int] = []
    root = Root(threading.RLock(), lambda: changes.append(1))
    tracked = wrap({"a": [1]}, root)
    assert (type(tracked), type(tracked["a"])) == (TrackedDict, TrackedList)
    set_item(get_item(tracked, "a"), "0", 2)
    set_item(tracked, "b", {"c": 1})
    delete_item(tracked, "b")
    assert tracked == {"a": [2]}
    assert len(changes) == 3


def test_copies_share_no_container() -> None:
    child = Child()
    value: Any = collections.OrderedDict(a=[1, {"b": child}], c=({"d": 1},))
    copy: Any = copied(value)
    assert copy == value
    assert type(copy) is collections.OrderedDict
    assert copy["a"] is not value["a"]
    assert copy["a"][1] is not value["a"][1]
    assert copy["c"][0] is not value["c"][0]
    assert copy["a"][1]["b"] is child


def tree() -> dict[str, Any]:
    """A structure that leads back to itself in several ways."""
    root: dict[str, Any] = {"children": []}
    root["children"] += [{"name": number, "parent": root} for number in range(5)]
    return root


def test_what_contains_itself_is_data_like_any_other() -> None:
    root = tree()
    assert is_data(root)
    root["children"].append(threading.Lock())
    assert not is_data(root)


def test_a_copy_of_what_contains_itself_does_so_too() -> None:
    root = tree()
    copy = copied(root)
    assert copy["children"][4]["parent"] is copy
    copy["children"][0]["name"] = "new"
    assert root["children"][0]["name"] == 0
