import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from tests.support.waiting import wait_until
from wispy.frontend.kin import Family, Kin
from wispy.metrics import Snapshot


class Household:
    """A parent and its children, each at its end of a socket."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.family = Family(self.worker)

    async def worker(self) -> list[Snapshot]:
        return [Snapshot("worker")]

    def child(self, name: str) -> Kin:
        async def tell() -> list[Snapshot]:
            snapshot = Snapshot(name)
            snapshot.put("wispy_ready", True)
            return [snapshot]

        mine, its = socket.socketpair()
        child = Kin(tell)
        self.tasks += [asyncio.create_task(self.family.follow(mine)), asyncio.create_task(child.run(its))]
        return child


@pytest.fixture
async def household() -> AsyncIterator[Household]:
    household = Household()
    yield household
    for task in household.tasks:
        task.cancel()
    await asyncio.gather(*household.tasks, return_exceptions=True)


async def told(child: Kin) -> list[str]:
    return sorted(snapshot.process for snapshot in await child.ask())


async def test_a_child_learns_of_all_the_others(household: Household) -> None:
    children = [household.child(f"frontend-{number}") for number in range(3)]

    async def all_know() -> bool:
        return all([len(await told(child)) == 3 for child in children])

    await wait_until(all_know, "all know of all")
    await wait_until(lambda: _knows(children[1], ["frontend-0", "frontend-2", "worker"]), "who they are")


async def test_who_does_not_answer_in_time_is_missing(household: Household) -> None:
    asker, silent = household.child("frontend-0"), household.child("frontend-1")
    household.child("frontend-2")
    await wait_until(lambda: _knows(asker, ["frontend-1", "frontend-2", "worker"]), "all are known")

    async def hang() -> list[Snapshot]:
        await asyncio.Event().wait()
        return []

    silent.tell = hang
    await wait_until(lambda: _knows(asker, ["frontend-2", "worker"]), "those that answer are known")


async def test_nobody_is_told_of_who_has_ended(household: Household) -> None:
    asker, other = household.child("frontend-0"), household.child("frontend-1")
    await wait_until(lambda: _knows(asker, ["frontend-1", "worker"]), "both are known")
    household.tasks[3].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await household.tasks[3]
    await wait_until(lambda: _knows(asker, ["worker"]), "the other one is gone")
    assert await other.ask() == []


async def _knows(child: Kin, names: list[str]) -> bool:
    return await told(child) == names
