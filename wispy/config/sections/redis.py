"""Section on Redis: where it is, and how to speak to it."""

from typing import Annotated

from msgspec import Meta

from wispy.config import checks
from wispy.config.redis_address import RedisAddress, is_tls
from wispy.config.sections.base import Duration, Section, about
from wispy.config.sections.tls import RedisTlsConfig
from wispy.config.units import Seconds
from wispy.errors import ConfigError


class RedisSentinelConfig(Section, frozen=True):
    """As whom to speak to Sentinels, where that is not as to the servers."""

    user: Annotated[str | None, about("user name; null: the one that a password alone is for")] = None
    password: Annotated[
        str | None, about("password; null: a Sentinel that wants one gets user and password of the servers")
    ] = None


class RedisConfig(Section, frozen=True):
    """The Redis or Valkey server between frontends and workers."""

    url: Annotated[
        str | None,
        about(
            "`redis://[user:password@]host[:port][/database]`, `unix:///path?db=0`, or "
            "`redis+sentinel://[user:password@]host[:port][,host[:port]...]/master[/database]` (Sentinels, port 26379 "
            "unless given, name the master at each connection), or `redis+cluster://[user:password@]host[:port]"
            "[,host[:port]...]` (some nodes of a Cluster); with `rediss` for `redis` over TLS; null: a server of its "
            "own",
            checks.redis_url,
        ),
    ] = None
    user: Annotated[str | None, about("user name; stronger than the URL's")] = None
    password: Annotated[str | None, about("password; stronger than the URL's")] = None
    tls: RedisTlsConfig = RedisTlsConfig()
    sentinel: RedisSentinelConfig = RedisSentinelConfig()
    prefix: Annotated[
        str, about("start of every key and channel; one for each deployment on a server", checks.redis_prefix)
    ] = "wispy:"
    connect_timeout: Annotated[Duration, about("an attempt to connect that takes longer has failed")] = Seconds(5)
    command_timeout: Annotated[
        Duration, about("a connection that leaves a command unanswered for longer is given up")
    ] = Seconds(5)
    # Each probe wakes an idle system.
    probe_interval: Annotated[
        Annotated[Seconds, Meta(ge=1, le=3600)],
        about("a subscriber that hears nothing for this long checks that it is not deaf"),
    ] = Seconds(10)

    @property
    def server(self) -> RedisAddress:
        """Where the server is, and as whom to speak to it; whoever starts a process has seen to it that there is one.

        Raises:
            ConfigError: `tls` is set, and the URL does not say to speak TLS; or `sentinel` is, and it names none.
        """
        assert self.url is not None
        if self.tls != RedisTlsConfig() and not is_tls(self.url):
            raise ConfigError("redis.tls is set, and redis.url does not say to speak TLS: it must begin with rediss")
        address = RedisAddress.parse(self.url, user=self.user, password=self.password, tls=self.tls)
        sentinel = self.sentinel
        if sentinel == RedisSentinelConfig():
            return address
        if not address.sentinels:
            raise ConfigError(
                "redis.sentinel is set, and redis.url names no Sentinels: it must begin with redis+sentinel:// or "
                "rediss+sentinel://"
            )
        if sentinel.password is None:
            raise ConfigError("redis.sentinel.user is set, and redis.sentinel.password is missing")
        return address.with_sentinel_login(sentinel.user, sentinel.password)
