"""The servers under test, each started as processes of its own, and the load generator that is sent against them."""

import hashlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

import msgspec

from benchmarks.jobs import Job, Result, Watch
from benchmarks.objects import ROLE
from benchmarks.processes import descendants
from wispy.broker.embedded import EmbeddedServer

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 10
POLL_S = 0.05
# Beyond what a job takes by itself: connecting, draining.
JOB_MARGIN_S = 120


class BenchmarkError(Exception):
    """A server did not start, or a run of the load generator failed."""


class Server:
    """One started process; what it writes goes to a file that is quoted when it fails."""

    def __init__(self, command: Sequence[str], root: Path = ROOT) -> None:
        self._name = " ".join(command)
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed in stop)
        self._process = subprocess.Popen(
            command,
            cwd=root,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )

    @property
    def pids(self) -> list[int]:
        """The process, and its children."""
        return descendants(self._process.pid)

    def check(self) -> None:
        """Raise BenchmarkError if it has ended."""
        if self._process.poll() is not None:
            raise BenchmarkError(f"{self._name} ended with status {self._process.returncode}:\n{self.output()}")

    def output(self) -> str:
        """The end of what it wrote."""
        self._output.flush()
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - 4000))
        return self._output.read().decode(errors="replace")

    def stop(self) -> None:
        """End it, gently if it can."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._output.close()


class System:
    """Servers that are tested together: `start` waits until they serve, `stop` ends whatever was started."""

    name: str

    def __init__(self) -> None:
        self.port = _free_port()
        self.watch: Watch = {}  # set by start
        self._stops: list[Callable[[], None]] = []  # in the order of starting

    def start(self) -> None:
        raise NotImplementedError

    def url(self, path: str) -> str:
        """The websocket's address; `path` is the baseline's, which has one for each purpose."""
        raise NotImplementedError

    def stop(self) -> None:
        while self._stops:
            self._stops.pop()()

    def _serve(self, *command: str, root: Path = ROOT) -> Server:
        server = Server(command, root)
        self._stops.append(server.stop)
        return server


class Tornado(System):
    """The baseline: on asyncio's own loop, as most people run it, or on uvloop."""

    name = "tornado"

    def __init__(self, *, use_uvloop: bool = False) -> None:
        super().__init__()
        self._options = ["--uvloop"] if use_uvloop else []

    def start(self) -> None:
        server = self._serve(sys.executable, "-m", "benchmarks.baseline", "--port", str(self.port), *self._options)
        _wait(lambda: _get(self.port, "/") == HTTPStatus.NOT_FOUND, "the baseline answers", [server])
        self.watch = {"tornado": server.pids}

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"


class Wispy(System):
    """Valkey on a unix socket without persistence, frontends, and a worker.

    Args:
        processes: frontend processes.
        sharing: workers that share a stateless object; 0: one worker owns `Bench`.
        guarded: callers log in, with `token`, and have the role `benchmarks.objects.ROLE`.
        root: another tree of the project, with an environment of its own in `.venv` (`make setup`).
    """

    name = "wispy"

    def __init__(self, *, processes: int = 1, sharing: int = 0, guarded: bool = False, root: Path = ROOT) -> None:
        super().__init__()
        self._processes = processes
        self._sharing = sharing
        self.token = secrets.token_urlsafe() if guarded else None
        self._root = root
        self._scripts = Path(sys.executable).parent if root == ROOT else root / ".venv" / "bin"

    def start(self) -> None:
        broker = EmbeddedServer.start()
        self._stops.append(broker.stop)
        redis = ("--redis", broker.url, *self._auth())
        bench = ("--object", f"bench=benchmarks.objects:{'Stateless' if self._sharing else 'Bench'}")
        shared = ("--shared",) if self._sharing else ()
        workers = [
            self._serve(str(self._scripts / "wispy-worker"), *bench, *shared, *redis, root=self._root)
            for _ in range(self._sharing or 1)
        ]
        ports = ("--port", str(self.port), "--processes", str(self._processes))
        frontend = self._serve(str(self._scripts / "wispy-frontend"), *ports, *redis, root=self._root)
        _wait(lambda: _get(self.port, "/readyz") == HTTPStatus.OK, "the frontend is ready", [*workers, frontend])
        _wait(lambda: _call(self.port, "bench.add", [4, 5], self.token) == 9, "a call works", [*workers, frontend])
        if self._sharing:
            _wait(lambda: all("is served here" in each.output() for each in workers), "all workers serve", workers)
        pids = [pid for worker in workers for pid in worker.pids]
        self.watch = {"valkey": [broker.pid], "frontend": frontend.pids, "worker": pids}

    def _auth(self) -> list[str]:
        """The flags by which callers have to log in."""
        if self.token is None:
            return []
        folder = tempfile.TemporaryDirectory()
        self._stops.append(folder.cleanup)
        file = Path(folder.name) / "tokens.yaml"
        digest = hashlib.sha256(self.token.encode()).hexdigest()
        file.write_text(json.dumps({"generator": {"sha256": [digest], "roles": [ROLE]}}))
        settings = {"auth.kind": "tokens", "auth.tokens": file, "session.secret": secrets.token_hex()}
        return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]

    def url(self, path: str) -> str:
        del path
        return f"ws://127.0.0.1:{self.port}/ws"


def run_generator(job: Job) -> Result:
    """Run the load generator as a process of its own; BenchmarkError if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.loadgen"],
        input=msgspec.json.encode(job),
        cwd=ROOT,
        capture_output=True,
        timeout=job.warmup_s * 2 + job.seconds + JOB_MARGIN_S,
        check=False,
    )
    if done.returncode != 0:
        raise BenchmarkError(f"the load generator failed:\n{done.stderr.decode(errors='replace')[-4000:]}")
    return msgspec.json.decode(done.stdout, type=Result)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(condition: Callable[[], bool], what: str, servers: list[Server]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        for server in servers:
            server.check()
        if time.monotonic() > deadline:
            outputs = "\n".join(server.output() for server in servers)
            raise BenchmarkError(f"waited {START_TIMEOUT_S} s in vain until {what}:\n{outputs}")
        time.sleep(POLL_S)


def _get(port: int, path: str) -> int | None:
    """The status of a GET; None while nothing listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def _call(port: int, method: str, params: list[Any], token: str | None) -> Any:
    """The result of one call over HTTP; None for an error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    try:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        connection.request("POST", "/rpc", body, headers)
        return json.loads(connection.getresponse().read()).get("result")
    finally:
        connection.close()
