"""Sections on connections: websockets and their sessions."""

from typing import Annotated, Literal

from msgspec import Meta

from wispy.config import checks
from wispy.config.sections.base import LARGEST_BYTES, Duration, Section, about
from wispy.config.units import Bytes, Seconds


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
        about(
            "unsent data of one connection above which its reader is slow: updates are skipped; it is closed above "
            "this and `limits.reply_bytes` together"
        ),
    ] = Bytes(1 << 20)
