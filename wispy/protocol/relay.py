"""What frontends and owners say to each other through Redis: entries of the request stream, and replies.

Rules:
- An entry carries requests of one frontend, grouped by session, so that what is the same for all of a session's
  requests is said once. Params and bodies pass through as raw JSON: nobody between browser and owner reads them.
- Everything is a JSON array, not an object: the field names would be most of the bytes.
- A reply names its session and id, and nothing else: who waits for it is the frontend's own affair.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from wispy.protocol.denials import REASONS, Reason
from wispy.protocol.identity import NO_BEARER

MAX_ENTRY_REQUESTS: Final = 64
"""Requests an entry may carry: enough that the cost of an entry is shared, few enough that an owner that reads one
entry more than it has room for stays bounded."""

MAX_ENTRY_BYTES: Final = 256 * 1024
"""Bytes of params an entry may carry, unless a single request is larger: an owner reads whole entries."""

MAX_REPLY_MESSAGE_BYTES: Final = 1024 * 1024
"""Bytes of one pub/sub message. Redis cuts off every subscriber that a larger one finds too slow
(`client-output-buffer-limit pubsub 32mb 8mb 60`)."""

RESULT: Final = 0
"""The body is the JSON text of the result."""
ERROR: Final = 1
"""The body is the JSON text of a JSON-RPC error object."""
STORED_RESULT: Final = 2
"""The body is the JSON string of the key under which the result is stored: it is too large for pub/sub."""
EXTENDED: Final = 3
"""Not an answer: the body is the number of seconds for which the request may still run (a method with a time-out
of its own), so that the frontend does not give it up earlier."""
DENIED: Final = 4
"""From here on: as `ERROR`, and the number says which of `REASONS` there was, for the frontend's audit log. The error
itself must not: its reader is the client."""


def denied_kind(reason: Reason) -> int:
    """The kind of a reply that denies an access for this reason."""
    return DENIED + REASONS.index(reason)


def denied_reason(kind: int) -> Reason:
    """Why such a reply denies the access."""
    return REASONS[min(kind - DENIED, len(REASONS) - 1)]


def is_error(kind: int) -> bool:
    """Whether a reply's body is an error object."""
    return kind == ERROR or kind >= DENIED


class RelayedRequest(msgspec.Struct, array_like=True, gc=False):
    """One request, as its session sent it."""

    id: int
    """Rises within its session; never used twice."""
    at: int
    """When it was first sent: milliseconds on the Redis server's clock."""
    retry: bool
    """Whether an earlier copy may have reached the owner."""
    method: str
    """`<object>.<path>`, or one of the `rpc.` methods that an owner answers."""
    params: msgspec.Raw
    """JSON text of the params; `null` where the request has none."""


class SessionRequests(msgspec.Struct, array_like=True, gc=False):
    """The requests of one session in one entry, in the order in which they were sent."""

    session: str
    run: str
    """The run id of the Redis server whose clock the stamps are on."""
    ack: int
    """The session has its answers to all ids up to this one ..."""
    open: list[int]
    """... but these."""
    requests: list[RelayedRequest]
    bearer: msgspec.Raw = NO_BEARER
    """Whose requests these are: the text of a `Bearer`, or null where nobody has to say who he is."""


class Entry(msgspec.Struct, array_like=True, gc=False):
    """One entry of an object's request stream."""

    frontend: str
    sessions: list[SessionRequests]


class Reply(msgspec.Struct, array_like=True, gc=False):
    """One answer of the owner."""

    id: int
    kind: int
    """`RESULT`, `ERROR`, `STORED_RESULT`, `EXTENDED`, or `DENIED` and what follows."""
    body: msgspec.Raw


class SessionReplies(msgspec.Struct, array_like=True, gc=False):
    """The answers to one session in one message."""

    session: str
    replies: list[Reply]


encode: Final = msgspec.json.Encoder().encode
decode_entry: Final = msgspec.json.Decoder(Entry).decode
decode_replies: Final = msgspec.json.Decoder(list[SessionReplies]).decode


def reply_messages(replies: Mapping[str, list[Reply]]) -> list[bytes]:
    """The pub/sub messages that carry these replies (session to replies) to one frontend, none over the limit."""
    whole = encode([SessionReplies(session, rows) for session, rows in replies.items()])
    if len(whole) <= MAX_REPLY_MESSAGE_BYTES:
        return [whole]
    return [encode(part) for part in _parts(replies)]


def _parts(replies: Mapping[str, list[Reply]]) -> Sequence[list[SessionReplies]]:
    """`replies` cut where the next one would make a message too large; what is too large alone is stored elsewhere."""
    parts: list[list[SessionReplies]] = []
    size = MAX_REPLY_MESSAGE_BYTES
    for session, rows in replies.items():
        for row in rows:
            # 64: the id, the brackets and commas.
            cost = len(row.body) + len(session) + 64
            if size + cost > MAX_REPLY_MESSAGE_BYTES:
                parts.append([])
                size = 0
            size += cost
            if parts[-1] and parts[-1][-1].session == session:
                parts[-1][-1].replies.append(row)
            else:
                parts[-1].append(SessionReplies(session, [row]))
    return parts
