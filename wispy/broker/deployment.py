"""The Redis of a deployment, as its processes use it: which connections there are, and what they are made with."""

import logging

from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.subscriber import Subscriber
from wispy.broker.tls import context_of
from wispy.config.schema import RedisConfig

log = logging.getLogger("wispy.broker")


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
        self.keys = Keys(redis.prefix, self._address.database)
        if self._address.tls is not None:
            context_of(self._address.tls)  # what is wrong with it is better said now than at each try to connect
            if self._address.tls.verify == "none":
                log.warning(
                    "redis.tls.verify is none: whoever sits between here and Redis can read and change all that passes"
                )

    def commands(self, name: str) -> Link:
        """What a process sends its commands over. `name` is for logs and CLIENT LIST."""
        return Link(
            self._address,
            name=name,
            connect_timeout_s=self._redis.connect_timeout,
            command_timeout_s=self._redis.command_timeout,
        )

    def reader(self, name: str, block_s: float) -> Link:
        """What blocking reads of at most `block_s` seconds go over."""
        return Link(
            self._address,
            name=name,
            connect_timeout_s=self._redis.connect_timeout,
            # The server answers a blocked read after that time even if nothing came: silence beyond it is a dead link.
            command_timeout_s=block_s + self._redis.command_timeout,
        )

    def subscriber(self, name: str, commands: Link) -> Subscriber:
        """What a process hears. `commands` is what publishes its probes."""
        return Subscriber(
            self._address,
            name=name,
            command_link=commands,
            prefix=self.keys.prefix,
            probe_interval_s=self._redis.probe_interval,
            connect_timeout_s=self._redis.connect_timeout,
        )
