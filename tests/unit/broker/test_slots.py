import pytest

from wispy.broker.keys import Keys
from wispy.broker.slots import SLOTS, Node, SlotMap, node_named, slot_of

A, B, C = Node("10.0.0.1", 1), Node("b.example", 2), Node("10.0.0.3", 3)


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        ("123456789", 12739),  # the specification's own example
        ("foo", 12182),
        ("", 0),
        ("x{foo}y{bar}", 12182),
        ("{}foo", slot_of(b"{}foo")),  # an empty tag is none
        ("{foo", slot_of(b"{foo")),
        ("foo{}{bar}", slot_of(b"foo{}{bar}")),
        ("{{bar}}zap", slot_of("{bar")),
    ],
)
def test_slots_are_those_of_the_specification(key: str, slot: int) -> None:
    assert slot_of(key) == slot_of(key.encode()) == slot


def test_a_tag_that_is_none_leaves_the_whole_key() -> None:
    assert slot_of("{}foo") != slot_of("foo") != slot_of("foo{}{bar}") != slot_of("bar")


def test_all_names_of_an_object_share_a_slot() -> None:
    keys = Keys().of("sample")
    names = [
        *keys.lasting(["a", "b"]),
        keys.notices,
        keys.cancels,
        keys.updates("a"),
        keys.replies("f"),
        keys.body("s", 1),
    ]
    assert {slot_of(name) for name in names} == {slot_of("sample")}


def test_who_serves_what_is_read() -> None:
    reply = [
        [0, 99, [b"10.0.0.1", 1, b"id"], [b"10.0.0.3", 3, b"id", []]],
        [200, SLOTS - 1, [b"b.example", 2, b"id"]],
        [100, 150, [b"10.0.0.1", 1, b"id"]],
    ]
    served = SlotMap.parse(reply, A)
    assert [served.node_of(slot) for slot in (0, 99, 100, 150, 151, 200, SLOTS - 1)] == [A, A, A, A, None, B, B]
    assert served.masters == {A: [(0, 99), (100, 150)], B: [(200, SLOTS - 1)]}
    assert served.nodes == [A, B, C], "replicas may be asked, too"
    assert not served.is_whole
    assert SlotMap.parse([[0, SLOTS - 1, [b"10.0.0.1", 1]]], A).is_whole


@pytest.mark.parametrize(
    ("error", "node"),
    [
        ("MOVED 7 10.0.0.2:6380", Node("10.0.0.2", 6380)),
        ("ASK 7 ::1:6380", Node("::1", 6380)),
        ("MOVED 7 :6380", Node("b.example", 6380)),
        ("ASK 7 ?:6380", Node("b.example", 6380)),
    ],
)
def test_the_node_that_an_error_names_is_read(error: str, node: Node) -> None:
    assert node_named(error, B) == node


@pytest.mark.parametrize("host", [None, b"", b"?"])
def test_a_node_that_does_not_know_its_host_is_where_it_was_asked(host: bytes | None) -> None:
    assert SlotMap.parse([[0, 1, [host, 7]]], B).node_of(0) == Node("b.example", 7)
