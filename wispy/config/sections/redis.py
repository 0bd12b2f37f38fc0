"""Section on Redis: where it is, and how to speak to it."""

from typing import Annotated

from msgspec import Meta

from wispy.config import checks
from wispy.config.redis_address import RedisAddress, is_tls
from wispy.config.sections.base import Duration, Section, about
from wispy.config.sections.tls import RedisTlsConfig
from wispy.config.units import Seconds
from wispy.errors import ConfigError


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
            ConfigError: `tls` is set, and the URL does not say to speak TLS.
        """
        assert self.url is not None
        if self.tls != RedisTlsConfig() and not is_tls(self.url):
            raise ConfigError("redis.tls is set, and redis.url does not say to speak TLS: it must begin with rediss")
        return RedisAddress.parse(self.url, user=self.user, password=self.password, tls=self.tls)
