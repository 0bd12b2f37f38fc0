"""Errors on the wire: the one table of codes, and the exception that carries one of them.

Rules:
- Every error says `executed`, whether the request ran: "no", "maybe" or "yes"; and `retryable`, whether the same
  request, sent again under a new id, may well succeed. Only what did not run is retryable.
- A name that is hidden and a name that is absent give the same error, to the letter: a caller cannot map what he may
  not see.
- Messages are for the person at the other end. They hold no traceback and no object's representation.

    RPCError
    └── jsonrpc.InvalidMessageError    a message that cannot be read: it knows which id to answer
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from wispy.protocol.denials import Reason
from wispy.protocol.values import encode

Executed = Literal["no", "maybe", "yes"]
"""Whether the request ran."""


class ErrorType(msgspec.Struct, frozen=True):
    """One row of the table. Calling it makes the error: `raise OVERLOADED("64 requests are in flight")`."""

    name: str
    code: int
    """JSON-RPC 2.0 reserves -32768 to -32000; the server's own are -32099 to -32000."""
    message: str
    """Said where the place that raises it has nothing more exact to say."""
    executed: Executed
    retryable: bool
    meaning: str
    """What it tells the caller; `docs/reference/errors.md` shows it."""
    denied: Reason | None = None
    """Why the access is denied, where this is what the error says as a rule."""

    def __call__(
        self,
        message: str | None = None,
        *,
        executed: Executed | None = None,
        retryable: bool | None = None,
        data: Mapping[str, Any] | None = None,
        denied: Reason | None = None,
    ) -> "RPCError":
        """An error of this type.

        Args:
            message: what happened, exactly; the table's text where there is nothing to add.
            executed: where it is known better than the table says.
            retryable: likewise.
            data: more members for the error's `data`; values that `values.encode` takes.
            denied: why the access is denied, where it is known better than the table says; for the operator.
        """
        return RPCError(
            self.code,
            self.message if message is None else message,
            executed=self.executed if executed is None else executed,
            retryable=self.retryable if retryable is None else retryable,
            data=data,
            denied=self.denied if denied is None else denied,
        )


class RPCError(Exception):
    """A request ended in an error that its caller is to learn."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        executed: Executed,
        retryable: bool,
        data: Mapping[str, Any] | None = None,
        denied: Reason | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.executed: Executed = executed
        self.retryable = retryable
        self.data: dict[str, Any] = dict(data or {})
        """What `data` says beside `executed` and `retryable`."""
        self.denied: Reason | None = denied
        """Why the access is denied, if that is what it is: for the audit log, and never sent to a client."""

    def to_json(self) -> bytes:
        """The JSON-RPC error object.

        Raises:
            UnencodableError: whoever made the error put into `data` what cannot be sent.
        """
        data = {**self.data, "executed": self.executed, "retryable": self.retryable}
        # A lone surrogate (an object's own exception text may hold one) is not UTF-8: it is shown, not sent.
        message = self.message.encode("utf-8", "backslashreplace").decode()
        return encode({"code": self.code, "message": message, "data": data})


PARSE_ERROR: Final = ErrorType(
    "PARSE_ERROR", -32700, "the message is not JSON", "no", False, "The message is not JSON, or not UTF-8."
)
INVALID_REQUEST: Final = ErrorType(
    "INVALID_REQUEST",
    -32600,
    "the message is not a JSON-RPC 2.0 request",
    "no",
    False,
    "The JSON is not a JSON-RPC 2.0 request, or breaks a rule of the protocol, such as an id used twice.",
)
METHOD_NOT_FOUND: Final = ErrorType(
    "METHOD_NOT_FOUND",
    -32601,
    "there is no such method",
    "no",
    False,
    "wispy has no `rpc.` method of this name.",
    "absent",
)
INVALID_PARAMS: Final = ErrorType(
    "INVALID_PARAMS",
    -32602,
    "the params do not fit",
    "no",
    False,
    "The arguments do not fit the method's signature, or a value does not fit the attribute's annotation; "
    "the message names the part.",
)
INTERNAL: Final = ErrorType(
    "INTERNAL",
    -32603,
    "wispy met an error of its own",
    "maybe",
    False,
    "A fault in wispy itself. The server's log has the details.",
)
OBJECT_ERROR: Final = ErrorType(
    "OBJECT_ERROR",
    -32000,
    "the object's code raised an exception",
    "yes",
    False,
    "The object's own code raised an exception: `data.type` is its class, `data.args` its arguments.",
)
NOT_FOUND: Final = ErrorType(
    "NOT_FOUND",
    -32001,
    "there is nothing of this name here, or it is not accessible",
    "no",
    False,
    "There is no such object or name, or the caller may not see it; the two cannot be told apart.",
    "absent",
)
NOT_STARTED: Final = ErrorType(
    "NOT_STARTED",
    -32002,
    "the request did not start in time, and was given up",
    "no",
    True,
    "It waited longer than `max_start_delay` for its turn, or no owner took it up in that time.",
)
TIMED_OUT: Final = ErrorType(
    "TIMED_OUT",
    -32003,
    "the request did not end in time",
    "maybe",
    False,
    "The run time-out has passed. Asynchronous code was cancelled; synchronous code may still be running.",
)
OVERLOADED: Final = ErrorType(
    "OVERLOADED",
    -32004,
    "too many requests are in flight",
    "no",
    True,
    "The object, the user or the address has as many requests in flight as it may, or as many connections or "
    "subscriptions: then `retryable` is false.",
    "limit",
)
NO_OWNER: Final = ErrorType(
    "NO_OWNER", -32005, "no worker holds the object at present", "no", True, "No worker holds the object at present."
)
OUTCOME_UNKNOWN: Final = ErrorType(
    "OUTCOME_UNKNOWN",
    -32006,
    "it is not known whether the request ran",
    "maybe",
    False,
    "A process or a link was lost at the wrong moment. wispy does not run it again; whether to ask again is the "
    "caller's decision.",
)
CANCELLED: Final = ErrorType(
    "CANCELLED",
    -32007,
    "the request was cancelled",
    "maybe",
    False,
    "The caller cancelled it: `no` where it had not started, `maybe` where it was cut short.",
)
TOO_LARGE: Final = ErrorType(
    "TOO_LARGE",
    -32008,
    "the message is too large",
    "no",
    False,
    "The message is larger, or deeper, than the server takes.",
    "limit",
)
UNAUTHENTICATED: Final = ErrorType(
    "UNAUTHENTICATED",
    -32009,
    "please log in",
    "no",
    False,
    "The caller must say who he is, or his login has expired.",
    "login",
)
RATE_LIMITED: Final = ErrorType(
    "RATE_LIMITED",
    -32010,
    "too many requests in a short time",
    "no",
    True,
    "The caller asks more often than he may: `data.retry_in_ms` says when he may again.",
    "rate",
)
UNSENDABLE: Final = ErrorType(
    "UNSENDABLE",
    -32011,
    "the result cannot be sent",
    "yes",
    False,
    "The request ran, and its result is nothing that can travel as JSON, or is nested deeper than 64 levels; the "
    "message names the part.",
)
RESULT_GONE: Final = ErrorType(
    "RESULT_GONE",
    -32012,
    "the request ran, but its result is no longer kept",
    "yes",
    False,
    "The request ran; its result was too large to keep until it could be delivered.",
)
UNAVAILABLE: Final = ErrorType(
    "UNAVAILABLE", -32013, "the server cannot reach Redis at present", "no", True, "The server cannot reach Redis."
)


def rate_limited(what: str, wait_s: float) -> RPCError:
    """RATE_LIMITED, with how long to wait.

    Args:
        what: comes too often.
        wait_s: until it may come again.
    """
    return RATE_LIMITED(f"{what}: again in {wait_s:.3g} s", data={"retry_in_ms": int(wait_s * 1000) + 1})


TABLE: Final = (
    PARSE_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    INVALID_PARAMS,
    INTERNAL,
    OBJECT_ERROR,
    NOT_FOUND,
    NOT_STARTED,
    TIMED_OUT,
    OVERLOADED,
    NO_OWNER,
    OUTCOME_UNKNOWN,
    CANCELLED,
    TOO_LARGE,
    UNAUTHENTICATED,
    RATE_LIMITED,
    UNSENDABLE,
    RESULT_GONE,
    UNAVAILABLE,
)
"""Every error that wispy sends, in the order of the documentation."""

BY_CODE: Final = {error.code: error for error in TABLE}


class _Code(msgspec.Struct):
    code: int


class _Message(msgspec.Struct):
    message: str


_decode_code: Final = msgspec.json.Decoder(_Code).decode
_decode_message: Final = msgspec.json.Decoder(_Message).decode


def name_in(error: bytes) -> str:
    """The name of an error object (`RPCError.to_json`); of an unknown one its code."""
    code = _decode_code(error).code
    return BY_CODE[code].name if code in BY_CODE else str(code)


def message_in(error: msgspec.Raw) -> str:
    """The message of an error object."""
    return _decode_message(error).message


def reference() -> str:
    """The text of `docs/reference/errors.md`."""
    rows = ((each, "yes" if each.retryable else "no") for each in TABLE)
    return _REFERENCE_HEAD + "".join(
        f"| {each.code} | `{each.name}` | {each.executed} | {retryable} | {each.meaning} |\n"
        for each, retryable in rows
    )


_REFERENCE_HEAD = """\
# Errors on the wire

Made from the table in `wispy/protocol/errors.py` by `make docs`; a test holds the two together.

A request that fails is answered by a JSON-RPC error object:

    {"code": -32004, "message": "...", "data": {"executed": "no", "retryable": true}}

- `executed`: whether the request ran. `no`: it did not, and will not. `yes`: it did. `maybe`: that cannot be known,
  or it was cut short. wispy itself never runs again what may have run.
- `retryable`: whether the same request, sent again under a new id, may well succeed. Only what did not run is.
- `RATE_LIMITED` says in `data.retry_in_ms` after how many milliseconds the request will be taken.
- An exception of the object's own code has `data.type`, its class, and `data.args`, its arguments. A traceback is in
  `data.traceback` only where `interface.traceback_access` is on.

The table says what each code has as a rule. What counts is `data` in the answer: the place that raised it may know
better.

| code | name | executed | retryable | meaning |
| --- | --- | --- | --- | --- |
"""
