"""Several servers that make up one Redis, each a process on a free port of the loopback."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from tests.support.waiting import wait_until_blocking
from wispy.broker.embedded import find_binary

FAILOVER_S: Final = 45.0
"""How long a failover may take: it is seldom more than three seconds, but who votes may fail to agree, and wait."""


class Deployment:
    """Servers that start and end together. Use as `with SomeDeployment(folder) as deployment`.

    Args:
        folder: for data and logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        """By port."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        """Start all servers, and wait until they are one Redis."""
        raise NotImplementedError

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()

    def _directory(self, port: int) -> Path:
        directory = self._folder / str(port)
        directory.mkdir(exist_ok=True)
        return directory

    @property
    def _program(self) -> str:
        return str(find_binary())

    def _spawn(self, port: int, *arguments: str) -> None:
        with (self._directory(port) / "log").open("ab") as log:
            self._processes[port] = subprocess.Popen([self._program, *arguments], stdout=log, stderr=log)
        wait_until_blocking(lambda: self._answers(port), f"the server at port {port} answers")

    def _spawn_server(self, port: int, *extra: str) -> None:
        """A server without persistence."""
        directory = str(self._directory(port))
        self._spawn(port, *self._listening(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "", *extra)

    def _listening(self, port: int) -> list[str]:
        return ["--port", str(port)]

    def _answers(self, port: int) -> bool:
        with contextlib.suppress(redis.RedisError):
            return self.ask(port, "PING") in (True, "PONG")
        return False

    def connect(self, port: int, **options: Any) -> redis.Redis:
        """To one server, with all rights."""
        return redis.Redis(port=port, protocol=2, **options)

    def ask(self, port: int, *command: Any) -> Any:
        with self.connect(port, decode_responses=True) as connection:
            return connection.execute_command(*command)

    def kill(self, port: int) -> None:
        """SIGKILL."""
        self._processes[port].kill()
        self._processes[port].wait()

    @contextmanager
    def paused(self, port: int) -> Iterator[None]:
        """SIGSTOP meanwhile: what the server was sent it does when it wakes, whatever it is then."""
        self._processes[port].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._processes[port].send_signal(signal.SIGCONT)
