"""The parent of a program that is started again whenever a source file changes.

    running -> (a file changed) -> running
            -> (it failed)      -> waiting -> (a file changed) -> running
            -> (it ended well, or the watcher is asked to end) -> the end

Rules:
- It holds what outlives a restart, and imports nothing of the program.
- A signal to end goes on to the program. Ctrl-C reaches it from the terminal, too; a second signal of a kind ends it at
  once.
- The program stays in the terminal's foreground group: a debugger in it can read.
"""

import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import msgspec

from wispy.broker.embedded import RevivedServer
from wispy.config.schema import Config
from wispy.errors import StartError
from wispy.reload.files import Files, own_folders
from wispy.reload.handover import VARIABLE, Given, Handover, Told, receive, send, taken
from wispy.resources import module_path
from wispy.surroundings import ending_signals

LOOK_S: Final = 0.2
"""Between two looks at the files. A change is acted on when a further look finds no more: an editor saves several."""

STOP_S: Final = 8.0
"""How long a program may take to end before it is killed: its running calls' second, object code that holds its thread
(5 s), and a little more."""


class Plan(msgspec.Struct):
    """What the watcher is to do, as one argument of its command line."""

    command: list[str]
    """Starts the program."""
    places: list[str]
    """Files and folders to watch from the beginning."""
    needs_redis: bool
    python_path: str | None
    """PYTHONPATH of the program; the watcher's own leads to wispy."""


def enter(config: Config, places: Sequence[str | Path] = ()) -> Handover | None:
    """Have this program watched, if it is to be.

    Without `autoreload` and `debug` nothing happens. With them, the process becomes the watcher and this does not
    return, except in the program that the watcher then starts.

    Args:
        config: the configuration.
        places: files and folders to watch beside those of the modules that are loaded.

    Returns:
        What the watched program is given; None where it is not watched.

    Raises:
        StartError: this is no program that can be started again.
    """
    handover = taken()
    if handover is not None:
        handover.end_with_watcher()
        handover.tell_folders([*own_folders(), *(str(Path(each).resolve()) for each in places)])
        return handover
    if not (config.autoreload or config.debug):
        return None
    if len(sys.orig_argv) < 2 or sys.flags.interactive:
        raise StartError("autoreload needs a program to start again: put this into a file, or set autoreload: false")
    command = [sys.executable, *sys.orig_argv[1:]]
    named = [*places, *(each for each in sys.orig_argv[1:] if Path(each).is_file())]
    watched = [*own_folders(), *(str(Path(each).resolve()) for each in named)]
    plan = Plan(command, watched, config.redis.url is None, os.environ.get("PYTHONPATH"))
    return _become_watcher(plan)


def _become_watcher(plan: Plan) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: a folder called wispy in the working directory is not this one.
    arguments = [sys.executable, "-P", "-m", "wispy.reload", msgspec.json.encode(plan).decode()]
    environment = {**os.environ, "PYTHONPATH": module_path()}
    os.execve(sys.executable, arguments, environment)  # noqa: S606 -- no shell is meant  # nosec B606


class Watcher:
    """Starts the program, and starts it again; `run` returns its exit status.

    Args:
        plan: what to start, and what to watch.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._files = Files()
        self._files.add(plan.places)
        self._given = Given(redis_url=None, secret=secrets.token_hex(32), is_again=False)
        self._sockets: list[socket.socket] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_by = 0
        """The signal that asked the watcher to end; 0: none yet."""

    def run(self) -> int:
        """Watch until the program ends well, or a signal says so."""
        for number in ending_signals():
            signal.signal(number, self._asked_to_end)
        server = RevivedServer() if self._plan.needs_redis else None
        if server is not None:
            self._given.redis_url = server.url
        try:
            return self._run()
        finally:
            if server is not None:
                server.stop()

    def _run(self) -> int:
        while True:
            status = self._run_once()
            if self._asked_by:
                return 128 + self._asked_by if status is None else max(status, 0)
            if status == 0:
                return 0
            if status is not None:
                _say(f"the program ended with status {status}; it is started again when a source file changes")
                self._wait_for_change()
            if self._asked_by:
                return 128 + self._asked_by

    def _asked_to_end(self, number: int, _frame: FrameType | None) -> None:
        self._asked_by = number
        if self._child is not None:
            self._child.terminate()

    # --- the program ------------------------------------------------------------------------------------------------

    def _run_once(self) -> int | None:
        """Run the program until it ends (its exit status) or a file changes (None)."""
        line, its_line = socket.socketpair()
        with line:
            with its_line:
                self._child = subprocess.Popen(  # noqa: S603 -- the command that started this one  # nosec B603
                    self._plan.command, pass_fds=[its_line.fileno()], env=self._environment(its_line.fileno())
                )
            if self._asked_by:  # it came while the program was being started
                self._child.terminate()
            try:
                send(line, self._given, [each.fileno() for each in self._sockets])
            except OSError:
                pass  # it has ended already
            self._given.is_again = True
            return self._attend(self._child, line)

    def _environment(self, fd: int) -> dict[str, str]:
        environment = {**os.environ, VARIABLE: f"{fd}:{os.getpid()}"}
        environment.pop("PYTHONPATH", None)
        if self._plan.python_path is not None:
            environment["PYTHONPATH"] = self._plan.python_path
        # Python takes compiled code for current that was written in the same second as its source, of the same length.
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        return environment

    def _attend(self, child: "subprocess.Popen[bytes]", line: socket.socket) -> int | None:
        is_open = True
        while True:
            readable, _, _ = select.select([line] if is_open else [], [], [], LOOK_S)
            if readable:
                is_open = self._hear(line)
            if child.poll() is not None:
                while is_open and select.select([line], [], [], 0)[0]:  # what it has told before it ended
                    is_open = self._hear(line)
                return child.returncode
            if self._asked_by:
                return self._end(child)
            if not readable and self._has_changed():
                child.terminate()
                self._end(child)
                return None

    def _end(self, child: "subprocess.Popen[bytes]") -> int:
        try:
            return child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            _say(f"the program did not end in {STOP_S:g} s and is killed")
            child.kill()
            return child.wait()

    def _hear(self, line: socket.socket) -> bool:
        """Take one message of the program; False: there are no more."""
        text, fds = receive(line)
        if not text:
            return False
        told = msgspec.json.decode(text, type=Told)
        self._files.add(told.folders)
        if fds:
            for each in self._sockets:
                each.close()
            self._sockets = [socket.socket(fileno=each) for each in fds]
            self._given.address, self._given.port = told.address, told.port
        return True

    # --- the files --------------------------------------------------------------------------------------------------

    def _has_changed(self) -> bool:
        changed = self._files.look()
        if not changed:
            return False
        while not self._asked_by:
            time.sleep(LOOK_S)
            more = self._files.look()
            if not more:
                break
            changed += more
        names = sorted({Path(each).name for each in changed})
        _say(f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''} changed; the program is started again")
        return True

    def _wait_for_change(self) -> None:
        while not self._asked_by and not self._has_changed():
            time.sleep(LOOK_S)


def _say(text: str) -> None:
    sys.stdout.write(f"wispy: {text}\n")
    sys.stdout.flush()
