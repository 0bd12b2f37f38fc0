"""Clocks and timers."""

import asyncio
import time

from wispy.timing import EarliestTimer, boottime, wait_until


def test_boottime_rises_with_the_time_that_passes() -> None:
    before, monotonic = boottime(), time.monotonic()
    while time.monotonic() == monotonic:
        pass
    assert boottime() > before
    assert boottime() - before < 10


async def test_wait_looks_at_once() -> None:
    assert await wait_until(lambda: True, 0)
    assert not await wait_until(lambda: False, 0)


async def test_wait_ends_as_soon_as_the_condition_holds() -> None:
    looks = iter([False, False, True])
    assert await wait_until(lambda: next(looks), 30, look_every_s=0.001)


async def test_wait_gives_up() -> None:
    started = time.monotonic()
    assert not await wait_until(lambda: False, 0.02, look_every_s=0.005)
    assert time.monotonic() - started >= 0.02


class Clock:
    """A timer, and when it fired."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.started = self.loop.time()
        self.fired: list[float] = []
        self.timer = EarliestTimer(self.loop, self.fire)

    def fire(self) -> None:
        self.fired.append(self.loop.time() - self.started)

    def at(self, seconds: float) -> None:
        self.timer.at(self.started + seconds)

    async def fires(self, times: int) -> None:
        assert await wait_until(lambda: len(self.fired) == times, 5, look_every_s=0.002), self.fired


async def test_timer_fires_once_at_the_earliest_time() -> None:
    clock = Clock()
    clock.at(60)
    clock.at(0.03)
    clock.at(20)
    await clock.fires(1)
    assert 0.025 < clock.fired[0] < 5
    clock.at(0.06)
    await clock.fires(2)


async def test_timer_fires_at_once_for_a_time_that_has_passed() -> None:
    clock = Clock()
    clock.at(-10)
    await clock.fires(1)


async def test_timer_may_be_set_from_its_callback() -> None:
    clock = Clock()
    fire = clock.fire

    def again() -> None:
        fire()
        if len(clock.fired) < 3:
            clock.timer.at(clock.loop.time())

    clock.timer = EarliestTimer(clock.loop, again)
    clock.at(0)
    await clock.fires(3)


async def test_cancelled_timer_does_not_fire_and_may_be_set_again() -> None:
    clock = Clock()
    clock.at(0)
    clock.timer.cancel()
    clock.timer.cancel()
    clock.at(0.02)
    await clock.fires(1)
    assert clock.fired[0] > 0.01
