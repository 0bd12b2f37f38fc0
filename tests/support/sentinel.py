"""A master, its replicas and their Sentinels, each a process on a free port of the loopback."""

import contextlib
import time
from pathlib import Path

import redis

from tests.support.deployment import FAILOVER_S, Deployment
from tests.support.stack import free_port
from tests.support.waiting import wait_until_blocking

DOWN_AFTER_MS = 500
"""A server that is silent for this long is down: a failover takes about a second more."""

MASTER = "lab"


class SentinelDeployment(Deployment):
    """One master, one replica and three Sentinels.

    Args:
        folder: for data and logs.
        is_safe: a server takes no writes while no replica has heard of it lately: what a master that is cut off still
            takes is lost.
    """

    def __init__(self, folder: Path, *, is_safe: bool = False) -> None:
        super().__init__(folder)
        self._is_safe = is_safe
        self.servers: list[int] = []
        """Ports; the first one is the master at the beginning."""
        self.sentinels: list[int] = []

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}"

    def _start(self) -> None:
        master = free_port()
        self.start_server(master)
        replica = free_port()
        self.start_server(replica, "--replicaof", "127.0.0.1", str(master))
        self.servers = [master, replica]
        for _ in range(3):
            port = free_port()
            lines = (
                f"port {port}",
                "bind 127.0.0.1",
                f"dir {self._directory(port)}",
                f"sentinel monitor {MASTER} 127.0.0.1 {master} 2",
                f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
                f"sentinel failover-timeout {MASTER} 5000",
            )
            path = self._directory(port) / "sentinel.conf"
            path.write_text("\n".join(lines) + "\n")
            self._spawn(port, str(path), "--sentinel")
            self.sentinels.append(port)
        for port in self.sentinels:
            wait_until_blocking(
                lambda port=port: self._knows_all(port), "each Sentinel knows the replica and the others", FAILOVER_S
            )

    def start_server(self, port: int, *extra: str) -> None:
        """A server on this port."""
        safe = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "2") if self._is_safe else ()
        self._spawn_server(port, *safe, *extra)

    def _knows_all(self, port: int) -> bool:
        rows: list[str] = self.ask(port, "SENTINEL", "MASTER", MASTER)
        state = dict(zip(rows[::2], rows[1::2], strict=True))
        return int(state["num-slaves"]) == 1 and int(state["num-other-sentinels"]) == 2

    def kill_master(self) -> int:
        """SIGKILL to the present master; its port."""
        master = self.master()
        self.kill(master)
        return master

    def master(self) -> int:
        """The port of the server that the Sentinels call the master."""
        for port in self.sentinels:
            with contextlib.suppress(redis.RedisError):
                return int(self.ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])
        raise AssertionError("no Sentinel answers")

    def fail_over(self) -> None:
        """SIGKILL to the present master; it comes back as a replica of the next one, with all that this one has."""
        former = self.kill_master()
        wait_until_blocking(lambda: self.master() != former, "the Sentinels name another master", FAILOVER_S)
        self.start_server(former, "--replicaof", "127.0.0.1", str(self.master()))
        wait_until_blocking(self._is_whole, "the master has a replica again", FAILOVER_S)

    def pause_master(self, seconds: float) -> None:
        """SIGSTOP to the present master for a while."""
        with self.paused(self.master()):
            time.sleep(seconds)
        wait_until_blocking(self._is_whole, "the master has a replica again", FAILOVER_S)

    def _is_whole(self) -> bool:
        """Whether there is a replica that follows the master, and that the Sentinels would choose.

        Which of the two servers that is is open: on a busy machine the Sentinels may have changed their mind meanwhile.
        """
        with contextlib.suppress(redis.RedisError):
            master = self.master()
            (port,) = (each for each in self.servers if each != master)
            role: list[str] = self.ask(port, "ROLE")
            rows: list[list[str]] = self.ask(self.sentinels[0], "SENTINEL", "REPLICAS", MASTER)
            flags = {row[row.index("port") + 1]: row[row.index("flags") + 1] for row in rows}
            return role[0] == "slave" and role[3] == "connected" and flags.get(str(port)) == "slave"
        return False
