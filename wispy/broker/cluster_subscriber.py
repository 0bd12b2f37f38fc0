"""Sharded pub/sub on a Redis Cluster: one connection to each master that has a channel of ours, which follow the slots.

Rules:
- A channel is heard on the node that has its slot. When the slot moves, the channel is subscribed to there, and then
  all is as after a broken connection: what was published in between is lost, and readers notice.
- Each connection hears itself by probes on a channel of a slot that its node has. One whose probe's slot has moved is
  made anew.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from wispy.broker.cluster_link import ClusterLink
from wispy.broker.errors import LinkDown
from wispy.broker.link import notify
from wispy.broker.slots import Node, SlotMap, slot_of
from wispy.broker.subscriber import Handler, Subscriber

MakeSubscriber = Callable[..., Subscriber]
"""Makes the subscriber of a node: from the node, the link to it, and what concerns Clusters, by name."""


class _Channel:
    """One subscription."""

    def __init__(self, handler: Handler, future: asyncio.Future[None]) -> None:
        self.handler = handler
        self.future = future
        """What the subscriber waits for."""
        self.node: Node | None = None
        """Where it is heard; None while nobody knows."""


class _Ear:
    """The connection to one node."""

    def __init__(self, subscriber: Subscriber, probed_slot: int) -> None:
        self.subscriber = subscriber
        self.probed_slot = probed_slot
        self.channels: set[str] = set()


class ClusterSubscriber:
    """Subscriptions in a Cluster; `Subscriber` says what each of the methods means.

    Args:
        link: to all nodes; it knows who serves what.
        make_subscriber: makes the subscriber of one node.
    """

    def __init__(self, link: ClusterLink, make_subscriber: MakeSubscriber) -> None:
        self._link = link
        self._make_subscriber = make_subscriber
        self._channels: dict[str, _Channel] = {}
        self._ears: dict[Node, _Ear] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._started = False
        self._missed: set[_Channel] = set()
        """What was heard, and is not for the moment."""
        self._losses = 0
        self._listeners_up: list[Callable[[], None]] = []
        self._listeners_down: list[Callable[[], None]] = []
        self.after_read: Callable[[], None] | None = None
        link.on_map(self._follow)

    async def start(self) -> None:
        """Connect in the background; returns at once."""
        self._started = True
        self._follow()

    async def stop(self) -> None:
        """Close for good. Futures of unconfirmed subscriptions fail with `LinkDown`."""
        self._started = False
        for ear in self._ears.values():
            await ear.subscriber.stop()
        if self._ending:
            await asyncio.wait(self._ending)
        for channel in self._channels.values():
            if not channel.future.done():
                channel.future.set_exception(LinkDown("the subscriber was stopped"))
                channel.future.exception()  # a caller that did not wait is not to be told by the garbage collector

    @property
    def connected(self) -> bool:
        """Whether every subscription is confirmed."""
        is_placed = all(channel.node is not None for channel in self._channels.values())
        return is_placed and bool(self._ears) and all(ear.subscriber.connected for ear in self._ears.values())

    @property
    def deaf(self) -> bool:
        """Whether it is in doubt that some connection hears."""
        return not self._ears or any(ear.subscriber.deaf for ear in self._ears.values())

    @property
    def connection(self) -> int:
        """One more than the connections that were lost."""
        return self._losses + 1

    def on_connected(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each time that some messages may have been missed."""
        self._listeners_up.append(callback)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` at each loss of a connection."""
        self._listeners_down.append(callback)

    def subscribe(self, channel: str, handler: Handler) -> asyncio.Future[None]:
        """Hand the messages of `channel` to `handler`; the future ends when Redis has confirmed."""
        if channel in self._channels:
            raise ValueError(f"already subscribed: {channel}")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = self._channels[channel] = _Channel(handler, future)
        self._place(channel, entry)
        return future

    def unsubscribe(self, channel: str) -> None:
        """Forget the handler of `channel`; nothing is handed to it any more."""
        entry = self._channels.pop(channel)
        entry.future.cancel()
        self._leave(channel, entry)
        self._heard_again(entry)  # nobody waits for it any more

    # -- inside

    def _follow(self) -> None:
        """The nodes have said who serves what."""
        served = self._link.map
        if served is None or not self._started:
            return
        for node, ear in list(self._ears.items()):
            if served.node_of(ear.probed_slot) != node:
                self._end(node)
        for channel, entry in list(self._channels.items()):
            node = served.node_of(slot_of(channel))
            if node is not None and (entry.node != node or node not in self._ears):
                if entry.node is not None:
                    self._leave(channel, entry, has_moved=True)
                    self._miss(entry)
                self._place(channel, entry)

    def _place(self, channel: str, entry: _Channel) -> None:
        """Subscribe where the channel's slot is."""
        served = self._link.map
        node = None if served is None else served.node_of(slot_of(channel))
        if served is None or node is None or not self._started:
            return
        ear = self._ears.get(node) or self._open(node, served)
        entry.node = node
        ear.channels.add(channel)
        ear.subscriber.subscribe(channel, entry.handler).add_done_callback(lambda future: self._placed(entry, future))

    def _placed(self, entry: _Channel, future: asyncio.Future[None]) -> None:
        if future.cancelled() or future.exception() is not None:
            return  # it was given up, or has moved again
        if not entry.future.done():
            entry.future.set_result(None)
        else:
            self._heard_again(entry)

    def _heard_again(self, entry: _Channel) -> None:
        """This channel is not missed any more; once none is, whoever waits for that goes on."""
        if entry in self._missed:
            self._missed.remove(entry)
            if not self._missed:
                notify(self._listeners_up)

    def _leave(self, channel: str, entry: _Channel, *, has_moved: bool = False) -> None:
        ear = None if entry.node is None else self._ears.get(entry.node)
        if ear is not None and channel in ear.channels:
            ear.channels.remove(channel)
            ear.subscriber.unsubscribe(channel, has_moved=has_moved)
        entry.node = None

    def _open(self, node: Node, served: SlotMap) -> _Ear:
        tag, slot = _tag_of(node, served)
        subscriber = self._make_subscriber(
            node,
            self._link.link_of(node),
            sharded_tag=tag,
            on_moved=partial(self._given_up, node),
            on_refused=partial(self._refused, node),
        )
        subscriber.after_read = self._read_ended
        subscriber.on_lost(self._lost)
        subscriber.on_connected(lambda: self._came_up(subscriber))
        subscriber.begin()
        ear = self._ears[node] = _Ear(subscriber, slot)
        return ear

    def _given_up(self, node: Node, channel: str) -> None:
        """A node has given a channel up: most likely it does not have the slot any more."""
        entry = self._channels.get(channel)
        if entry is not None and entry.node == node:
            self._leave(channel, entry, has_moved=True)
            self._miss(entry)
        self._link.ask_again()

    def _refused(self, node: Node, text: str) -> None:
        """A node does not have the slot of a channel that it was asked for: what said so was behind the times."""
        slot = self._link.take_hint(text, node)
        for channel, entry in list(self._channels.items()):
            if entry.node == node and slot_of(channel) == slot:
                self._leave(channel, entry, has_moved=True)
                self._miss(entry)
        self._link.disown(slot, node)

    def _miss(self, entry: _Channel) -> None:
        """What is published on this channel is not heard for the moment."""
        if entry.future.done():
            self._missed.add(entry)
            if len(self._missed) == 1:
                self._losses += 1
                notify(self._listeners_down)

    def _end(self, node: Node) -> None:
        ear = self._ears.pop(node)
        task = asyncio.create_task(ear.subscriber.stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _came_up(self, subscriber: Subscriber) -> None:
        if subscriber.connection > 1:  # at first there was nothing to miss
            notify(self._listeners_up)

    def _lost(self) -> None:
        self._losses += 1
        self._link.ask_again()
        notify(self._listeners_down)

    def _read_ended(self) -> None:
        if self.after_read is not None:
            self.after_read()


def _tag_of(node: Node, served: SlotMap) -> tuple[str, int]:
    """A hash tag with a slot that the node has, and that slot. A node with few slots takes some thousand tries."""
    number = 0
    while True:
        tag = f"{{{number}}}"
        slot = slot_of(tag)
        if served.node_of(slot) == node:
            return tag, slot
        number += 1
