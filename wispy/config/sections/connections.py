"""Sections on connections: TLS, websockets and their sessions, Redis."""

from typing import Annotated, Literal

from msgspec import Meta

from wispy.config import checks
from wispy.config.sections.base import LARGEST_BYTES, Duration, Section, about
from wispy.config.units import Bytes, Seconds


class TlsConfig(Section, frozen=True):
    """TLS in the frontend itself, for a server without a proxy before it; both files, or neither."""

    certificate: Annotated[str | None, about("file with the certificate and its chain, in PEM format")] = None
    key: Annotated[str | None, about("file with the certificate's private key, in PEM format")] = None

    @property
    def is_on(self) -> bool:
        """Whether the port speaks TLS."""
        return self.certificate is not None or self.key is not None


class RedisConfig(Section, frozen=True):
    """The Redis or Valkey server between frontends and workers."""

    url: Annotated[
        str | None,
        about(
            "`redis://[user:password@]host[:port][/database]`, `unix:///path?db=0`, or "
            "`redis+sentinel://[user:password@]host[:port][,host[:port]...]/master[/database]` (Sentinels, port 26379 "
            "unless given, name the master at each connection); null: a server of its own",
            checks.redis_url,
        ),
    ] = None
    user: Annotated[str | None, about("user name; stronger than the URL's")] = None
    password: Annotated[str | None, about("password; stronger than the URL's")] = None
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


class SessionConfig(Section, frozen=True):
    """Browser sessions that outlive their connection."""

    secret: Annotated[
        str | None,
        about(
            "key that signs session tokens and, with `auth`, what frontends send to workers: the same for all of them; "
            "null: a random one for this run",
            checks.secret,
        ),
    ] = None
    window: Annotated[Duration, about("how long after its connection broke a session may continue")] = Seconds(60)


class WebsocketConfig(Section, frozen=True):
    """Websocket connections."""

    shell: Annotated[
        Literal["detached", "tornado"],
        about("what carries a connection: our own protocol on the bare socket (fast), or Tornado's handler"),
    ] = "detached"
    compression: Annotated[
        bool, about("whether to offer permessage-deflate; connections then run on the tornado shell")
    ] = False
    # Proxies commonly cut what is silent for 60 s.
    ping_interval: Annotated[Annotated[Seconds, Meta(ge=1, le=3600)], about("each connection is pinged this often")] = (
        Seconds(25)
    )
    pong_timeout: Annotated[
        Duration, about("a connection that is silent for `ping_interval` and this long is closed")
    ] = Seconds(10)
    # At most half of the 10 s for which a frontend that ends waits for calls.
    drain: Annotated[
        Annotated[Seconds, Meta(ge=0, le=5)],
        about("over how long the clients of a frontend that ends move to others, spread at random; 0: there are none"),
    ] = Seconds(2)
    # Below 16 KiB a single reply of usual size would count as a slow reader.
    write_buffer: Annotated[
        Annotated[Bytes, Meta(ge=16 << 10, le=LARGEST_BYTES)],
        about("unsent data of one connection above which its reader is slow: updates are skipped, or it is closed"),
    ] = Bytes(1 << 20)
