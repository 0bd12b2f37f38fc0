"""How much of partly received messages is held."""

from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol.room import FREE, Room, Share


def test_what_is_beyond_the_first_bytes_counts() -> None:
    room = Room(100)
    share = Share(room)
    assert share.grow(FREE)
    assert room.taken == 0
    assert share.grow(60)
    assert room.taken == 60
    other = Share(room)
    assert other.grow(FREE + 40)
    assert room.taken == 100
    assert not share.grow(1)
    assert (room.taken, room.refused) == (100, 1)
    assert Share(room).grow(FREE), "a usual message is none of those that fill it"
    other.give_back()
    assert share.grow(40)
    assert not other.grow(FREE + 1), "a share is used for the next message from its beginning"
    share.give_back()
    share.give_back()
    other.give_back()
    assert room.taken == 0


def test_the_age_of_a_message_ends_with_it() -> None:
    share = Share(Room())
    assert share.age(1, is_read=True) == 0
    assert share.grow(5)
    assert [share.age(now, is_read=True) for now in (10, 12, 15)] == [0, 2, 5]
    share.give_back()
    assert share.age(20, is_read=True) == 0
    assert share.grow(5)
    assert [share.age(now, is_read=now != 33) for now in (30, 32, 33, 40, 41)] == [0, 2, 0, 0, 1]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3 * FREE)), max_size=60))
def test_what_is_taken_is_what_the_shares_hold(steps: list[tuple[int, int]]) -> None:
    room = Room(5 * FREE)
    shares = [Share(room) for _ in range(5)]
    sizes = [0] * 5
    for which, size in steps:
        if size:
            sizes[which] += size if shares[which].grow(size) else 0
        else:
            shares[which].give_back()
            sizes[which] = 0
        assert room.taken == sum(max(0, size - FREE) for size in sizes) <= room.limit
    for share in shares:
        share.give_back()
    assert room.taken == 0
