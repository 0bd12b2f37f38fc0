"""The other processes of a frontend's parent: what a scrape of `/metrics`, which reaches one of them, learns from all.

Rules:
- Each child has one socket to its parent, made for it and inherited: nothing of it is in the file system or in Redis,
  so that it works in a read-only container and while Redis is away.
- Both ends ask and answer alike, in lines of JSON. A child tells its own numbers; the parent asks its other children,
  and adds those of its worker.
- Nothing is sent while nobody asks.
"""

import asyncio
import logging
import socket
from typing import Final, Protocol

import msgspec

from wispy.metrics import Snapshot
from wispy.scrape import Tell

log = logging.getLogger("wispy.frontend")

PATIENCE_S: Final = 0.5
"""How long the others may take: a busy process answers within some milliseconds, a scraper waits for ten seconds."""

MAX_LINE: Final = 16 << 20
"""Bytes of one answer: some 20 KB for each of 256 frontends, and 100 objects of 20 KB each."""


async def nobody() -> list[Snapshot]:
    """Tells of no process."""
    return []


class _Message(msgspec.Struct, array_like=True):
    """A question, or the answer to one."""

    question: int
    answer: list[Snapshot] | None = None


_decode: Final = msgspec.json.Decoder(_Message).decode


class Kin:
    """One end of the socket between a parent and a child.

    Args:
        tell: answers the other end.
    """

    def __init__(self, tell: Tell = nobody) -> None:
        self.tell = tell
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, asyncio.Future[list[Snapshot]]] = {}
        """Questions that are not answered."""
        self._questions = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, sock: socket.socket) -> None:
        """Answer, and take answers, until the other end is closed; closes the socket."""
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=MAX_LINE)
        self._writer = writer
        try:
            while line := await reader.readline():
                self._take(_decode(line))
        except (OSError, ValueError, msgspec.MsgspecError):
            log.exception("the other frontend processes are not asked for their metrics any more")
        finally:
            self._writer = None
            writer.close()
            for task in self._tasks:
                task.cancel()

    async def ask(self, patience_s: float = 2 * PATIENCE_S) -> list[Snapshot]:
        """What the other end tells; nothing if that takes longer.

        The parent, which asks others, has the time for it that these have, and then tells what it has.
        """
        if self._writer is None:
            return []
        self._questions += 1
        number = self._questions
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send(_Message(number))
        try:
            async with asyncio.timeout(patience_s):
                return await answer
        except TimeoutError:
            log.info("a process did not tell its metrics within %s s", patience_s)
            return []
        finally:
            del self._asked[number]

    def _take(self, message: _Message) -> None:
        if message.answer is None:
            task = asyncio.create_task(self._answer(message.question), name="metrics")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        asked = self._asked.get(message.question)
        if asked is not None and not asked.done():
            asked.set_result(message.answer)

    async def _answer(self, question: int) -> None:
        try:
            answer = await self.tell()
        except Exception:
            log.exception("the metrics of this process cannot be told")
            answer = []
        self._send(_Message(question, answer))

    def _send(self, message: _Message) -> None:
        if self._writer is not None:
            self._writer.write(msgspec.json.encode(message) + b"\n")


class Relatives(Protocol):
    """What a frontend process knows of the processes beside it."""

    tell: Tell
    """What they learn from this one; set by it."""

    async def ask(self) -> list[Snapshot]:
        """What they tell."""
        ...


class NoChild:
    """`Relatives` of a frontend that is in its program's own process.

    Args:
        beside: tells of the worker, where there is one.
    """

    def __init__(self, beside: Tell = nobody) -> None:
        self.tell: Tell = nobody
        self._beside = beside

    async def ask(self) -> list[Snapshot]:
        """What the worker tells."""
        return await self._beside()


class Family:
    """The parent's ends.

    Args:
        beside: tells of the worker, where the parent has one.
    """

    def __init__(self, beside: Tell = nobody) -> None:
        self._beside = beside
        self._children: set[Kin] = set()

    async def follow(self, sock: socket.socket) -> None:
        """Answer one child until it has ended."""
        child = Kin()
        child.tell = lambda: self._others_of(child)
        self._children.add(child)
        try:
            await child.run(sock)
        finally:
            self._children.discard(child)

    async def _others_of(self, asker: Kin) -> list[Snapshot]:
        told = await asyncio.gather(
            self._beside(), *[each.ask(PATIENCE_S) for each in self._children if each is not asker]
        )
        return [snapshot for snapshots in told for snapshot in snapshots]
