"""The limits that clients meet: why each number is what it is, and what whoever is past it is told.

Rules:
- The numbers themselves are the configuration's. This table is the only list of their reasons and answers;
  docs/reference/limits.md is made from both.
- The label of a limit in metrics is the last part of its key.
"""

from typing import Final, Literal, NamedTuple

from wispy.config import fields

FrontendLimit = Literal[
    "websocket_max_message_size",
    "login_size",
    "partial_messages",
    "login_time",
    "failed_logins",
    "batch",
    "depth",
    "digits",
    "http_body",
    "http_body_time",
    "connections",
    "connections_per_user",
    "connections_per_address",
    "connection_rate_per_address",
    "http_connections",
    "http_connections_per_address",
    "http_request_rate_per_address",
    "in_flight_per_connection",
    "in_flight_per_user",
    "in_flight_per_address",
    "in_flight_per_object",
    "objects",
    "request_rate_per_session",
    "request_rate_per_user",
    "request_rate_per_address",
    "subscriptions_per_connection",
    "subscriptions_per_user",
    "subscriptions_per_address",
    "subscription_rate_per_session",
    "subscription_rate_per_user",
    "subscription_rate_per_address",
    "channels",
]
"""What a frontend counts in `wispy_frontend_limit_hits`."""

ObjectLimit = Literal["reply_bytes", "snapshot_bytes", "rate"]
"""What a worker counts in `wispy_object_limit_hits`."""

FRONTEND: Final = "wispy_frontend_limit_hits"
WORKER: Final = "wispy_object_limit_hits"


class Limit(NamedTuple):
    """One row of the table."""

    key: str
    """In the configuration; of `rate` the mark's name."""
    scope: str
    reason: str
    answer: str
    """What whoever is past it gets."""
    metric: str | None = FRONTEND
    """Where it is counted, with its label; None: it is not."""

    @property
    def label(self) -> str:
        """In metrics."""
        return self.key.rpartition(".")[2]


_LATER: Final = "`RATE_LIMITED` with `retry_in_ms`"
_FOR_NOW: Final = "`OVERLOADED`"
_FOR_GOOD: Final = "`OVERLOADED`, not retryable"
_SHARED: Final = "off: many may share a login, a proxy or an institute's one address, and only who runs it knows"

LIMITS: Final = (
    # messages
    Limit(
        "websocket_max_message_size",
        "message",
        "the seed's number: images and curves pass whole. Compressed messages count as they are unpacked",
        "close code 1009",
    ),
    Limit(
        "auth.login_size",
        "message",
        "the longest token with room to spare: what nobody has logged in for is read as JSON, too",
        "close code 1009",
    ),
    Limit(
        "limits.partial_messages",
        "process",
        "five of the largest messages, in half of what the manifests let a frontend have. The first 16 KiB of each do "
        "not count: large messages keep no usual one out",
        "close code 1013; 503 with `Retry-After`",
    ),
    Limit("limits.batch", "message", "as many as may be in flight; each counts for itself", "`TOO_LARGE`"),
    Limit(
        "limits.depth",
        "message",
        "hand-made data rarely has ten levels; each takes a few frames of Python's thousand, here and in objects' code",
        "`TOO_LARGE`",
    ),
    Limit(
        "limits.digits",
        "message",
        "Python's own: the time to make a number of its digits grows with their square, 0.1 ms for so many",
        "`TOO_LARGE`",
    ),
    Limit(
        "limits.http_body",
        "POST",
        "what scripts send is small, and it is kept whole until it has come. Compressed ones are refused with 415",
        "413 and `TOO_LARGE`, at once; what still comes is read for 5 s at most",
    ),
    Limit(
        "limits.http_body_time",
        "body, message",
        "10 MiB at 300 kbit/s. Messages are looked at when pings are due",
        "the connection is closed; a websocket with close code 1008",
    ),
    Limit(
        "limits.reply_bytes",
        "reply",
        "as large as a message the other way. The results of a batch that comes by `POST` have as much together, and "
        "`websocket.write_buffer`: what goes beyond is answered so, and not counted",
        "`TOO_LARGE`, `executed: yes`",
        WORKER,
    ),
    Limit(
        "limits.snapshot_bytes",
        "object",
        "it travels in one command: 10 ms of Redis' time, and half of what a link holds for a stalled server",
        "the log; the state before it stays",
        WORKER,
    ),
    # connections
    Limit(
        "limits.connections",
        "process",
        "300 MiB with a page's subscriptions; open files are a limit, too (`ulimit -n`)",
        "503 to the handshake",
    ),
    Limit("limits.connections_per_user", "user", _SHARED, "429 to the handshake, or `OVERLOADED` to the login"),
    Limit("limits.connections_per_address", "address", _SHARED, "429 to the handshake"),
    Limit("limits.connection_rate_per_address", "address", _SHARED, "429 to the handshake, with `Retry-After`"),
    Limit(
        "limits.http_connections",
        "process",
        "100 MiB; a page has at most six, and balancers a few dozens",
        "503, and the connection is closed",
    ),
    Limit(
        "limits.http_connections_per_address",
        "address",
        f"{_SHARED}. Behind a proxy each client has its own with its request only, and the proxy bounds them",
        "503, and the connection is closed",
    ),
    Limit(
        "limits.http_request_rate_per_address",
        "address",
        f"{_SHARED}, and how many files its pages have. Websockets have `connection_rate_per_address`; `/healthz` and "
        "`/readyz` do not count",
        "429, with `Retry-After`",
    ),
    Limit(
        "limits.http_idle",
        "connection",
        "longer than the 60 s after which balancers reuse a connection no more",
        "the connection is closed",
        None,
    ),
    Limit(
        "auth.login_time",
        "connection",
        "a page may fetch a token from elsewhere, and nobodies do not fill the connections",
        "close code 4401",
    ),
    Limit(
        "auth.failed_logins",
        "connection",
        "one token out of date, one mistyped, and some patience",
        "close code 4401",
    ),
    # requests
    Limit(
        "limits.in_flight_per_connection",
        "connection, session",
        "keeps all of a turn's calls in one entry; an owner remembers their answers",
        "nothing more is read until some are answered",
    ),
    Limit("limits.in_flight_per_user", "user", _SHARED, _FOR_NOW),
    Limit("limits.in_flight_per_address", "address", _SHARED, _FOR_NOW),
    Limit(
        "limits.in_flight_per_object",
        "object",
        "an owner that does 10,000 a second has them answered in half a second",
        _FOR_NOW,
    ),
    Limit(
        "limits.objects",
        "process",
        "each costs a subscription in Redis, and clients choose the names; those that nobody waits for make room",
        _FOR_NOW,
    ),
    Limit(
        "limits.request_rate_per_session",
        "connection, session",
        "off: `in_flight_per_connection` holds back whoever asks faster than he is answered",
        _LATER,
    ),
    Limit("limits.request_rate_per_user", "user", _SHARED, _LATER),
    Limit("limits.request_rate_per_address", "address", f"{_SHARED}. Logins that fail count, too", f"{_LATER}; 429"),
    Limit("rate", "method", "off: only its author knows how often a method may run (`@rate`)", _LATER, WORKER),
    # channels
    Limit(
        "limits.subscriptions_per_connection",
        "connection, session",
        "a page that shows a thousand values at once shows none",
        _FOR_GOOD,
    ),
    Limit("limits.subscriptions_per_user", "user", _SHARED, _FOR_GOOD),
    Limit("limits.subscriptions_per_address", "address", _SHARED, _FOR_GOOD),
    Limit(
        "limits.subscription_rate_per_session",
        "connection, session",
        "off: a page subscribes when it opens, and each is a read from Redis at most",
        _LATER,
    ),
    Limit("limits.subscription_rate_per_user", "user", _SHARED, _LATER),
    Limit("limits.subscription_rate_per_address", "address", _SHARED, _LATER),
    Limit(
        "limits.channels",
        "process",
        "each is a subscription in Redis, and its newest value is kept",
        _FOR_NOW,
    ),
    Limit(
        "limits.channels_per_object",
        "object",
        "all of their names travel with each listing",
        "an exception in the object's own code",
        None,
    ),
)


def reference() -> str:
    """The text of `docs/reference/limits.md`."""
    settings = {".".join(key): setting for key, setting in fields.walk(fields.root())}
    rows: list[str] = []
    for limit in LIMITS:
        setting = settings.get(limit.key)
        shown = None if setting is None else fields.show_value(setting, setting.default)
        default = "off" if shown is None else f"{shown}"
        counted = "" if limit.metric is None else f'`{limit.metric}_total{{limit="{limit.label}"}}`'
        rows.append(f"| `{limit.key}` | {limit.scope} | {default} | {limit.reason} | {limit.answer} | {counted} |")
    return _REFERENCE_HEAD + "\n".join(rows) + "\n"


_REFERENCE_HEAD: Final = """\
# Limits

Made from the table in `wispy/limits.py` and the [configuration](configuration.md) by `make docs`; a test holds them
together. Which ones to set on a server that strangers can reach:
[Secure an object](../how-to/secure.md#set-limits-for-strangers).

- **Past a limit** a request is answered by an [error](errors.md), never dropped without a word. (A notification has no
  answer in JSON-RPC: it is counted.) What is refused has not run and uses nothing up. Of a batch each request counts,
  and is answered, for itself.
- **A connection has one session.** What is limited for a connection is so for a session. The bucket of its rates goes
  with a session to its next connection; a websocket that says no `rpc.hello` has one of its own.
- **Users** are known where `auth` is on. All of a user's connections and `POST`s count together.
- **An address** is the client's: the peer's, or what proxies in `trusted_proxies` say in `X-Forwarded-For`. Without
  that key all who come through a proxy are one address. Of IPv6 the first 64 bits are one: whoever has any has so many.
- **Each frontend process counts for itself**: with four, an address may have four times as much.
- **A rate** is a token bucket, which holds `limits.burst` (2 s) of it, and one token at least. `data.retry_in_ms` says
  when there will be enough. A subscription costs a token for each channel; one of more channels than the bucket holds
  waits until it is full, and is owed the rest.
- **A retry** (`wispy.retry`) may have run before, so that it is refused as `OUTCOME_UNKNOWN`. It has room beside the
  limits for as much as a session may have in flight: to come again costs nobody his answers.
- A limit per user or address counts what clients that are gone have left in flight. Leave room in `connections_per_*`
  for connections whose end has not been noticed yet: up to `websocket.ping_interval` and `pong_timeout` together.
- What is off costs nothing: not even a look at whether it is.
- The buckets of users, of addresses and of sessions are as many as `limits.connections`, each 300 bytes. Those that
  are full are forgotten; past the number, the one that was asked for the longest time ago.

The last column is the name in [metrics](metrics.md).

| key | for each | default | why | past it | counted |
| --- | --- | --- | --- | --- | --- |
"""
