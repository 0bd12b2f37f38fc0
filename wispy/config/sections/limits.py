"""The section on how much: bounds of messages, of requests and of callers.

Rules:
- What is on by default is so wide that no page of good will meets it. Rates, and what one user or one address may have
  in all, are off: many a laboratory sits behind one address, and only who runs a server knows how many share a login.
- Each frontend process counts for itself: three of them let one address have three times as much.
- docs/reference/limits.md says why each number is what it is (`wispy.limits`).
"""

from typing import Annotated

from msgspec import Meta

from wispy.config.sections.base import Count, Duration, Section, Size, about
from wispy.config.units import Bytes, Seconds

PerSecond = Annotated[float, Meta(gt=0, le=1_000_000)]


class LimitsConfig(Section, frozen=True):
    """Bounds; what is past one gets a clear error. Those that are null are off, and cost nothing then."""

    # messages
    batch: Annotated[Count, about("requests in one JSON-RPC batch; each counts for itself in all that follows")] = 64
    # Five of the largest, and half of what the manifests in k8s/ let a frontend have.
    partial_messages: Annotated[
        Annotated[Bytes, Meta(ge=1, le=64 << 30)],
        about(
            "what has come of messages that are not whole yet, those of all clients of one frontend process together; "
            "at least one of `websocket_max_message_size`"
        ),
    ] = Bytes(512 << 20)
    depth: Annotated[Annotated[int, Meta(ge=1, le=64)], about("nesting of a message of a client")] = 64
    digits: Annotated[
        Annotated[int, Meta(ge=20, le=4300)], about("digits in a row in a number of a message of a client")
    ] = 4300
    http_body: Annotated[Size, about("body of a `POST /rpc`")] = Bytes(10 << 20)
    http_body_time: Annotated[
        Duration, about("a body that is no upload, or a message of a websocket, must have come after this long")
    ] = Seconds(300)
    reply_bytes: Annotated[Size, about("one reply; a larger result is an error to its caller")] = Bytes(100 << 20)
    snapshot_bytes: Annotated[
        Annotated[Bytes, Meta(ge=1, le=8 << 20)],
        about("the state that an object's snapshot hook returns, as JSON or bytes"),
    ] = Bytes(8 << 20)
    # connections
    connections: Annotated[Count, about("websockets of one frontend process")] = 20_000
    connections_per_user: Annotated[Count | None, about("websockets of one user")] = None
    connections_per_address: Annotated[
        Count | None, about("websockets of one address; of IPv6, of one network of 64 bits")
    ] = None
    connection_rate_per_address: Annotated[PerSecond | None, about("websockets that one address may open a second")] = (
        None
    )
    http_connections: Annotated[
        Count, about("connections of one frontend process that are no websockets, or none yet")
    ] = 5000
    http_connections_per_address: Annotated[
        Count | None, about("such connections of one address that is none of `trusted_proxies`")
    ] = None
    http_request_rate_per_address: Annotated[
        PerSecond | None,
        about("HTTP requests a second of one address, whatever they are for: files, uploads, `POST /rpc`"),
    ] = None
    http_idle: Annotated[
        Duration, about("a connection that has not sent a whole request head after this long is closed")
    ] = Seconds(75)
    # requests
    # An owner keeps at least 512 answers that were not acknowledged: those that a broken connection has swallowed.
    in_flight_per_connection: Annotated[
        Annotated[int, Meta(ge=1, le=512)], about("requests of one connection that are not yet answered")
    ] = 64
    in_flight_per_user: Annotated[Count | None, about("requests of one user to objects that are not yet answered")] = (
        None
    )
    in_flight_per_address: Annotated[
        Count | None, about("requests of one address to objects that are not yet answered")
    ] = None
    in_flight_per_object: Annotated[
        Count, about("requests to one object, through one frontend, that are not yet answered")
    ] = 4096
    objects: Annotated[
        Count, about("objects that one frontend process relays to; names that nobody serves count for a moment")
    ] = 1000
    request_rate_per_session: Annotated[
        PerSecond | None, about("requests a second of one session, or of a websocket without one")
    ] = None
    request_rate_per_user: Annotated[PerSecond | None, about("requests a second of one user")] = None
    request_rate_per_address: Annotated[PerSecond | None, about("requests a second of one address")] = None
    # channels
    subscriptions_per_connection: Annotated[Count, about("channels that one connection is subscribed to")] = 1000
    subscriptions_per_user: Annotated[Count | None, about("channels that one user is subscribed to")] = None
    subscriptions_per_address: Annotated[Count | None, about("channels that one address is subscribed to")] = None
    subscription_rate_per_session: Annotated[
        PerSecond | None, about("channels a second that one session, or a websocket without one, subscribes to")
    ] = None
    subscription_rate_per_user: Annotated[PerSecond | None, about("channels a second that one user subscribes to")] = (
        None
    )
    subscription_rate_per_address: Annotated[
        PerSecond | None, about("channels a second that one address subscribes to")
    ] = None
    channels: Annotated[Count, about("channels that one frontend process follows for its subscribers")] = 10_000
    channels_per_object: Annotated[Count, about("channels of one object")] = 1000
    # all rates
    burst: Annotated[
        Duration, about("for how long a rate may be used up at once, after a pause: 5 a second and 2 s are 10 at once")
    ] = Seconds(2)
