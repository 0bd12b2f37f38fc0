"""What the chaos run does to its processes. Each fault ends with everything started again.

They block: the run calls them in a thread, one after another, with pauses in which things settle, or do not.
"""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

from tests.chaos.world import World

PAUSED_S = 2.5
"""How long a stopped process stands: longer than a lease (1.5 s), so that another owner has acquired meanwhile."""

DROPPED_S = 2.0
"""How long packets are dropped: longer than a lease, shorter than a command's time-out."""

DELAYS = 4
DELAY_S = (0.05, 0.6)
"""For how long packets are late, and how long they are not: some are late for longer, since TCP waits before it sends
again. Seldom for longer than a lease."""

MASTER_PAUSED_S = (0.3, 3.0)
"""From a hiccup that nobody notices to longer than a failover takes."""

TABLE = "wispychaos"

Fault = Callable[[World, random.Random], None]


def kill_frontend(world: World, chance: random.Random) -> None:
    """SIGKILL to a frontend."""
    number = chance.randrange(len(world.frontends))
    world.frontends[number].kill()
    world.replace_frontend(number)


def drain_frontend(world: World, chance: random.Random) -> None:
    """SIGTERM to a frontend."""
    number = chance.randrange(len(world.frontends))
    world.frontends[number].stop()
    world.replace_frontend(number)


def roll_frontends(world: World, chance: random.Random) -> None:
    """A rolling restart."""
    del chance
    for number in range(len(world.frontends)):
        world.frontends[number].stop()
        world.replace_frontend(number)


def kill_owner(world: World, chance: random.Random) -> None:
    """SIGKILL to the owner: the standby takes over."""
    del chance
    number = world.owner()
    world.workers[number].kill()
    world.replace_worker(number)


def drain_owner(world: World, chance: random.Random) -> None:
    """SIGTERM to the owner: it hands over."""
    del chance
    number = world.owner()
    world.workers[number].stop()
    world.replace_worker(number)


def kill_two_owners(world: World, chance: random.Random) -> None:
    """SIGKILL to the owner, and then to whoever has just taken over."""
    for _ in range(2):
        kill_owner(world, chance)


def pause_owner(world: World, chance: random.Random) -> None:
    """SIGSTOP the owner for longer than its lease."""
    del chance
    _pause(world.workers[world.owner()])


def pause_frontend(world: World, chance: random.Random) -> None:
    """SIGSTOP a frontend."""
    _pause(chance.choice(world.frontends))


def _pause(service: Any) -> None:
    service.send(signal.SIGSTOP)
    try:
        time.sleep(PAUSED_S)
    finally:
        service.send(signal.SIGCONT)


def cut_connections(world: World, chance: random.Random) -> None:
    """CLIENT KILL: all commands, or all subscriptions."""
    world.redis.ask(world.redis.master(), "CLIENT", "KILL", "TYPE", chance.choice(["normal", "pubsub"]))


def flush_scripts(world: World, chance: random.Random) -> None:
    """SCRIPT FLUSH."""
    del chance
    world.redis.ask(world.redis.master(), "SCRIPT", "FLUSH")


def fail_over(world: World, chance: random.Random) -> None:
    """SIGKILL to the master; it comes back as a replica."""
    del chance
    world.redis.fail_over()


def drop_packets(world: World, chance: random.Random) -> None:
    """The master hears a part of its clients no more, nor they it; nobody is told."""
    port = world.redis.master()
    side = chance.choice(["dport", "sport"])
    _nft(f"add table inet {TABLE}")
    try:
        _nft(f"add chain inet {TABLE} out {{ type filter hook output priority 0; }}")
        _nft(f"add rule inet {TABLE} out tcp {side} {port} drop")
        time.sleep(DROPPED_S)
    finally:
        _nft(f"delete table inet {TABLE}")


def delay_packets(world: World, chance: random.Random) -> None:
    """What one process says and hears comes late, again and again: what is dropped for a moment TCP sends once more."""
    service = chance.choice([*world.frontends, *world.workers])
    ports = ", ".join(str(port) for port in _local_ports(service.pid))
    if not ports:
        return  # it has just been started
    for _ in range(DELAYS):
        _nft(f"add table inet {TABLE}")
        try:
            _nft(f"add chain inet {TABLE} out {{ type filter hook output priority 0; }}")
            for side in ("sport", "dport"):
                _nft(f"add rule inet {TABLE} out tcp {side} {{ {ports} }} drop")
            time.sleep(chance.uniform(*DELAY_S))
        finally:
            _nft(f"delete table inet {TABLE}")
        time.sleep(chance.uniform(*DELAY_S))


def _local_ports(pid: int) -> list[int]:
    """Of the connections that a process has."""
    connections = psutil.Process(pid).net_connections(kind="tcp")
    return sorted({each.laddr.port for each in connections if each.status == psutil.CONN_ESTABLISHED})


def pause_master(world: World, chance: random.Random) -> None:
    """SIGSTOP to the master until another one is chosen, or nearly: it wakes, and does not know."""
    world.redis.pause_master(chance.uniform(*MASTER_PAUSED_S))


def _nft(command: str) -> None:
    subprocess.run(["nft", command], check=True, capture_output=True)


def can_drop_packets() -> bool:
    """Whether this machine lets us."""
    if shutil.which("nft") is None:
        return False
    command = f"add table inet {TABLE}; delete table inet {TABLE}"
    tried = subprocess.run(["nft", command], check=False, capture_output=True)
    return tried.returncode == 0


def all_faults() -> list[Fault]:
    """The faults that this machine can have."""
    faults = [
        kill_frontend,
        drain_frontend,
        roll_frontends,
        kill_owner,
        drain_owner,
        kill_two_owners,
        pause_owner,
        pause_frontend,
        cut_connections,
        flush_scripts,
        fail_over,
        pause_master,
    ]
    return [*faults, drop_packets, delay_packets] if can_drop_packets() else faults
