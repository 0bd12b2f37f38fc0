"""A Redis Cluster of three masters, each with a replica or without, on free ports of the loopback."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import redis

from tests.support.deployment import FAILOVER_S, Deployment
from tests.support.stack import free_port
from tests.support.tls_redis import Strictness, debians_server
from tests.support.waiting import wait_until_blocking
from wispy.broker.slots import SLOTS, slot_of

MASTERS: Final = 3

NODE_TIMEOUT_MS: Final = 1000
"""A node that is silent for this long is down: a failover takes one to two seconds more."""

UNFAILING_TIMEOUT_MS: Final = 15_000
"""The same where no replica could take its place: a stall is no reason to call a node down."""


class ClusterDeployment(Deployment):
    """Three masters that share the slots.

    Args:
        folder: for data and logs.
        replicas: whether each master has one.
        strictness: what the nodes want of clients, and of each other; they are Debian's Redis then, since Valkey's
            package speaks no TLS. None: nothing.
    """

    def __init__(self, folder: Path, *, replicas: bool = False, strictness: Strictness | None = None) -> None:
        super().__init__(folder)
        self._has_replicas = replicas
        self.strictness = strictness
        self.ports: list[int] = []
        """The first three are the masters at the beginning."""

    @property
    def url(self) -> str:
        """With two nodes of several: the others are found."""
        scheme = "redis" if self.strictness is None else "rediss"
        return f"{scheme}+cluster://127.0.0.1:{self.ports[0]},127.0.0.1:{self.ports[1]}"

    def _start(self) -> None:
        self.ports = [free_port() for _ in range(MASTERS * (2 if self._has_replicas else 1))]
        for port in self.ports:
            self._start_node(port)
        for number, port in enumerate(self.ports):
            self.ask(port, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number, port in enumerate(self.ports[:MASTERS]):
            first, past = number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS
            self.ask(port, "CLUSTER", "ADDSLOTSRANGE", first, past - 1)
        for port in self.ports[1:]:
            self.ask(port, "CLUSTER", "MEET", "127.0.0.1", self.ports[0])
        wait_until_blocking(
            lambda: all(self._knows_all(port) for port in self.ports), "all nodes know each other", FAILOVER_S
        )
        for master, replica in zip(self.ports, self.ports[MASTERS:], strict=False):
            self.ask(replica, "CLUSTER", "REPLICATE", self.node_id(master))
        wait_until_blocking(self._is_whole, "the Cluster is whole", FAILOVER_S)

    def _start_node(self, port: int) -> None:
        timeout_ms = NODE_TIMEOUT_MS if self._has_replicas else UNFAILING_TIMEOUT_MS
        self._spawn_server(
            port,
            "--cluster-enabled", "yes", "--cluster-node-timeout", str(timeout_ms),
            "--repl-diskless-sync-delay", "0", "--cluster-require-full-coverage", "no",
        )  # fmt: skip

    @property
    def _program(self) -> str:
        return super()._program if self.strictness is None else debians_server()

    def _listening(self, port: int) -> list[str]:
        if self.strictness is None:
            return super()._listening(port)
        return [
            "--port", "0", "--tls-port", str(port), "--tls-cluster", "yes", "--tls-replication", "yes",
            *self.strictness.arguments,
        ]  # fmt: skip

    def connect(self, port: int, **options: Any) -> redis.Redis:
        if self.strictness is None:
            return super().connect(port, **options)
        return self.strictness.admin(port, **options)

    def node_id(self, port: int) -> str:
        return self.ask(port, "CLUSTER", "MYID")

    def _state(self, port: int) -> dict[str, str]:
        text: Any = self.ask(port, "CLUSTER", "INFO")
        return text if isinstance(text, dict) else dict(line.split(":", 1) for line in text.split())

    def _knows_all(self, port: int) -> bool:
        state = self._state(port)
        return state["cluster_known_nodes"] == str(len(self.ports)) and state["cluster_state"] == "ok"

    def _is_whole(self) -> bool:
        """Whether all nodes agree that all is well, and each replica follows its master."""
        with contextlib.suppress(redis.RedisError):
            roles: list[list[Any]] = [self.ask(port, "ROLE") for port in self.ports]
            following = [role for role in roles if role[0] == "slave" and role[3] == "connected"]
            is_complete = len(following) == len(self.ports) - MASTERS
            return is_complete and all(self._knows_all(port) for port in self.ports)
        return False

    def masters(self) -> list[int]:
        """The ports of the masters that run."""
        running = [port for port, process in self._processes.items() if process.poll() is None]
        return [port for port in running if self.ask(port, "ROLE")[0] == "master"]

    def master_of(self, key: str) -> int:
        """The port of the master that has a key."""
        slot = slot_of(key)
        for first, last, master, *_ in self._slots():
            if first <= slot <= last:
                return master[1]
        raise AssertionError(f"nobody serves slot {slot}")

    def _slots(self) -> list[list[Any]]:
        (port, *_) = self.masters()
        with self.connect(port, decode_responses=True) as connection:
            connection.response_callbacks.pop("CLUSTER SLOTS", None)  # it makes the rows something else
            reply: Any = connection.execute_command("CLUSTER", "SLOTS")
        return reply

    def fail_over(self) -> None:
        """SIGKILL to all masters, one after the other; each comes back as a replica of the one that took its place."""
        for former in self.masters():
            self.kill(former)
            wait_until_blocking(lambda: len(self.masters()) == MASTERS, "a replica is promoted", FAILOVER_S)
            self._start_node(former)
            wait_until_blocking(self._is_whole, "the Cluster is whole again", FAILOVER_S)

    def move(self, key: str, to: int) -> None:
        """Move the slot of a key, with all that is in it, to another master: as `redis-cli --cluster reshard` does."""
        with self.moving(key, to):
            pass

    @contextmanager
    def moving(self, key: str, to: int, *first: str) -> Iterator[None]:
        """The same; meanwhile the slot is on its way, with the keys `first` there already."""
        slot, source = slot_of(key), self.master_of(key)
        source_id, target_id = self.node_id(source), self.node_id(to)
        self.ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        self._migrate(source, to, *first)
        try:
            yield
        finally:
            while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
                self._migrate(source, to, *keys)
            others = [port for port in self.masters() if port not in (to, source)]
            for port in (to, source, *others):
                self.ask(port, "CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def _migrate(self, source: int, to: int, *keys: str) -> None:
        login = () if self.strictness is None else ("AUTH2", "admin", "admin")
        for key in keys:
            self.ask(source, "MIGRATE", "127.0.0.1", to, key, 0, 5000, *login)
