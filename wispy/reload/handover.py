"""What passes between a program that is watched and its watcher, over a socket pair, as lines of JSON and descriptors.

Rules:
- The watcher says once, at the start, what the program is given. The program says which folders it is made of, and
  hands over the sockets on which it listens.
- The end of the line is the end of the other: a program whose watcher is gone ends itself.
"""

import os
import signal
import socket
import threading
from collections.abc import Sequence
from typing import Final

import msgspec

VARIABLE: Final = "_WISPY_WATCHER"
"""Tells a program of its watcher: `descriptor:process id`. Not `WISPY_...`, which are settings."""

MAX_SOCKETS: Final = 64
"""An address like `localhost` means one or two."""

MAX_LINE: Final = 1 << 20
"""Bytes of one message: the names of some thousand folders."""


class Given(msgspec.Struct):
    """What the program is given."""

    redis_url: str | None
    """Of the watcher's private server; None where the configuration names one."""
    secret: str
    """Signs session tokens, where the configuration has no key."""
    is_again: bool
    """The program has run before: its page is open already."""
    address: str = ""
    port: int = 0
    """As configured, of the sockets that come with this."""


class Told(msgspec.Struct):
    """What the program tells."""

    folders: list[str] = []
    address: str = ""
    port: int = 0
    """As configured, of the sockets that come with this."""


class Handover:
    """The program's end of the line."""

    def __init__(self, line: socket.socket, given: Given, sockets: list[socket.socket]) -> None:
        self.given = given
        self._line = line
        self._sockets = sockets

    def sockets(self, address: str, port: int) -> list[socket.socket]:
        """The sockets on which a former run listened for this configuration; none where there are none."""
        sockets, self._sockets = self._sockets, []
        if (address, port) == (self.given.address, self.given.port):
            return sockets
        for each in sockets:
            each.close()
        return []

    def keep(self, address: str, port: int, sockets: Sequence[socket.socket]) -> None:
        """Have the watcher keep these sockets open."""
        self._tell(Told(address=address, port=port), [each.fileno() for each in sockets])

    def tell_folders(self, folders: list[str]) -> None:
        """Have these folders watched, too."""
        self._tell(Told(folders=folders), [])

    def end_with_watcher(self) -> None:
        """From now on, end this process as SIGTERM does when its watcher is gone."""

        def wait() -> None:
            try:
                while self._line.recv(64):
                    pass
            except OSError:
                pass  # gone, too
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, name="wispy-watcher-watch", daemon=True).start()

    def _tell(self, told: Told, fds: list[int]) -> None:
        try:
            send(self._line, told, fds)
        except OSError:
            pass  # the watcher is gone, and `end_with_watcher` says so


def taken() -> Handover | None:
    """What this process was given, if it is a watched program; once."""
    text = os.environ.pop(VARIABLE, "")  # a program that this one starts is not watched
    fd, _, watcher = text.partition(":")
    if not text or watcher != str(os.getppid()):
        return None
    os.set_inheritable(int(fd), False)
    line = socket.socket(fileno=int(fd))
    text, fds = receive(line)
    return Handover(line, msgspec.json.decode(text, type=Given), [socket.socket(fileno=each) for each in fds])


def send(line: socket.socket, message: msgspec.Struct, fds: Sequence[int]) -> None:
    """Send a message, with descriptors."""
    text = msgspec.json.encode(message) + b"\n"
    sent = socket.send_fds(line, [text], fds)
    line.sendall(text[sent:])


def receive(line: socket.socket) -> tuple[bytes, list[int]]:
    """One message with its descriptors; blocks. Empty: the other end is gone."""
    text = b""
    fds: list[int] = []
    while not text.endswith(b"\n") and len(text) < MAX_LINE:
        try:
            # Byte by byte, so that nothing of the next message is taken: they are small, and few.
            part, new, _, _ = socket.recv_fds(line, 1, MAX_SOCKETS)
        except ConnectionResetError:
            part, new = b"", []
        for each in new:
            os.set_inheritable(each, False)
        fds += new
        if not part:
            return b"", fds
        text += part
    return text, fds
