"""The Redis of a deployment, as its processes use it: which connections there are, and what they are made with."""

import logging
from functools import partial
from typing import Any

from wispy.broker.cluster import Cluster
from wispy.broker.cluster_link import ClusterLink
from wispy.broker.cluster_subscriber import ClusterSubscriber
from wispy.broker.connection import UNFIT
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.route import Commands
from wispy.broker.slots import Node, slot_of
from wispy.broker.subscriber import Subscriber, Subscriptions
from wispy.broker.tls import context_of
from wispy.config.redis_address import RedisAddress
from wispy.config.schema import RedisConfig

log = logging.getLogger("wispy.broker")

# For a link that has one slot and no map: what ends it when the slot has gone, so that it looks for it.
_UNFIT_FOR_SLOT = UNFIT | {"MOVED"}


class Deployment:
    """Makes the connections of one process.

    Args:
        redis: the configuration; its `url` is given.

    Raises:
        ConfigError: its parts do not fit together.
        StartError: a file that it names cannot be used.
    """

    def __init__(self, redis: RedisConfig) -> None:
        self._redis = redis
        self._address = redis.server
        self._cluster = Cluster(self._address) if self._address.nodes else None
        self.keys = Keys(redis.prefix, self._address.database)
        if self._address.tls is not None:
            context_of(self._address.tls)  # what is wrong with it is better said now than at each try to connect
            if self._address.tls.verify == "none":
                log.warning(
                    "redis.tls.verify is none: whoever sits between here and Redis can read and change all that passes"
                )

    def commands(self, name: str) -> Commands:
        """What a process sends its commands over. `name` is for logs and CLIENT LIST."""
        cluster = self._cluster
        if cluster is None:
            return self._link(name, self._address)
        return ClusterLink(cluster, lambda node: self._link(name, cluster.at(node)), name=name, home=self.keys.objects)

    def _link(self, name: str, address: RedisAddress) -> Link:
        return Link(
            address,
            name=name,
            connect_timeout_s=self._redis.connect_timeout,
            command_timeout_s=self._redis.command_timeout,
        )

    def reader(self, name: str, key: str, block_s: float) -> Link:
        """What blocking reads of `key` go over; those asked for in one write take `block_s` seconds at most."""
        cluster = self._cluster
        return Link(
            self._address,
            name=name,
            connect_timeout_s=self._redis.connect_timeout,
            # The server answers a blocked read after that time even if nothing came: silence beyond it is a dead link.
            command_timeout_s=block_s + self._redis.command_timeout,
            locate=None if cluster is None else partial(cluster.locate, slot_of(key)),
            unfit=UNFIT if cluster is None else _UNFIT_FOR_SLOT,
        )

    def subscriber(self, name: str, commands: Commands) -> Subscriptions:
        """What a process hears. `commands` is what `commands` has returned."""
        if isinstance(commands, ClusterLink):
            return ClusterSubscriber(commands, partial(self._node_subscriber, name))
        assert isinstance(commands, Link)
        return self._subscriber(name, self._address, commands)

    def _node_subscriber(self, name: str, node: Node, link: Link, **shard: Any) -> Subscriber:
        assert self._cluster is not None
        return self._subscriber(name, self._cluster.at(node), link, **shard)

    def _subscriber(self, name: str, address: RedisAddress, link: Link, **shard: Any) -> Subscriber:
        return Subscriber(
            address,
            name=name,
            command_link=link,
            prefix=self.keys.prefix,
            probe_interval_s=self._redis.probe_interval,
            connect_timeout_s=self._redis.connect_timeout,
            **shard,
        )
