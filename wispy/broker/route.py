"""The way to the server that has certain keys: one link where there is one server, a part of many in a Cluster."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from wispy.broker.connection import Argument, OnReply, settle
from wispy.broker.server import Clocks, Server


class Route(ABC):
    """Where commands go. Used from the thread of its event loop only.

    What a caller may conclude from an error is in `wispy.broker.errors`.
    """

    is_sharded = False
    """Whether messages travel by sharded pub/sub, on the node that has the channel's slot."""

    clocks: Clocks | None = None
    """The clocks of all servers, where there are several."""

    def __init__(self) -> None:
        self.scripts: dict[str, int] = {}
        """Hash of a script to the number of the connection to which it was sent whole last."""

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether commands can be sent."""

    @property
    @abstractmethod
    def connection(self) -> int:
        """The number of the present or last connection; it changes with each reconnect. 0 before the first."""

    @property
    @abstractmethod
    def server(self) -> Server | None:
        """The server of the present connection; None while there is none."""

    @abstractmethod
    async def wait_connected(self) -> None:
        """Wait until it is connected. Raises `LinkDown` if it is stopped."""

    @abstractmethod
    def on_connected(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each connection from now on, before other commands of the same turn are sent."""

    @abstractmethod
    def remove_connected(self, callback: Callable[[], None]) -> None:
        """Call `callback` no more; it must have been given to `on_connected`."""

    @abstractmethod
    def send(self, args: tuple[Argument, ...], on_reply: OnReply, *, will_flush: bool = False) -> None:
        """Send a command without the cost of a future: the hot path.

        `on_reply` gets the reply, or a `BrokerError` instance, exactly once and never before this returns. Raises
        nothing but `TypeError` for an argument of a wrong type.

        `will_flush`: the caller calls `flush` in this very turn, so that no other one need be scheduled.
        """

    @abstractmethod
    def flush(self) -> None:
        """Write what this turn has sent now, instead of at the end of the turn."""

    @abstractmethod
    def route(self, key: str) -> "Route":
        """The way to this key, and to all that share its hash tag."""

    def call(self, *args: Argument) -> asyncio.Future[Any]:
        """Send a command; the future gets its reply, or raises a `BrokerError`."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(args, partial(settle, future))
        return future

    def publish(self, channel: str | bytes, message: str | bytes, on_reply: OnReply) -> None:
        """Publish a message on a channel of this way; `on_reply` gets how many subscribers its server has."""
        self.send((b"SPUBLISH" if self.is_sharded else b"PUBLISH", channel, message), on_reply)


class Commands(Route):
    """The ways to all keys of a deployment; itself the way to what belongs to no object."""

    @abstractmethod
    async def start(self) -> None:
        """Connect in the background; returns at once. See `wait_connected`."""

    @abstractmethod
    def on_clock(self, callback: Callable[[], None]) -> None:
        """Call `callback` when a server's clock turns out to be another one than was known: it was set."""

    @abstractmethod
    async def stop(self) -> None:
        """Close for good. Pending commands fail with `LinkLost` or `LinkDown`."""
