"""Commands to a Redis Cluster: one link to each master, and a way for each slot that follows it from node to node.

Rules:
- A slot's way is up while the link to the master that serves it is. When that link is lost, or the slot has moved, the
  way is lost, as a link is; it is up again once the nodes have said who serves the slot now. So whoever uses it
  need not know of Clusters: what was in flight is sent again, as copies, by those who did so after a broken link.
- MOVED answers a command with `LinkLost`: whoever sent it goes on when the way is up again, and in order, since all
  that he had sent meets the same fate.
- ASK is followed at once: that one command is for another node, for as long as the slot is moving.
- Nobody asks the nodes for anything while all masters can be reached and all ways are up.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from wispy.broker.cluster import Cluster
from wispy.broker.connection import Argument, Connection, OnReply
from wispy.broker.errors import BrokerError, LinkDown, LinkLost, ReplyError
from wispy.broker.link import Link, notify
from wispy.broker.route import Commands, Route
from wispy.broker.server import Clocks, Server
from wispy.broker.slots import Node, SlotMap, node_named, slot_of

logger = logging.getLogger("wispy.broker")

ASK_AGAIN_S: Final = 0.25
"""Pause between two questions while a master is away: a failover takes seconds, and is to be noticed soon."""

MAX_ASK_AGAIN_S: Final = 2.0
"""The longest such pause, which is reached in a minute: then it is no failover, and each question is a connection."""

DISOWNED_S: Final = 5.0
"""For how long a node that gave a slot up is not believed to have it again. Nodes hear of a move within a second."""

MakeLink = Callable[[Node], Link]


class SlotRoute(Route):
    """The way to one slot."""

    is_sharded = True

    def __init__(self, cluster: "ClusterLink", slot: int) -> None:
        super().__init__()
        self.slot = slot
        self.target: Link | None = None
        """The link to the master that serves the slot, as far as is known."""
        self._link: Link | None = None
        """The same while the way is up."""
        self._cluster = cluster
        self.clocks = cluster.clocks
        self._count = 0
        self._up = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    @property
    def connected(self) -> bool:
        return self._link is not None

    @property
    def connection(self) -> int:
        return self._count

    @property
    def server(self) -> Server | None:
        return None if self._link is None else self._link.server

    async def wait_connected(self) -> None:
        while self._link is None:
            if self._cluster.stopped:
                raise LinkDown("the link was stopped")
            await self._up.wait()

    def on_connected(self, callback: Callable[[], None]) -> None:
        self._listeners.append(callback)

    def remove_connected(self, callback: Callable[[], None]) -> None:
        self._listeners.remove(callback)

    def send(self, args: tuple[Argument, ...], on_reply: OnReply, *, will_flush: bool = False) -> None:
        link = self._link
        if link is None:
            asyncio.get_running_loop().call_soon(on_reply, LinkDown("no node of the Redis Cluster serves this now"))
        else:
            link.send(args, partial(self._take, link, args, on_reply), will_flush=will_flush)

    def flush(self) -> None:
        if self._link is not None:
            self._link.flush()

    def route(self, key: str) -> Route:
        return self._cluster.route(key)

    # -- for the cluster

    def attach(self) -> None:
        """The link to the slot's master is up."""
        self._link = self.target
        self._count += 1
        self._up.set()
        notify(self._listeners)

    def detach(self) -> None:
        """It is not, or it is another one now."""
        self._link = None
        self._up.clear()

    def wake(self) -> None:
        """The cluster was stopped: nobody waits any more."""
        self._up.set()

    # -- inside

    def _take(self, link: Link, args: tuple[Argument, ...], on_reply: OnReply, reply: Any) -> None:
        if not isinstance(reply, ReplyError):
            on_reply(reply)
        elif reply.code == "MOVED":
            if link is self._link:  # else that is known: this was sent before
                self._cluster.moved(self, str(reply), link)
            on_reply(LinkLost(f"the slot {self.slot} is served by another node now"))
        elif reply.code == "ASK":
            self._cluster.send_asking(str(reply), link, args, on_reply)
        else:
            on_reply(reply)


class ClusterLink(Commands):
    """Links to all masters of a Cluster.

    Args:
        cluster: its nodes.
        make_link: makes the link to a node.
        name: for logs.
        home: a key; what has none goes to its node.
    """

    is_sharded = True

    def __init__(self, cluster: Cluster, make_link: MakeLink, *, name: str, home: str) -> None:
        super().__init__()
        self.clocks = self._clocks = Clocks()
        self.stopped = False
        self.map: SlotMap | None = None
        self._cluster = cluster
        self._make_link = make_link
        self._name = name
        self._links: dict[Node, Link] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        """Links to nodes that are gone."""
        self._routes: dict[int, SlotRoute] = {}
        self._losses = 0
        self._disowned: dict[int, tuple[Node, float]] = {}
        """Slot to a node that does not serve it any more, and until when that counts."""
        self._stale = asyncio.Event()
        """Somebody must be asked who serves what."""
        self._keeper: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._listeners_clock: list[Callable[[], None]] = []
        self._home = self._route(slot_of(home))

    # -- commands

    async def start(self) -> None:
        if self._keeper is None:
            self._stale.set()
            self._keeper = asyncio.create_task(self._keep_map(), name=f"redis-cluster-{self._name}")
            self._keeper.add_done_callback(self._report_end)

    async def stop(self) -> None:
        self.stopped = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        for link in list(self._links.values()):
            await link.stop()
        if self._stopping:
            await asyncio.wait(self._stopping)
        for route in self._routes.values():
            route.wake()

    @property
    def connected(self) -> bool:
        """Whether all masters can be reached: without one of them its objects cannot."""
        return (
            self.map is not None and self.map.is_whole and all(self._links[node].connected for node in self.map.masters)
        )

    @property
    def connection(self) -> int:
        """One more than the connections that were lost."""
        return self._losses + 1

    @property
    def server(self) -> Server | None:
        """That of the home, or any other while that is away: a request needs some clock to be stamped by."""
        if self._home.server is not None:
            return self._home.server
        return next((link.server for link in self._links.values() if link.server is not None), None)

    async def wait_connected(self) -> None:
        await self._home.wait_connected()

    def on_connected(self, callback: Callable[[], None]) -> None:
        self._home.on_connected(callback)

    def remove_connected(self, callback: Callable[[], None]) -> None:
        self._home.remove_connected(callback)

    def on_clock(self, callback: Callable[[], None]) -> None:
        self._listeners_clock.append(callback)

    def send(self, args: tuple[Argument, ...], on_reply: OnReply, *, will_flush: bool = False) -> None:
        self._home.send(args, on_reply, will_flush=will_flush)

    def flush(self) -> None:
        for link in self._links.values():
            link.flush()

    def publish(self, channel: str | bytes, message: str | bytes, on_reply: OnReply) -> None:
        self._route(slot_of(channel)).publish(channel, message, on_reply)

    def route(self, key: str) -> Route:
        return self._route(slot_of(key))

    def _route(self, slot: int) -> SlotRoute:
        route = self._routes.get(slot)
        if route is None:
            route = self._routes[slot] = SlotRoute(self, slot)
            self._lead(route)
        return route

    # -- who serves what

    def on_map(self, callback: Callable[[], None]) -> None:
        """Call `callback` each time that the nodes have said who serves what."""
        self._listeners.append(callback)

    def link_of(self, node: Node) -> Link:
        """The link to a master of the present map."""
        return self._links[node]

    def ask_again(self) -> None:
        """It may be that somebody else serves some slot now."""
        self._stale.set()

    def moved(self, route: SlotRoute, text: str, link: Link) -> None:
        """A node has answered, on its link, that another one serves this slot."""
        self._losses += 1
        route.target = None
        route.detach()
        self.take_hint(text, _node_of(link))
        node = None if self.map is None else self.map.node_of(route.slot)
        if node is not None:
            self.disown(route.slot, node)

    def take_hint(self, text: str, asked: Node) -> int:
        """Of the text of a MOVED error, by the node that was asked: the slot; the node that it names is asked next."""
        self._cluster.ask_first(node_named(text, asked))
        return int(text.split()[1])

    def disown(self, slot: int, node: Node) -> None:
        """This node has said that it does not serve this slot: who says that it does is behind the times."""
        self._disowned[slot] = (node, time.monotonic() + DISOWNED_S)
        self._stale.set()

    def send_asking(self, text: str, asked: Link, args: tuple[Argument, ...], on_reply: OnReply) -> None:
        """Send one command where a node says that its slot is moving to."""
        link = self._link(node_named(text, _node_of(asked)))
        link.send(("ASKING",), _ignore, will_flush=True)
        link.send(args, on_reply, will_flush=True)
        link.flush()

    async def _keep_map(self) -> None:
        attempt = 0
        fault = ""
        while True:
            await self._stale.wait()
            self._stale.clear()
            is_answered = False
            try:
                found = await self._cluster.ask(_make_connection, attempt)
            except BrokerError as error:
                if not fault:
                    fault = str(error)
                    logger.warning("redis cluster %r: %s; asking again", self._name, error)
            else:
                fault = ""
                is_answered = not self._is_outdated(found)
                if is_answered:
                    self._apply(found)
            if not (is_answered and self._is_complete):
                await asyncio.sleep(ask_again_s(attempt))
                attempt += 1
            if is_answered and self._is_complete:  # links that have just been made needed that moment
                attempt = 0
            else:
                self._stale.set()

    def _is_outdated(self, found: SlotMap) -> bool:
        """Whether it says that a node serves a slot which that node does not."""
        now = time.monotonic()
        self._disowned = {slot: each for slot, each in self._disowned.items() if each[1] > now}
        return any(found.node_of(slot) == node for slot, (node, _) in self._disowned.items())

    @property
    def _is_complete(self) -> bool:
        """Whether all ways are up, and all masters can be reached, also those that no way leads to: one that is gone
        has another one in its place soon.
        """
        return self.connected and all(route.connected for route in self._routes.values())

    def _apply(self, found: SlotMap) -> None:
        self.map = found
        for node in found.masters:
            self._link(node)
        for route in self._routes.values():
            self._lead(route)
        for node in [node for node in self._links if node not in found.masters]:
            task = asyncio.create_task(self._links.pop(node).stop())
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
        notify(self._listeners)

    def _lead(self, route: SlotRoute) -> None:
        """Let a way lead to the master that serves its slot now."""
        node = None if self.map is None else self.map.node_of(route.slot)
        target = None if node is None else self._links.get(node)
        if target is not route.target and route.connected:
            self._losses += 1
            route.detach()
        route.target = target
        if target is not None and target.connected and not route.connected:
            route.attach()

    def _link(self, node: Node) -> Link:
        link = self._links.get(node)
        if link is None:
            link = self._links[node] = self._make_link(node)
            link.on_connected(partial(self._came_up, link))
            link.on_lost(partial(self._went_down, link))
            link.on_clock(lambda: notify(self._listeners_clock))
            link.begin()
        return link

    def _came_up(self, link: Link) -> None:
        if link.server is not None:
            self._clocks.add(link.server)
        for route in list(self._routes.values()):
            if route.target is link and not route.connected:
                route.attach()

    def _went_down(self, link: Link) -> None:
        self._losses += 1
        for route in list(self._routes.values()):
            if route.target is link and route.connected:
                route.detach()
        self._stale.set()

    def _report_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            logger.critical(
                "redis cluster %r: ended by a bug; nothing follows it", self._name, exc_info=task.exception()
            )


def ask_again_s(attempt: int) -> float:
    """The pause before the next question, at random about what the number of those before it says."""
    usual_s = min(ASK_AGAIN_S * (1 + attempt / 8), MAX_ASK_AGAIN_S)
    return usual_s * random.uniform(0.5, 1.5)  # noqa: S311 - jitter  # nosec B311


def _node_of(link: Link) -> Node:
    return Node(link.address.host, link.address.port)


def _make_connection(on_lost: Callable[[str], None]) -> Connection:
    return Connection(on_lost, command_timeout_s=None)


def _ignore(_: object) -> None:
    """The answer to ASKING is seen by the one to the command behind it."""
