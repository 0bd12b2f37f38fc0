"""The model of capacity, with costs that are easy to reckon with."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.capacity.measurements import Costs, Curve, Measurements
from wispy.capacity.model import Load, frontend_share, plan, redis_share, worker_share


def flat(us: float) -> Curve:
    return Curve([(1.0, us)])


MEASURED = Measurements(
    machine={},
    calls=Costs(frontend=flat(100), redis=flat(20), worker=flat(200)),
    shared_calls=Costs(frontend=flat(300), redis=flat(50), worker=flat(400)),
    updates=Costs(frontend=flat(50), redis=flat(30), worker=flat(500)),
    deliveries=Curve([(1.0, 10.0), (100.0, 1.0)]),
    frontend_bytes=1_000_000,
    connection_bytes=4000,
    idle_connection_us=2.0,
)


def test_costs_add_up() -> None:
    load = Load(connections=1000, updates=1, calls=100)
    # calls 100 x 100 us, the update 50 us, 1,000 deliveries x 10 us, idle 1,000 x 2 us
    assert frontend_share(load, MEASURED, 1) == pytest.approx(0.01 + 0.00005 + 0.01 + 0.002)
    assert redis_share(load, MEASURED, 1) == pytest.approx(0.002 + 0.00003)
    assert worker_share(load, MEASURED, 1) == pytest.approx(0.02 + 0.0005)


def test_each_of_several_frontends_has_a_part_of_all_but_the_updates() -> None:
    load = Load(connections=1000, updates=1, calls=100)
    assert frontend_share(load, MEASURED, 2) == pytest.approx((0.01 + 0.01 + 0.002) / 2 + 0.00005)
    assert redis_share(load, MEASURED, 2) == pytest.approx(0.002 + 0.00006), "each gets each update"


def test_what_a_connection_gets_more_often_costs_less() -> None:
    often = Load(connections=1000, updates=100)
    seldom = Load(connections=1000, updates=100, followers=10)
    assert (often.deliveries, seldom.deliveries) == (100_000, 1000)
    assert frontend_share(often, MEASURED, 1) == pytest.approx(0.005 + 0.1 + 0.002)
    assert frontend_share(seldom, MEASURED, 1) == pytest.approx(0.005 + 0.01 + 0.002)


def test_a_load_of_nothing_takes_one_of_each() -> None:
    found = plan(Load(), MEASURED)
    assert [(part.name, part.number, part.share) for part in found.parts] == [
        ("frontend", 1, 0), ("Redis", 1, 0), ("worker", 1, 0)
    ]  # fmt: skip
    assert not found.problems


@pytest.mark.parametrize(
    ("load", "numbers", "bottleneck"),
    [
        (Load(calls=2500), (1, 1, 1), "worker"),
        (Load(calls=10_000, objects=10), (2, 1, 4), "frontend"),
        (Load(calls=100_000, objects=100), (17, 4, 34), "frontend"),
        (Load(calls=1000, call_ms=5, is_shared=True), (1, 1, 9), "worker"),
        (Load(connections=100_000), (5, 1, 1), "frontend"),
        (Load(connections=40_000, updates=1), (2, 1, 1), "frontend"),
    ],
    ids=["one worker", "frontends", "Redis", "shared", "connections", "deliveries"],
)
def test_how_many_there_are(load: Load, numbers: tuple[int, int, int], bottleneck: str) -> None:
    found = plan(load, MEASURED, 0.6)
    assert not found.problems
    assert tuple(part.number for part in found.parts) == numbers
    assert found.bottleneck == bottleneck
    assert all(part.share <= 0.6 for part in found.parts)


def test_memory_is_that_of_the_process_and_its_connections() -> None:
    found = plan(Load(connections=40_000), MEASURED)
    assert found.frontends.number == 2
    assert found.frontends.bytes == 1_000_000 + 20_000 * 4000


@pytest.mark.parametrize(
    ("load", "problem"),
    [
        (Load(calls=10_000), "an object's calls and updates are too many for its worker, with 1 objects"),
        (Load(calls=100, call_ms=10), "share a stateless one"),
        (Load(updates=20_000, objects=100), "updates/s are too many for any frontend"),
        (Load(calls=100_000, objects=3), "Redis would need 4 servers, and 3 objects"),
    ],
)
def test_what_no_number_is_enough_for(load: Load, problem: str) -> None:
    found = plan(load, MEASURED, 0.6)
    assert [each for each in found.problems if problem in each], found.problems


loads = st.builds(
    Load,
    connections=st.integers(0, 200_000),
    updates=st.floats(0, 1000),
    followers=st.none() | st.integers(1, 1000),
    calls=st.floats(0, 100_000),
    call_ms=st.floats(0, 10),
    objects=st.integers(1, 500),
)


@given(loads, st.floats(0.1, 1))
def test_nothing_is_busier_than_it_may_be_and_one_less_would_be(load: Load, utilisation: float) -> None:
    found = plan(load, MEASURED, utilisation)
    if found.problems:
        return
    assert all(part.share <= utilisation for part in found.parts)
    assert found.workers.number <= load.objects
    fewer: list[tuple[int, Any]] = [(found.frontends.number, frontend_share), (found.workers.number, worker_share)]
    for number, share_of in fewer:
        if number > 1 and (number - 1) * 20_000 >= load.connections:
            assert share_of(load, MEASURED, number - 1) > utilisation
