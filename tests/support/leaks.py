"""What a test may not leave behind: tasks, sockets, child processes, errors in the log, Redis keys without an end."""

import asyncio
import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil
import redis

_BROWSERS = re.compile(r"chromium|\(chrom|firefox|playwright")


def open_sockets() -> set[str]:
    """The sockets of this process, as the kernel names them ("socket:[1234]"). Empty where there is no /proc."""
    if not sys.platform.startswith("linux"):
        return set()
    sockets: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:  # closed since
            continue
        if target.startswith("socket:"):
            sockets.add(target)
    return sockets


def child_processes() -> set[int]:
    """The process ids of all descendants of this process."""
    if not sys.platform.startswith("linux"):
        return {process.pid for process in psutil.Process().children(recursive=True)}
    # Before and after each of some thousand tests: psutil would look at every process of the machine.
    found: set[int] = set()
    parents = [os.getpid()]
    while parents:
        children = _children_of(parents.pop()) - found
        found |= children
        parents += children
    return found


def _children_of(pid: int) -> set[int]:
    """Of each of its threads: whoever has started a process has it."""
    children: set[int] = set()
    with contextlib.suppress(FileNotFoundError):  # the process has ended since
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 -- a third of the time of iterdir
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has
                children.update(map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split()))
    return children


def programs(pids: Iterable[int]) -> dict[int, str]:
    """What these processes are, without those that are gone, and a browser's own: many tests share one, whose processes
    come and go as it likes.
    """
    found: dict[int, str] = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            command = " ".join(process.cmdline()) or process.name()
        except psutil.NoSuchProcess:
            continue
        if not _BROWSERS.search(command):
            found[pid] = command
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs: one that nobody has asked for its end yet does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def unfinished_tasks(loop: asyncio.AbstractEventLoop) -> set["asyncio.Task[object]"]:
    return {task for task in asyncio.all_tasks(loop) if not task.done()}


class ErrorLog(logging.Handler):
    """Collects what asyncio reports as an error: exceptions nobody retrieved, callbacks that raised."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class ProcessLeaks:
    """Compares the sockets and children of this process with those when it was made."""

    def __init__(self) -> None:
        self._sockets = open_sockets()
        self._children = child_processes()

    def find(self) -> str:
        """What is new, as text; "" if nothing is."""
        sockets = open_sockets()
        # uvloop makes a new pair for itself in each run, so those of one test are never the same; their number is.
        new_sockets = sockets - self._sockets if len(sockets) > len(self._sockets) else ""
        children = programs(child_processes() - self._children)
        return f"{new_sockets}{children or ''}"


def keys_without_end(socket_path: str) -> list[str]:
    """Names of the keys in the server that have no time to live."""
    with redis.Redis(unix_socket_path=socket_path, protocol=2) as client:
        return [key.decode() for key in client.scan_iter(count=1000) if client.pttl(key) == -1]


def clients(socket_path: str) -> list[str]:
    """Those who are connected to the server: what each is called, and its last command."""
    with redis.Redis(unix_socket_path=socket_path, protocol=2) as client:
        own = client.client_id()
        return [f"{row['name']}: {row['cmd']}" for row in client.client_list() if int(row["id"]) != own]
