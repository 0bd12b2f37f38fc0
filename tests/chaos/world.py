"""The processes of a chaos run: Valkey, a replica and Sentinels; frontends behind haproxy; a worker and its standby."""

import contextlib
from pathlib import Path
from typing import Any

import redis

from tests.support.balancers import HAPROXY
from tests.support.sentinel import SentinelDeployment
from tests.support.stack import Frontend, Service, Stack, command, flags, free_port
from tests.support.waiting import wait_until_blocking

FRONTENDS = 3
WORKERS = 2

OBJECT = "ledger=served:Ledger"

HAPROXY_CONFIG = """
global
    maxconn 2000
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option redispatch
    retries 3
listen wispy
    bind 127.0.0.1:{port}
    balance roundrobin
    option httpchk GET /readyz
    http-check send hdr Host localhost
    default-server inter 200ms fall 1 rise 1 check
{servers}
"""


class World:
    """Everything that runs, and can be broken. Its methods block: call them in a thread.

    Args:
        folder: an empty folder for logs, data and the book.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.book = folder / "book"
        self.news = folder / "news"
        self.redis = SentinelDeployment(folder, is_safe=True)
        self._stack: Stack | None = None
        self._ports = [free_port() for _ in range(FRONTENDS)]
        self._balancer_port = free_port()
        self.frontends: list[Frontend] = []
        self.workers: list[Service] = []
        self._started = 0

    @property
    def url(self) -> str:
        """The balancer's address."""
        return f"http://127.0.0.1:{self._balancer_port}"

    def start(self) -> None:
        if HAPROXY is None:
            raise FileNotFoundError("the chaos run needs haproxy: make programs")
        self.book.touch()
        self.news.touch()
        self.redis.__enter__()
        self._stack = Stack(
            self.redis.url,
            folder=Path(__file__).parent,
            logs=self._folder,
            **{"session.secret": "the frontends of the chaos run", "port": 0},
        )
        self.workers = [self._worker() for _ in range(WORKERS)]
        self.frontends = [self._frontend(port) for port in self._ports]
        servers = "\n".join(f"    server f{port} 127.0.0.1:{port}" for port in self._ports)
        config = self._folder / "haproxy.conf"
        config.write_text(HAPROXY_CONFIG.format(port=self._balancer_port, servers=servers))
        self._stack.run([HAPROXY, "-f", str(config)])
        for frontend in self.frontends:
            self._wait_until_ready(frontend)
        wait_until_blocking(
            lambda: any(worker.says("is served here") for worker in self.workers), "a worker serves the object", 30
        )

    @property
    def stack(self) -> Stack:
        assert self._stack is not None
        return self._stack

    def _log(self, kind: str) -> Path:
        self._started += 1
        return self._folder / f"{self._started:03}-{kind}.log"

    def _config(self, **more: Any) -> list[str]:
        common = {"redis.url": self.redis.url, "redis.prefix": self.stack.prefix}
        return flags({**common, "session.secret": "the frontends of the chaos run", **more})

    def _worker(self) -> Service:
        service = Service(
            [command("wispy-worker"), *self._config(), "--object", OBJECT],
            folder=Path(__file__).parent,
            log=self._log("worker"),
            env={"CHAOS_BOOK": str(self.book), "CHAOS_NEWS": str(self.news)},
        )
        self.stack.services.append(service)
        return service

    def _frontend(self, port: int) -> Frontend:
        settings = self._config(port=port, multiprocessed="false")
        frontend = Frontend([command("wispy-frontend"), *settings], folder=self._folder, log=self._log("frontend"))
        self.stack.services.append(frontend)
        return frontend

    def _wait_until_ready(self, frontend: Frontend) -> None:
        frontend.wait_until_listening()
        wait_until_blocking(
            lambda: frontend.readiness()[0] == 200, lambda: f"{frontend.address} is ready: {frontend.output}", 30
        )

    def replace_frontend(self, number: int) -> None:
        """Start another in its place: what ended, ended."""
        self.stack.services.remove(self.frontends[number])
        self.frontends[number] = self._frontend(self._ports[number])
        self._wait_until_ready(self.frontends[number])

    def replace_worker(self, number: int) -> None:
        self.stack.services.remove(self.workers[number])
        self.workers[number] = self._worker()
        self.workers[number].wait_until_says("stands by|is served here")

    def owner(self) -> int:
        """Which worker owns the object, as far as the record says; 0 where it says nothing of use."""
        holder = None
        with contextlib.suppress(redis.RedisError):  # the master is away, or has just lost its data
            holder = self.redis.ask(self.redis.master(), "HGET", f"{self.stack.prefix}{{ledger}}:owner", "holder")
        pids = [f"pid {worker.pid}" for worker in self.workers]
        return next((number for number, pid in enumerate(pids) if str(holder).endswith(pid)), 0)

    def leftovers(self) -> list[str]:
        """What is in Redis without a bound, or should be gone by now."""
        master = self.redis.master()
        keys: list[str] = self.redis.ask(master, "KEYS", f"{self.stack.prefix}*")
        found = [f"the key {key} has no time to live" for key in keys if self.redis.ask(master, "PTTL", key) == -1]
        stream = f"{self.stack.prefix}{{ledger}}:requests"
        entries: list[Any] = self.redis.ask(master, "XRANGE", stream, "-", "+", "COUNT", "3")
        if entries:
            groups: list[Any] = self.redis.ask(master, "XINFO", "GROUPS", stream)
            found.append(f"entries are left in the stream: {entries}, the cursor is {groups}")
        return found

    def stop(self) -> list[str]:
        """End everything; what did not end by itself is a violation."""
        left: list[str] = []
        try:
            if self._stack is not None:
                self._stack.close()
        except AssertionError as error:
            left.append(f"a process did not end: {str(error)[:500]}")
        finally:
            self.redis.stop()
        return left
