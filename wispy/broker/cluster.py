"""What a process knows of a Redis Cluster: its nodes, and which of them serves which slot.

Rules:
- Any node may be asked, and one after the other is, beginning with another one at each try: one that is gone, or cut
  off from the others, does not stand in the way.
- What a node says is a hint. Whether the server is a master is for the handshake to see, and whether it has a slot for
  the first command: a wrong answer is followed by the next question.
"""

import asyncio
from typing import Any, Final

from wispy.broker.errors import BrokerError, ReplyError
from wispy.broker.opening import MakeConnection, NotServing, log_in, open_connection
from wispy.broker.slots import Node, SlotMap
from wispy.config.redis_address import RedisAddress

NODE_TIMEOUT_S: Final = 1.0
"""How long one node may take to answer: the next one is waiting to be asked."""

MAX_ASKED: Final = 8
"""Nodes that are asked in one try. A Cluster may have hundreds; eight that do not answer are a network's fault."""


class NoNode(BrokerError):  # noqa: N818 - it names a state of the deployment, like its siblings
    """No node says who serves a slot."""


class Cluster:
    """The nodes of one Cluster.

    Args:
        address: as whom to speak to them, and some of them to begin with.
    """

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._seeds = [Node(*each) for each in address.nodes]
        self._known: list[Node] = []
        """Those that the Cluster has named last."""
        self._hint: Node | None = None

    def ask_first(self, node: Node) -> None:
        """This node is the one to know."""
        self._hint = node

    def at(self, node: Node) -> RedisAddress:
        """The address of one node."""
        return self._address.at(*node)

    async def ask(self, make_connection: MakeConnection, attempt: int) -> SlotMap:
        """Which node serves which slot; `attempt` chooses who is asked first.

        Raises:
            NoNode: none of them has said so; the text says what each has said.
        """
        nodes = list(dict.fromkeys([*self._known, *self._seeds]))
        start = attempt % len(nodes)
        nodes = nodes[start:] + nodes[:start]
        if self._hint is not None:
            nodes.insert(0, self._hint)
            self._hint = None
        reasons: list[str] = []
        for node in nodes[:MAX_ASKED]:
            try:
                async with asyncio.timeout(NODE_TIMEOUT_S):
                    found = await self._ask(node, make_connection)
            except TimeoutError:
                reasons.append(f"{node.host}:{node.port} does not answer")
            except (OSError, BrokerError) as error:
                reasons.append(f"{node.host}:{node.port}: {getattr(error, 'strerror', None) or error}")
            else:
                if found.masters:
                    self._known = found.nodes
                    return found
                reasons.append(f"{node.host}:{node.port} knows no slots")
        raise NoNode(f"no node of the Cluster says who serves what ({'; '.join(reasons)})")

    async def locate(self, slot: int, make_connection: MakeConnection, attempt: int) -> RedisAddress:
        """The address of the master that serves a slot. Raises `NoNode`."""
        node = (await self.ask(make_connection, attempt)).node_of(slot)
        if node is None:
            raise NoNode(f"no node of the Cluster serves slot {slot}")
        return self.at(node)

    async def _ask(self, node: Node, make_connection: MakeConnection) -> SlotMap:
        connection = make_connection(_ignore)
        address = self.at(node)
        try:
            await open_connection(connection, address)
            await log_in(connection, address)
            reply: list[Any] = await connection.call("CLUSTER", "SLOTS")
        except ReplyError as error:
            if "cluster support disabled" in str(error):
                raise NotServing("it is no node of a Cluster: redis:// is for a single server") from error
            raise
        finally:
            connection.drop("the node was asked")
        return SlotMap.parse(reply, node)


def _ignore(_: str) -> None:
    """The end of a connection that asked one question means nothing."""
