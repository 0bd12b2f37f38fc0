"""Slots of a Redis Cluster: which one a key has, and which node serves it. Pure."""

import binascii
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

SLOTS: Final = 16384


class Node(NamedTuple):
    """Where a node of a Cluster is, as the Cluster says."""

    host: str
    port: int


def slot_of(key: str | bytes) -> int:
    """The slot of a key or of a sharded channel; keys with the same text in braces share one."""
    data = key.encode() if isinstance(key, str) else key
    start = data.find(b"{")
    if start >= 0:
        end = data.find(b"}", start + 1)
        if end > start + 1:
            data = data[start + 1 : end]
    return binascii.crc_hqx(data, 0) % SLOTS


class SlotMap:
    """Which master serves which slot, as one node has told; `None` for a slot that none serves."""

    def __init__(self, masters: dict[Node, list[tuple[int, int]]], others: Sequence[Node] = ()) -> None:
        self.masters = masters
        """Master to its ranges of slots, first and last one."""
        self.nodes = [*masters, *others]
        """All nodes, replicas too: who may be asked next."""
        self._serving: list[Node | None] = [None] * SLOTS
        for node, ranges in masters.items():
            for first, last in ranges:
                self._serving[first : last + 1] = [node] * (last + 1 - first)
        self.is_whole = None not in self._serving
        """Whether each slot has a master."""

    def node_of(self, slot: int) -> Node | None:
        """The master that serves a slot."""
        return self._serving[slot]

    @classmethod
    def parse(cls, reply: Sequence[Any], asked: Node) -> "SlotMap":
        """Read a reply to CLUSTER SLOTS.

        Args:
            reply: rows of first slot, last slot, and nodes: each host, port, and more; the master comes first.
            asked: who has said so: a node that does not know its own host is there.
        """
        masters: dict[Node, list[tuple[int, int]]] = {}
        others: dict[Node, None] = {}
        for first, last, master, *replicas in reply:
            masters.setdefault(_node(master, asked), []).append((first, last))
            others |= dict.fromkeys(_node(replica, asked) for replica in replicas)
        return cls(masters, [node for node in others if node not in masters])


def node_named(error: str, asked: Node) -> Node:
    """The node that an error names: `MOVED <slot> <host>:<port>`, or ASK.

    Args:
        error: its text.
        asked: who has said so.
    """
    host, _, port = error.rpartition(" ")[2].rpartition(":")
    return Node(_host(host, asked), int(port))


def _node(row: Sequence[Any], asked: Node) -> Node:
    return Node(_host((row[0] or b"").decode(), asked), row[1])


def _host(named: str, asked: Node) -> str:
    """Where a node is: with the one that was asked, where the Cluster lets its clients use the address by which they
    came, or knows none.
    """
    return asked.host if named in ("", "?") else named
