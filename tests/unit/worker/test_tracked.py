"""Tracked dicts and lists: every change in place reports, and otherwise they are plain dicts and lists."""

import copy
import json
import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol.nesting import MAX_DEPTH
from wispy.worker.tracked import Lock, Root, TrackedDict, TrackedList, plain, wrap


class Watched:
    """A wrapped value, and how often it reported a change."""

    def __init__(self, value: Any) -> None:
        self.reports = 0
        self.root = Root(Lock(), self._changed)
        self.value = wrap(value, self.root)

    def _changed(self) -> None:
        self.reports += 1


def failing_key(item: Any) -> Any:
    raise ZeroDivisionError


DICT_CHANGES: list[Callable[[Any], Any]] = [
    lambda d: d.__setitem__("a", 5),
    lambda d: d.__setitem__("new", [1]),
    lambda d: d.__delitem__("a"),
    lambda d: d.update({"a": 3}, c=[1]),
    lambda d: d.update([("x", 1)]),
    lambda d: d.setdefault("new", {"x": 1}),
    lambda d: d.pop("a"),
    lambda d: d.popitem(),
    lambda d: d.clear(),
    lambda d: d.__ior__({"z": 1}),
]

LIST_CHANGES: list[Callable[[Any], Any]] = [
    lambda items: items.__setitem__(0, 5),
    lambda items: items.__setitem__(-1, [5]),
    lambda items: items.__setitem__(slice(0, 2), [[7], 8, 9]),
    lambda items: items.__delitem__(0),
    lambda items: items.__delitem__(slice(0, 2)),
    lambda items: items.append({"x": 1}),
    lambda items: items.extend(iter([[1], 2])),
    lambda items: items.insert(1, [2]),
    lambda items: items.remove(3),
    lambda items: items.pop(),
    lambda items: items.pop(0),
    lambda items: items.clear(),
    lambda items: items.reverse(),
    lambda items: items.sort(),
    lambda items: items.sort(key=lambda item: -item, reverse=True),
    lambda items: items.__iadd__((1, 2)),
    lambda items: items.__imul__(2),
]


@pytest.mark.parametrize("change", DICT_CHANGES)
def test_every_change_of_a_dict_reports_once_and_does_what_dict_does(change: Callable[[Any], Any]) -> None:
    expected = {"a": 1, "b": [2]}
    watched = Watched(expected)
    expected = copy.deepcopy(expected)
    assert plain(change(watched.value)) == change(expected)
    assert watched.value == expected
    assert watched.reports == 1


@pytest.mark.parametrize("change", LIST_CHANGES)
def test_every_change_of_a_list_reports_once_and_does_what_list_does(change: Callable[[Any], Any]) -> None:
    expected = [3, 1, 2]
    watched = Watched(expected)
    assert change(watched.value) == change(expected)
    assert watched.value == expected
    assert watched.reports == 1


def test_augmented_assignment_inside_containers() -> None:
    watched = Watched({"items": [1], "more": {"x": 1}})
    items = watched.value["items"]
    watched.value["items"] += [2]
    watched.value["more"] |= {"y": 2}
    assert watched.value["items"] is items
    assert watched.value == {"items": [1, 2], "more": {"x": 1, "y": 2}}
    watched.reports = 0
    items.append(3)
    assert watched.reports == 1
    nested = Watched([[1]])
    inner = nested.value[0]
    nested.value[0] += [2]
    assert nested.value[0] is inner


def test_what_fails_or_changes_nothing_reports_nothing() -> None:
    watched = Watched({"a": [1]})
    for attempt in (
        lambda: watched.value.__delitem__("b"),
        lambda: watched.value.pop("b"),
        lambda: watched.value["a"].remove(9),
        lambda: watched.value["a"].pop(9),
        lambda: watched.value["a"].__setitem__(9, 1),
        lambda: watched.value["a"].extend(1 / 0 for _ in "x"),
        lambda: watched.value.update([1]),
    ):
        with pytest.raises((KeyError, ValueError, IndexError, ZeroDivisionError, TypeError)):
            attempt()
    watched.value.setdefault("a", 5)
    watched.value.pop("b", None)
    assert watched.reports == 0
    assert watched.value == {"a": [1]}


def test_a_sort_that_fails_reports_what_it_may_have_left_behind() -> None:
    watched = Watched([2, 1])
    with pytest.raises(ZeroDivisionError):
        watched.value.sort(key=failing_key)
    assert watched.reports == 1


@pytest.mark.parametrize(
    "enter",
    [
        lambda d, item: d.__setitem__("x", item),
        lambda d, item: d.update(x=item),
        lambda d, item: d.setdefault("x", item),
        lambda d, item: d["list"].append(item),
        lambda d, item: d["list"].extend([item]),
        lambda d, item: d["list"].insert(0, item),
        lambda d, item: d["list"].__setitem__(0, item),
        lambda d, item: d["list"].__setitem__(slice(0, 1), [item]),
        lambda d, item: d["list"].__iadd__([item]),
    ],
)
def test_what_is_nested_in_what_enters_reports_too_and_the_original_does_not(enter: Callable[..., Any]) -> None:
    watched = Watched({"list": [0]})
    original: Any = {"deep": [{"deeper": []}]}
    enter(watched.value, original)
    entered = watched.value.get("x") or next(item for item in watched.value["list"] if item)
    watched.reports = 0
    entered["deep"][0]["deeper"].append(1)
    assert watched.reports == 1
    assert original == {"deep": [{"deeper": []}]}
    original["deep"].append(5)
    assert watched.reports == 1


def test_the_same_list_twice_becomes_two() -> None:
    shared = [1]
    watched = Watched({"a": shared, "b": shared})
    watched.value["a"].append(2)
    assert watched.value == {"a": [1, 2], "b": [1]}
    watched.value["c"] = watched.value["a"]
    watched.value["c"].append(3)
    assert watched.value["a"] == [1, 2]
    repeated = Watched([[0]])
    repeated.value *= 2
    repeated.value[0].append(1)
    assert repeated.value == [[0, 1], [0]]


def test_after_detaching_it_is_harmless() -> None:
    watched = Watched({"a": [1]})
    inner = watched.value["a"]
    watched.root.detach()
    inner.append(2)
    watched.value["b"] = 1
    assert watched.reports == 0
    assert watched.value == {"a": [1, 2], "b": 1}


def test_copies_pickles_slices_and_json_are_plain() -> None:
    value = {"a": [1, [2, {"b": 3}]], "c": {}}
    watched = Watched(value)
    deep = copy.deepcopy(watched.value)
    for found in (deep, pickle.loads(pickle.dumps(watched.value)), plain(watched.value)):
        assert found == value
        assert type(found) is dict
        assert type(found["a"]) is list
        assert type(found["a"][1][1]) is dict
    assert type(copy.copy(watched.value)) is dict
    assert type(watched.value.copy()) is dict
    assert type(watched.value["a"][:]) is list
    assert type(watched.value["a"] + [1]) is list
    assert type(watched.value | {}) is dict
    assert json.loads(json.dumps(watched.value)) == value
    assert msgspec.json.decode(msgspec.json.encode(watched.value)) == value
    assert repr(watched.value) == repr(value)
    assert isinstance(watched.value, TrackedDict)
    assert isinstance(watched.value["a"], TrackedList)


def test_other_types_are_kept_as_they_are() -> None:
    ordered, pair = OrderedDict(a=1), ([1], [2])
    watched = Watched({"ordered": ordered, "pair": pair})
    assert watched.value["ordered"] is ordered
    assert watched.value["pair"] is pair


def test_what_contains_itself_stays_as_it_is() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert Watched(endless).value[0] is endless
    # Many ways around: following each to the greatest depth would take for ever.
    tree: dict[str, Any] = {"children": []}
    tree["children"] += [{"name": number, "parent": tree} for number in range(10)]
    watched = Watched(tree)
    assert watched.value["children"][9]["parent"] is tree
    watched.value["children"][9]["name"] = "last"
    assert watched.reports == 1


def test_too_deep_nesting_stays_as_it_is() -> None:
    innermost: list[Any] = []
    value: Any = innermost
    for _ in range(MAX_DEPTH):
        value = [value]
    wrapped = Watched(value).value
    for _ in range(MAX_DEPTH):
        assert type(wrapped) is TrackedList
        wrapped = wrapped[0]
    assert wrapped is innermost


def test_what_other_code_makes_of_its_types_reports_to_nobody() -> None:
    watched = Watched({"items": [1], "count": {}})
    made = type(watched.value)((key, type(item)(item)) for key, item in watched.value.items())
    made["items"].append(2)
    made["count"]["a"] = 1
    made["more"] = [1]
    assert (made, watched.reports) == ({"items": [1, 2], "count": {"a": 1}, "more": [1]}, 0)
    assert not hasattr(made, "missing")


def test_changes_of_many_threads_are_all_there() -> None:
    watched = Watched({"items": [], "count": {}})

    def change(name: str) -> None:
        for number in range(500):
            watched.value["items"].append(number)
            watched.value["count"][name] = number

    threads = [threading.Thread(target=change, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(watched.value["items"]) == 2000
    assert watched.reports == 4000


values = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_any_value_survives_wrapping(value: Any) -> None:
    wrapped = Watched(value).value
    assert wrapped == value
    unwrapped = plain(wrapped)
    assert unwrapped == value
    assert "Tracked" not in str(pickle.dumps(unwrapped))
