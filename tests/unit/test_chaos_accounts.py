"""What the chaos run counts as a violation: a check that lets everything pass would show nothing."""

import pytest

from tests.chaos.accounts import Subscriber

Came = tuple[int, str]
"""A value's number and the position at which it came."""


def violations(*came: Came, is_event: bool = False, has_lost: bool = True) -> int:
    subscriber = Subscriber("reader", is_event=is_event, may_go_back=lambda: has_lost)
    for number, at in came:
        subscriber.update(["lease", number], at)
    return len(subscriber.violations)


def test_values_that_rise_are_right() -> None:
    assert violations((1, "7-a:1"), (2, "7-a:2"), (5, "7-a:9")) == 0


@pytest.mark.parametrize("has_lost", [True, False])
def test_a_value_that_goes_back_is_a_violation(has_lost: bool) -> None:
    assert violations((5, "7-a:10"), (4, "7-a:11"), has_lost=has_lost) == 1


def test_a_value_of_before_is_right_in_another_epoch_if_redis_has_lost_data() -> None:
    assert violations((5, "7-a:10"), (4, "8-b:11")) == 0
    assert violations((5, "7-a:10"), (4, "8-b:11"), has_lost=False) == 1


def test_a_value_may_be_stated_anew_at_a_later_position_if_redis_has_lost_data() -> None:
    assert violations((5, "7-a:10"), (5, "7-a:11")) == 0
    assert violations((5, "7-a:10"), (5, "7-a:11"), has_lost=False) == 1
    assert violations((5, "7-a:10"), (5, "7-a:10")) == 1, "the same update twice"


def test_an_event_comes_once_and_in_its_place() -> None:
    assert violations((5, "7-a:10"), (6, "7-a:11"), is_event=True) == 0
    assert violations((5, "7-a:10"), (5, "7-a:11"), is_event=True) == 1
    assert violations((5, "7-a:10"), (7, "7-a:12"), is_event=True) >= 1
