"""Redis in each form in which wispy's users have it, with what a test needs to know of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import redis

from tests.support.certificates import Authority
from tests.support.cluster import ClusterDeployment
from tests.support.sentinel import SentinelDeployment
from tests.support.tls_redis import RIGHTS, Strictness, TlsRedis
from wispy.broker.embedded import EmbeddedServer


@dataclass(frozen=True)
class Topology:
    """A Redis that runs."""

    url: str
    masters: Callable[[], list[redis.Redis]]
    """Connections, with all rights, to each server that has keys."""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of wispy, by dotted key, beside the URL."""
    fail_over: Callable[[], None] | None = None
    """Kills a master and waits until all is whole again; None where there is nothing that would take its place."""

    def lasting_keys(self, prefix: str) -> list[bytes]:
        """The keys with this prefix that have no time to live; all of the prefix are deleted."""
        lasting: list[bytes] = []
        for master in self.masters():
            with master:
                for key in list(master.scan_iter(match=f"{prefix}*", count=1000)):
                    lasting += [key] if master.pttl(key) == -1 else []
                    master.delete(key)
        return lasting


@contextmanager
def valkey(folder: Path) -> Iterator[Topology]:
    """The Valkey that wispy brings along, over a unix socket."""
    server = EmbeddedServer.start()
    path = server.url.removeprefix("unix://")
    try:
        yield Topology(server.url, lambda: [redis.Redis(unix_socket_path=path, protocol=2)])
    finally:
        server.stop()


@contextmanager
def tls_and_acl(folder: Path) -> Iterator[Topology]:
    """Debian's Redis 7, with TLS, certificates of clients, and a user with few rights."""
    server = TlsRedis(Authority(folder), folder)
    with server.running():
        yield Topology(server.url, lambda: [server.admin()], server.strictness.settings)


@contextmanager
def sentinel(folder: Path) -> Iterator[Topology]:
    """A master, a replica and three Sentinels."""
    with SentinelDeployment(folder) as deployment:

        def masters() -> list[redis.Redis]:
            return [redis.Redis(port=deployment.master(), protocol=2)]

        yield Topology(deployment.url, masters, fail_over=deployment.fail_over)


@contextmanager
def cluster(folder: Path, **kind: Any) -> Iterator[Topology]:
    """Three masters; `kind` as for `ClusterDeployment`."""
    with ClusterDeployment(folder, **kind) as deployment:
        yield of_cluster(deployment)


@contextmanager
def strict_cluster(folder: Path) -> Iterator[Topology]:
    """Three masters of Debian's Redis 7, which speak TLS to everybody, and know wispy by a user with few rights."""
    with cluster(folder, strictness=strictness_of_nodes(folder)) as topology:
        yield topology


def strictness_of_nodes(folder: Path) -> Strictness:
    return Strictness(Authority(folder), folder, f"{RIGHTS} +cluster|slots")


def of_cluster(deployment: ClusterDeployment) -> Topology:
    def masters() -> list[redis.Redis]:
        return [deployment.connect(port) for port in deployment.masters()]

    settings = {} if deployment.strictness is None else deployment.strictness.settings
    return Topology(deployment.url, masters, settings, fail_over=deployment.fail_over)


Starter = Callable[[Path], AbstractContextManager[Topology]]

TOPOLOGIES: Final[dict[str, Starter]] = {
    "Valkey 9": valkey,
    "Redis 7, TLS and ACL": tls_and_acl,
    "Sentinel": sentinel,
    "Cluster": cluster,
    "Redis 7 Cluster, TLS and ACL": strict_cluster,
}

FAILING_OVER: Final[dict[str, Starter]] = {"Sentinel": sentinel, "Cluster": partial(cluster, replicas=True)}
