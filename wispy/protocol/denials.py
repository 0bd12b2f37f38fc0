"""Why an access is denied: the one list of reasons; and what the audit log says of one access. Pure.

Rules:
- A reason is for the operator. No client learns it: what is hidden and what is absent look the same to him.
- An owner tells its frontend the reason beside the error (`wispy.protocol.relay`), by its place in the list: a new one
  goes to the end.
- An event never holds an argument, a value, a token or a query string.
"""

from typing import Final, Literal, get_args

import msgspec

Reason = Literal["absent", "role", "operation", "rate", "login", "limit", "seal", "host", "origin", "session", "file"]

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

OF_OWNER: Final[tuple[Reason, ...]] = ("absent", "role", "operation", "rate", "login", "limit", "seal")
"""For which an object's owner denies."""

OF_FRONTEND: Final[tuple[Reason, ...]] = (
    "absent", "role", "rate", "login", "limit", "host", "origin", "session", "file",
)  # fmt: skip
"""For which a frontend does."""

MEANINGS: Final[dict[Reason, str]] = {
    "absent": "there is no such object, name, channel or method, or it is served to nobody",
    "role": "it takes a role that the caller does not have",
    "operation": "it may be seen, but not be set, read, deleted or called as was asked",
    "rate": "it is asked for more often than it may be",
    "login": "the caller has not said who he is, or it is not good, or not any more",
    "limit": "one of `limits` is reached: size, depth, number, or requests in flight",
    "seal": "an entry of a request stream that no frontend with this `session.secret` has sent",
    "host": "the Host header names none of `allowed_hosts`",
    "origin": "a page of an origin that is not in `allowed_origins`",
    "session": "a session was to be gone on with, and the token is not that session's and user's",
    "file": "a file that the rules for uploads do not allow, a name that is no file's, a path out of a folder",
}

DENIED: Final = "denied"
"""The outcome of what was denied."""


class Event(msgspec.Struct, frozen=True):
    """One access, as the audit log has it."""

    time: str
    """When it was denied, or had ended: ISO 8601, UTC."""
    process: str
    outcome: str
    """`DENIED`, `ok`, or the name of the error that it ended with."""
    reason: Reason | None
    """Of what was denied."""
    address: str
    """Of the client; empty where it is not known."""
    user: str | None
    request: str
    """Its name, as `wispy.protocol.labels` makes it: `<session>:<id>`; empty where it is no request of a session."""
    operation: str
    """get, set, call and so on; a method of wispy's own, as in `rpc.subscribe`; or of HTTP, as in `PUT`."""
    object: str
    path: str
    """Below the object; of HTTP the whole path."""
    detail: str
    """More for people: the message of the error, the foreign origin."""
    duration_ms: float | None
    """Of what was allowed."""
