"""The tie between an object and its channels: attributes that follow, classes that look the same, and its undoing."""

import copy
import inspect
import logging
import pickle
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from wispy.worker.binding import Binding, ChannelAttribute, binding_of
from wispy.worker.channels import Channels


class Sample:
    """A sample."""

    a = 1
    untouched = 5
    tracked_channel_values: ClassVar[Any] = {"a": 1, "b": "test", "c": [2, 3], "d": {"e": 5}}

    def test_sum(self, a: int, b: int) -> int:
        return a + b

    def set_a(self, a: Any) -> None:
        self.a = a


def bind(target: Any, *, add_attributes: bool = True, events: tuple[str, ...] = ("alarm",)) -> Binding:
    channels = Channels("sample", dict.fromkeys(events), history=10, limit=100)
    values = getattr(target, "tracked_channel_values", {})
    binding = Binding("sample", target, channels, values, add_attributes=add_attributes)
    channels.flush()
    return binding


def news(binding: Binding) -> dict[str, bytes]:
    return {update.channel: update.value for update in binding.channels.flush()}


@pytest.fixture
def sample() -> Any:
    return Sample()


def test_attribute_and_channel_follow_each_other(sample: Any) -> None:
    binding = bind(sample)
    sample.a = 2
    assert news(binding) == {"a": b"2"}
    sample.set_a(3)
    assert news(binding) == {"a": b"3"}
    sample.tracked_channel_values["a"] = [4]
    assert sample.a == [4]
    sample.tracked_channel_values["a"].append(5)
    sample.c += [4]
    sample.d["e"] = 6
    assert news(binding) == {"a": b"[4,5]", "c": b"[2,3,4]", "d": b'{"e":6}'}
    assert sample.b == "test"


def test_neither_the_class_nor_other_instances_change(sample: Any) -> None:
    before = dict(vars(Sample))
    other = Sample()
    binding = bind(sample)
    sample.a = 2
    sample.tracked_channel_values["c"].append(9)
    assert (Sample.a, other.a) == (1, 1)
    assert dict(vars(Sample)) == before
    assert Sample.tracked_channel_values["c"] == [2, 3]
    assert type(other) is Sample
    other.a = 7
    assert news(binding) == {"a": b"2", "c": b"[2,3,9]"}


def test_it_still_looks_like_what_it_was(sample: Any) -> None:
    bind(sample)
    assert sample.__class__ is Sample
    assert isinstance(sample, Sample)
    made = type(sample)
    assert (made.__name__, made.__qualname__, made.__module__, made.__doc__) == (
        Sample.__name__,
        Sample.__qualname__,
        Sample.__module__,
        Sample.__doc__,
    )
    assert made.__bases__ == (Sample,)
    assert isinstance(inspect.getattr_static(sample, "a"), ChannelAttribute)
    assert made.a == 1
    assert vars(sample) == {}
    assert sample.test_sum(4, 5) == 9


def test_deleting_falls_back_to_the_class(sample: Any) -> None:
    binding = bind(sample)
    sample.a = 2
    news(binding)
    del sample.a
    assert sample.a == 1
    assert news(binding) == {"a": b"1"}
    with pytest.raises(AttributeError):
        del sample.a
    sample.a = 3
    assert (sample.a, news(binding)) == (3, {"a": b"3"})


def test_deleting_what_the_class_does_not_have(sample: Any) -> None:
    binding = bind(sample)
    del sample.b
    assert news(binding) == {"b": b"null"}
    with pytest.raises(AttributeError, match="'Sample' object has no attribute 'b'"):
        _ = sample.b
    assert not hasattr(sample, "b")
    with pytest.raises(AttributeError):
        del sample.b
    sample.b = 5
    assert (sample.b, news(binding)) == (5, {"b": b"5"})


def test_a_channel_set_by_its_key_after_the_attribute_was_deleted(sample: Any) -> None:
    bind(sample)
    del sample.b
    sample.tracked_channel_values["b"] = "back"
    assert sample.b == "back"
    del sample.b
    sample.tracked_channel_values.update(b=["again"])
    assert sample.b == ["again"]


def test_the_class_value_is_not_changed_through_the_channel() -> None:
    class Board:
        items = [1]  # noqa: RUF012
        tracked_channel_values = {"items": [2]}  # noqa: RUF012

    board: Any = Board()
    bind(board)
    del board.items
    board.items.append(5)
    assert (board.items, Board.items) == ([1, 5], [1])


def test_removing_the_channel_leaves_the_attribute_to_the_class(sample: Any) -> None:
    binding = bind(sample)
    del sample.tracked_channel_values["a"]
    assert [update.kind for update in binding.channels.flush()] == ["removed"]
    assert sample.a == 1
    with pytest.raises(AttributeError):
        del sample.a
    sample.a = 4
    assert (sample.a, news(binding)) == (4, {"a": b"4"})


def test_what_is_set_on_the_instance_is_the_start_value() -> None:
    sample: Any = Sample()
    sample.a = 42
    sample.c = [1]
    binding = bind(sample)
    assert binding.channels.values == {"a": 42, "b": "test", "c": [1], "d": {"e": 5}}
    del sample.a
    assert sample.a == 1


def test_replacing_all_values(sample: Any) -> None:
    binding = bind(sample)
    sample.tracked_channel_values = {"a": 5, "new": 1}
    kinds = {update.channel: update.kind for update in binding.channels.flush()}
    assert kinds == {"a": "value", "new": "value", "b": "removed", "c": "removed", "d": "removed"}
    assert sample.a == 5
    assert sample.tracked_channel_values == {"a": 5, "new": 1}


def test_methods_and_properties_stay_the_authors() -> None:
    class Instrument:
        tracked_channel_values = {"level": 1, "measure": 2, "fixed": 3, "not a name": 4, "__dict__": 5}  # noqa: RUF012

        @property
        def level(self) -> str:
            return "property"

        def measure(self) -> str:
            return "method"

        @staticmethod
        def fixed() -> str:
            return "static"

    instrument: Any = Instrument()
    binding = bind(instrument)
    assert (instrument.level, instrument.measure(), instrument.fixed()) == ("property", "method", "static")
    assert binding.channels.values["level"] == 1
    assert binding.followed == []


class Slotted:
    __slots__ = ("a", "b")
    tracked_channel_values: ClassVar[Any] = {"a": 1, "b": 2}

    def __init__(self) -> None:
        self.a = 10


def test_slots() -> None:
    slotted: Any = Slotted()
    binding = bind(slotted)
    assert binding.is_following
    assert (slotted.a, slotted.b) == (10, 2)
    slotted.a = 11
    assert news(binding) == {"a": b"11"}
    del slotted.a
    assert not hasattr(slotted, "a")
    slotted.a = 12
    copied = copy.copy(slotted)
    assert (type(copied), copied.a, copied.b) == (Slotted, 12, 2)
    binding.release()
    assert (type(slotted), slotted.a, slotted.b) == (Slotted, 12, 2)


def test_copies_and_pickles_are_plain_instances_of_the_class(sample: Any) -> None:
    binding = bind(sample)
    sample.a = [1]
    sample.extra = {"x": 1}
    del sample.b
    news(binding)
    made: Any
    for made in (copy.copy(sample), copy.deepcopy(sample), pickle.loads(pickle.dumps(sample))):
        assert type(made) is Sample
        assert vars(made) == {"a": [1], "c": [2, 3], "d": {"e": 5}, "extra": {"x": 1}}
        made.a = 5
        assert type(vars(made)["c"]) is list
    assert sample.a == [1]
    assert not binding.channels.is_dirty


@dataclass
class Point:
    x: float = 0
    y: float = 0

    tracked_channel_values = {"x": 0}  # noqa: RUF012


def test_dataclasses_stay_equal() -> None:
    point = Point(3, 4)
    bind(point)
    assert point == Point(3, 4)
    assert repr(point) == "Point(x=3, y=4)"
    point.x = 5
    assert point == Point(5, 4)


def test_publish_and_name_are_added_where_there_are_none(sample: Any) -> None:
    binding = bind(sample)
    sample.publish("alarm", "hot")
    assert news(binding) == {"alarm": b'"hot"'}
    assert sample.wispy_name == "sample"
    assert binding.added == {"publish", "wispy_name", "tracked_channel_values"}
    with pytest.raises(ValueError, match="no event channel 'x'"):
        sample.publish("x", 1)


def test_own_attributes_are_not_replaced_and_none_added_where_it_is_off() -> None:
    class Paper:
        def publish(self) -> str:
            return "printed"

    paper: Any = Paper()
    binding = bind(paper)
    assert paper.publish() == "printed"
    assert binding.added == {"wispy_name", "tracked_channel_values"}
    bare: Any = Sample()
    binding = bind(bare, add_attributes=False)
    assert not hasattr(bare, "publish")
    bare.a = 3
    assert news(binding) == {"a": b"3"}


def test_an_object_without_channels_can_get_some_as_it_runs() -> None:
    class Plain: ...

    plain: Any = Plain()
    binding = bind(plain)
    assert (plain.wispy_name, dict(plain.tracked_channel_values)) == ("sample", {})
    plain.tracked_channel_values["count"] = 1
    assert news(binding) == {"count": b"1"}
    binding.release()
    assert plain.tracked_channel_values == {"count": 1}, "the next owner begins with it"
    unused: Any = Plain()
    bind(unused).release()
    assert not hasattr(unused, "tracked_channel_values")


def test_nothing_to_add_changes_nothing() -> None:
    class Empty: ...

    empty = Empty()
    assert not bind(empty, add_attributes=False).is_following
    assert type(empty) is Empty


def test_where_python_refuses_the_channels_work_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    class Closed:
        tracked_channel_values: ClassVar[Any] = {"a": 1}

        def __init_subclass__(cls) -> None:
            raise TypeError("this class has no subclasses")

    closed: Any = Closed()
    with caplog.at_level(logging.WARNING):
        binding = bind(closed)
    assert "attributes of sample do not follow its channels: this class has no subclasses" in caplog.text
    assert not binding.is_following
    closed.tracked_channel_values["a"] = 2
    closed.publish("alarm", 1)
    assert news(binding) == {"a": b"2", "alarm": b"1"}
    assert Closed.tracked_channel_values == {"a": 1}
    binding.release()


def test_objects_of_builtin_types_can_be_bound() -> None:
    binding = bind({"x": 1})
    assert not binding.is_following


def test_releasing_gives_the_object_back_as_it_is_now(sample: Any) -> None:
    binding = bind(sample)
    sample.a = [2]
    held = sample.a
    del sample.b
    sample.tracked_channel_values["new"] = 1
    news(binding)
    assert binding_of(sample) is binding
    binding.release()
    assert binding_of(sample) is None
    assert type(sample) is Sample
    assert vars(sample).items() >= {"a": [2], "c": [2, 3], "d": {"e": 5}}.items()
    assert not hasattr(sample, "b")
    assert not hasattr(sample, "publish")
    assert sample.tracked_channel_values == {"a": [2], "b": None, "c": [2, 3], "d": {"e": 5}, "new": 1}
    assert type(sample.a) is list
    held.append(3)
    sample.a = 9
    assert not binding.channels.is_dirty
    again = bind(sample)
    assert again.channels.values["a"] == 9
    binding.release()
    assert binding_of(sample) is again


class Counter:
    def __init__(self, a: int = 1) -> None:
        self.tracked_channel_values = {"a": a}
        self.a = a

    def twin(self, a: int) -> Any:
        return type(self)(a)


class SlottedCounter(Counter):
    __slots__ = ("a", "tracked_channel_values")


@pytest.mark.parametrize("cls", [Counter, SlottedCounter])
def test_an_instance_that_the_object_makes_of_its_own_type_has_no_channels(cls: type[Counter]) -> None:
    binding = bind(counter := cls())
    twin = counter.twin(5)
    assert (twin.a, twin.tracked_channel_values) == (5, {"a": 5})
    twin.a = 6
    twin.tracked_channel_values = {"b": 2}
    assert (counter.a, dict(counter.tracked_channel_values)) == (1, {"a": 1})
    assert news(binding) == {}
    assert type(twin) is cls
    blank: Any = type(counter).__new__(type(counter))
    assert type(pickle.loads(pickle.dumps(type(counter).__new__(type(counter))))) is cls
    with pytest.raises(AttributeError):
        blank.publish("alarm", 1)
    del twin.a
    with pytest.raises(AttributeError):
        _ = twin.a
    assert news(binding) == {}
    binding.release()
    assert counter.a == 1
