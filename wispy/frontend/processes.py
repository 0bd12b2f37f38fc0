"""Frontend processes that share one listening socket: the parent listens, its children inherit the socket and serve.

Rules:
- A child is started as `python -m wispy.frontend`, never by multiprocessing: a program without a `__main__` guard must
  not run again in it.
- The child's standard input carries its configuration, and its end: when it closes, the parent is gone, and so goes
  the child. No secret is on a command line or in an environment.
- A child that ends by itself is started again, after a pause that grows with each time in a row. So is one that the
  system does not let be started at the moment: the others serve meanwhile.
"""

import asyncio
import contextlib
import errno
import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
from typing import Final

import msgspec

from wispy.config.schema import Config
from wispy.frontend.kin import Family
from wispy.frontend.server import Listening
from wispy.resources import module_path
from wispy.scrape import Tell
from wispy.timing import wait_until

log = logging.getLogger("wispy.frontend")

PAUSES_S: Final = (0.1, 0.5, 2.0, 10.0)
"""Before a child is started again: quickly after one crash, slowly where it cannot run at all."""

STEADY_S: Final = 30.0
"""A child that ran for this long was fine: the next pause is the first one again."""

STOP_S: Final = 15.0
"""How long a child may take to drain before it is killed: its own limits, and a little more."""


class Inheritance(msgspec.Struct):
    """What a child reads from its standard input, as one line of JSON."""

    config: Config
    fds: list[int]
    """The sockets that listen for everybody."""
    metrics_fds: list[int]
    """Those that listen for metrics."""
    kin: int
    """The socket to the parent."""
    name: str
    """Of the process, in metrics."""


async def supervise(config: Config, sockets: Listening, processes: int, stop: asyncio.Event, beside: Tell) -> None:
    """Keep that many frontend processes running on these sockets until `stop` is set.

    Args:
        config: the configuration.
        sockets: they listen.
        processes: how many.
        stop: ends them.
        beside: tells the metrics of the parent.
    """
    config = with_session_secret(config)
    family = Family(beside)
    async with asyncio.TaskGroup() as group:
        for number in range(processes):
            name = f"frontend-{number}"
            group.create_task(_keep_running(config, sockets, stop, family, name), name=name)


def with_session_secret(config: Config) -> Config:
    """The configuration with a key for session tokens: a session goes on at whichever of the processes it comes to."""
    if config.session.secret is not None:
        return config
    session = msgspec.structs.replace(config.session, secret=secrets.token_hex(32))
    return msgspec.structs.replace(config, session=session)


async def _keep_running(config: Config, sockets: Listening, stop: asyncio.Event, family: Family, name: str) -> None:
    loop = asyncio.get_running_loop()
    failures = 0
    while not stop.is_set():
        started = loop.time()
        try:
            status = await _run(config, sockets, stop, family, name)
            outcome = f"ended (status {status})"
        except OSError as error:  # too many files or processes; or the interpreter is being replaced
            outcome = f"could not be started ({error})"
        if stop.is_set():
            return
        if loop.time() - started > STEADY_S:
            failures = 0
        pause_s = PAUSES_S[min(failures, len(PAUSES_S) - 1)]
        failures += 1
        log.error("a frontend process %s and is started again in %s s", outcome, pause_s)
        await wait_until(stop.is_set, pause_s, look_every_s=0.1)


async def _run(config: Config, sockets: Listening, stop: asyncio.Event, family: Family, name: str) -> int | None:
    """Run one child until it ends, or `stop` is set and it has; its exit status.

    Raises:
        OSError: it cannot be started.
    """
    kin, childs_kin = socket.socketpair()
    with childs_kin:
        try:
            child = _start(config, sockets, childs_kin, name)
        except OSError:
            kin.close()
            raise
    following = asyncio.create_task(family.follow(kin), name=f"metrics of {name}")
    try:
        await _wait_or_stop(child, stop)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    return child.returncode


def _start(config: Config, sockets: Listening, kin: socket.socket, name: str) -> subprocess.Popen[bytes]:
    fds = [each.fileno() for each in sockets.public]
    metrics_fds = [each.fileno() for each in sockets.metrics]
    child = subprocess.Popen(  # this program, again  # nosec B603
        [sys.executable, "-P", "-m", "wispy.frontend", "--child"],
        stdin=subprocess.PIPE,
        pass_fds=[*fds, *metrics_fds, kin.fileno()],
        process_group=0,  # Ctrl-C in a terminal is the parent's to handle
        env={**os.environ, "PYTHONPATH": module_path()},
    )
    assert child.stdin is not None
    try:
        child.stdin.write(msgspec.json.encode(Inheritance(config, fds, metrics_fds, kin.fileno(), name)) + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        log.debug("the frontend process %d ended at once", child.pid)
    return child


async def _wait_or_stop(child: subprocess.Popen[bytes], stop: asyncio.Event) -> None:
    """Wait until the child has ended by itself, or has been told to, and has.

    Raises:
        OSError: its end could not be noticed; it is killed.
    """
    stopping = asyncio.create_task(stop.wait())
    try:
        ended = _end_of(child)
        await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            child.terminate()
            await asyncio.wait((ended,), timeout=STOP_S)
        if not ended.done():
            log.error("the frontend process %d did not end in %s s and is killed", child.pid, STOP_S)
            child.kill()
        await ended
    finally:
        stopping.cancel()
        if child.poll() is None:
            child.kill()
        if child.stdin is not None:
            _close(child)


def _end_of(child: subprocess.Popen[bytes]) -> asyncio.Future[None]:
    """Done once the child has ended."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not ended.done():
            ended.set_result(None)

    def wait() -> None:
        child.wait()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell)

    # Not in a pool: a program that comes to its end waits for a pool's threads, and the child for the program's end.
    thread = threading.Thread(target=wait, name="wispy-child", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # there are as many as there may be
        raise OSError(errno.EAGAIN, str(error)) from error
    return ended


def _close(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    try:
        child.stdin.close()
    except BrokenPipeError:
        log.debug("the frontend process %d had closed its input", child.pid)


def inherit(line: bytes) -> tuple[Inheritance, Listening, socket.socket]:
    """What the parent handed down; with the listening sockets, and the one to the parent."""
    given = msgspec.json.decode(line, type=Inheritance)
    public, metrics = ([socket.socket(fileno=fd) for fd in fds] for fds in (given.fds, given.metrics_fds))
    return given, Listening(public, metrics), socket.socket(fileno=given.kin)
