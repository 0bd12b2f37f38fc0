"""The whole service as processes of its own: frontends and workers, started by their commands."""

import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from tests.support.waiting import wait_until_blocking
from wispy.broker.embedded import EmbeddedServer

# A process imports, connects and listens in about half a second of an idle machine.
START_TIMEOUT_S = 60.0
# Draining takes as long as what is in flight; no test leaves much; but the machine may be busy.
STOP_TIMEOUT_S = 40.0

SERVED = Path(__file__).parents[1] / "integration" / "stack"
"""The folder of the objects that most stacks serve: `served:Sample` and others."""

_prefixes = itertools.count(1)

_PORTS = range(12_000, 22_000)
"""Below those that a system gives to connections and to whoever wants any port (Linux: from 32,768 on), and so are the
buses of a Cluster, 10,000 further on: nobody takes one between `free_port` and the start of who is to listen there.
"""


def command(name: str) -> str:
    """The console script of this environment."""
    return str(Path(sys.executable).parent / name)


def flags(config: Mapping[str, Any]) -> list[str]:
    """`--set` for each dotted key."""
    return [part for key, value in config.items() for part in ("--set", f"{key}={value}")]


def _ports_of_this_process() -> Iterator[int]:
    """Those of other processes that take tests (pytest-xdist) are others."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(_PORTS)[number :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    random.SystemRandom().shuffle(ports)
    return itertools.cycle(ports)


_ports = _ports_of_this_process()


def free_port() -> int:
    """A port that nobody listens on now, and that nobody else is given."""
    for port in _ports:
        with socket.socket() as taken, contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable")


class RestartableRedis:
    """A server on a port of its own, which keeps the port and loses its data when it is started again.

    Args:
        folder: where it keeps its data, each command on disk before its answer; None: it keeps none.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._port = free_port()
        self._extra = ["--port", str(self._port)]
        if folder is not None:
            self._extra += ["--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always"]
        self._server: EmbeddedServer | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}"

    def start(self, *extra: str) -> None:
        self._server = EmbeddedServer.start(extra=[*self._extra, *extra])

    def ask(self, *command: str | int) -> Any:
        with redis.Redis(port=self._port, protocol=2, decode_responses=True) as connection:
            return connection.execute_command(*command)

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


class Service:
    """One process; what it writes goes to a file, so that it never waits for a reader."""

    def __init__(self, arguments: Sequence[str], *, folder: Path, log: Path, env: Mapping[str, str] = {}) -> None:
        self._log = log
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WISPY_")}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                arguments,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited, "PYTHONUNBUFFERED": "1", **env},
            )
        self._arguments = arguments

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def says(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.output)

    def wait_until_says(self, pattern: str) -> re.Match[str]:
        """Wait for a line of its output; fail at once if the process ends before."""
        ended = False

        def said() -> bool:
            nonlocal ended
            ended = not self.is_running  # asked before the output is read: it is whole then
            return self.says(pattern) is not None or ended

        wait_until_blocking(
            said, lambda: f"{self._arguments} says {pattern!r}; it said: {self.output}", START_TIMEOUT_S
        )
        match = self.says(pattern)
        assert match is not None, (
            f"{self._arguments} ended ({self.process.returncode}) without {pattern!r}: {self.output}"
        )
        return match

    def cpu_s(self) -> float:
        """Processor time that it and its children have used so far."""
        process = psutil.Process(self.pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait until it ends; the exit status."""
        wait_until_blocking(lambda: not self.is_running, lambda: f"{self._arguments} ends: {self.output}", timeout_s)
        return self.process.returncode

    def stop(self) -> int:
        """End it as a supervisor does; the exit status."""
        self.send(signal.SIGTERM)
        return self.wait()

    def kill_alone(self) -> None:
        """SIGKILL to it and not to its children."""
        self.process.kill()
        self.process.wait()

    def kill(self) -> None:
        """End it and its children, whatever state they are in."""
        if self.is_running:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(self.pid).children(recursive=True):
                    child.kill()
            self.process.kill()
        self.process.wait()


class Frontend(Service):
    """A `wispy-frontend` and its address."""

    url = ""
    """With the base path, without a slash at the end; empty until it listens."""

    def wait_until_listening(self) -> "Frontend":
        self.url = self.wait_until_says(r"listens at (https?://\S+)/")[1]
        return self

    @property
    def address(self) -> str:
        """host:port."""
        return httpx.URL(self.url).netloc.decode()

    @property
    def websocket_url(self) -> str:
        return f"{self.url.replace('http', 'ws', 1)}/ws"

    def readiness(self) -> tuple[int, str]:
        """Status and text of `/readyz`; (0, "") while it does not answer."""
        try:
            response = httpx.get(f"{self.url}/readyz", timeout=15, trust_env=False, verify=False)
        except httpx.TransportError:
            return 0, ""
        return response.status_code, response.text

    def post(self, method: str, *params: Any) -> dict[str, Any]:
        """One request by `POST /rpc`; the whole answer."""
        return self.post_any({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()

    def post_any(self, message: Any) -> httpx.Response:
        return self.post_text(json.dumps(message))

    def post_text(self, text: str | bytes, **headers: str) -> httpx.Response:
        """Any body by `POST /rpc`; a header's `_` stands for `-`."""
        given = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        # verify: the certificates of all authorities take a fifth of a second to load, and serve nothing here.
        with httpx.Client(trust_env=False, verify=False, timeout=30) as client:
            return client.post(f"{self.url}/rpc", content=text, headers=given)


class Stack:
    """Frontends and workers on one Redis server, under a prefix of their own. `close` ends all of them.

    Args:
        redis_url: the server.
        folder: the working directory of the processes, where workers import objects from.
        logs: an empty folder for what they write.
        config: settings of all processes, by dotted key.
    """

    def __init__(self, redis_url: str, *, folder: Path, logs: Path, **config: Any) -> None:
        self.prefix = f"stack-{os.getpid()}-{next(_prefixes)}:"
        self._folder = folder
        self._logs = logs
        self.redis_url = redis_url
        # A frontend whose clients stay waits for them: few tests are about that.
        self._config = {"redis.url": redis_url, "redis.prefix": self.prefix, "websocket.drain": 0.2, **config}
        self.services: list[Service] = []

    @property
    def first_frontend(self) -> Frontend:
        """The frontend that was started first."""
        return next(service for service in self.services if isinstance(service, Frontend))

    def frontend(self, *arguments: str, wait: bool = True, **config: Any) -> Frontend:
        """Start a frontend on a free port, unless told another one, and wait until it listens and is ready."""
        settings = flags({"port": 0, "multiprocessed": "false", **self._config, **config})
        frontend = Frontend([command("wispy-frontend"), *settings, *arguments], folder=self._folder, log=self._log("f"))
        self.services.append(frontend)
        frontend.wait_until_listening()
        if wait:
            wait_until_blocking(
                lambda: frontend.readiness()[0] == 200,
                lambda: f"{frontend.url} is ready: {frontend.readiness()}, {frontend.output}",
                START_TIMEOUT_S,
            )
        return frontend

    def worker(self, *objects: str, wait: bool = True, env: Mapping[str, str] = {}, **config: Any) -> Service:
        """Start a worker and wait until it serves its objects."""
        specs = [part for each in objects for part in ("--object", each)]
        settings = flags({**self._config, **config})
        arguments = [command("wispy-worker"), *settings, *specs]
        worker = Service(arguments, folder=self._folder, log=self._log("w"), env=env)
        self.services.append(worker)
        if wait:
            for each in objects:
                worker.wait_until_says(rf"{each.partition('=')[0]} is served here")
        return worker

    def standby(self, *objects: str, **config: Any) -> Service:
        """Start a worker beside the owner and wait until it stands by."""
        worker = self.worker(*objects, wait=False, **config)
        worker.wait_until_says("this one stands by")
        return worker

    def run(self, arguments: Sequence[str], *, env: Mapping[str, str] = {}) -> Service:
        """Start any other program."""
        service = Service(arguments, folder=self._folder, log=self._log("p"), env=env)
        self.services.append(service)
        return service

    def _log(self, kind: str) -> Path:
        return self._logs / f"{len(self.services)}-{kind}.log"

    def close(self) -> None:
        for service in self.services:
            with contextlib.suppress(ProcessLookupError):
                service.send(signal.SIGCONT)
                service.send(signal.SIGTERM)
        try:
            for service in self.services:
                service.wait()
        finally:
            for service in self.services:
                service.kill()


@contextlib.contextmanager
def clean_stack(
    server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, *, folder: Path = SERVED, **config: Any
) -> Generator[Stack]:
    """An empty stack for all tests of a module; it must leave no key that lasts."""
    stack = Stack(server.url, folder=folder, logs=tmp_path_factory.mktemp("logs"), **config)
    try:
        yield stack
    finally:
        stack.close()
    check_keys(server, stack)


def metrics_at(url: str) -> str:
    """What the process at this address tells of itself."""
    return httpx.get(f"{url}/metrics", trust_env=False, timeout=30).text


def check_keys(server: EmbeddedServer, stack: Stack) -> None:
    """Every key that the service leaves has a time to live."""
    with redis.Redis(unix_socket_path=server.url.removeprefix("unix://"), protocol=2) as connection:
        keys = list(connection.scan_iter(match=f"{stack.prefix}*", count=1000))
        lasting = [key for key in keys if connection.pttl(key) == -1]
        if keys:
            connection.delete(*keys)
    assert not lasting, f"Redis keys without a time to live: {lasting}"
