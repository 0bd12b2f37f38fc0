"""JSON-RPC 2.0, the server's side: bytes of a client's message in, requests out; bytes of replies.

Rules:
- The whole of JSON-RPC 2.0: batches, notifications (no `id` member), ids that are strings, numbers or null. An id goes
  back as the very bytes that came. The answers to a batch may be in any order.
- Only the envelope is read. `params` stay raw: they are checked to be well-formed JSON, an array or an object, and are
  decoded by the owner of the object.
- Every message that cannot be read is answered by an error: under its own id where one can be made out, else under
  null.
- Of members that occur twice the last one counts, here and in everything that wispy decodes. Members that are not
  JSON-RPC's or wispy's are ignored.
- A message is UTF-8. Lone surrogates, `NaN` and `Infinity` are not JSON, and are parse errors. (A lone surrogate is
  half of a character: a browser's `JSON.stringify` writes one as an escape, so that a page can send it by mistake.)

This is the hottest code of the frontend: one C call decodes a request, and replies are joined from bytes.
"""

import re
import struct
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec

from wispy.protocol.digits import MAX_DIGITS, has_longer_number
from wispy.protocol.errors import INVALID_REQUEST, PARSE_ERROR, TOO_LARGE, RPCError
from wispy.protocol.nesting import MAX_DEPTH, is_deeper

MAX_ID_BYTES: Final = 200
"""Bytes of the JSON text of an id. It is kept while its request is in flight and sent back with the answer; a UUID has
38, and nobody needs an id that costs more than its request."""

MAX_REASON: Final = 300
"""Characters of why a message is no request: the text may repeat a part of it, which may be of any length."""

MAX_RUN_BYTES: Final = 64
"""Characters of a server's run id: Redis and Valkey have 40."""

NO_PARAMS: Final = msgspec.Raw(b"null")
"""The params of a request that has none."""

NULL_ID: Final = b"null"

_ABSENT: Final = msgspec.Raw(b"")
_OPENING: Final = b"[{"
_ID_OPENING: Final = b'"-0123456789n'
_WHITESPACE: Final = b" \t\r\n"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_REPLACEMENT: Final = rb"\ufffd"


class WispyMembers(msgspec.Struct, gc=False):
    """What wispy's own clients say beside the members of JSON-RPC."""

    ack: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The session has its answers to all ids up to this one, ..."""
    open: Annotated[list[int], msgspec.Meta(max_length=64)] = []
    """... but these: as many as may be in flight."""
    at: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """When the request was first sent: milliseconds on the clock of the Redis server."""
    run: Annotated[str, msgspec.Meta(max_length=MAX_RUN_BYTES)] | None = None
    """The run id of the server on whose clock that is; None: of the one that this connection's hello named."""
    retry: bool = False
    """Whether an earlier copy may have reached the owner."""


class Request(msgspec.Struct, gc=False):
    """A request or notification of a client."""

    method: str
    params: msgspec.Raw
    """JSON text of an array or an object; `NO_PARAMS` where there are none."""
    id: bytes | None
    """The JSON text of the id, to be sent back as it is; None for a notification, which gets no answer."""
    wispy: WispyMembers | None


MessageLimit = Literal["batch", "depth", "digits"]
"""The limits that a message may be past."""


class InvalidMessageError(RPCError):
    """A message, or an entry of a batch, that is no request; `id` is what its answer is to bear."""

    def __init__(self, error: RPCError, id: bytes = NULL_ID, limit: MessageLimit | None = None) -> None:
        super().__init__(
            error.code,
            error.message,
            executed=error.executed,
            retryable=error.retryable,
            data=error.data,
            denied=error.denied if limit is None else "limit",
        )
        self.id = id
        self.limit: MessageLimit | None = limit
        """What the message is past, for the metrics."""

    def reply(self) -> bytes:
        """The whole answer."""
        return error(self.id, self.to_json())


class _Envelope(msgspec.Struct, gc=False):
    """A request as it is on the wire."""

    jsonrpc: Literal["2.0"]
    method: str
    params: msgspec.Raw = _ABSENT
    id: msgspec.Raw = _ABSENT
    wispy: WispyMembers | None = None


class _IdOnly(msgspec.Struct, gc=False):
    """What can be read of a message that is no request."""

    id: msgspec.Raw = _ABSENT


_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_id: Final = msgspec.json.Decoder(_IdOnly).decode
_check_json: Final = msgspec.json.Decoder(msgspec.Raw).decode

# What looks into a raw text in a third of the time that `bytes` and `memoryview` take.
_join: Final = b"".join
_first_byte: Final = struct.Struct("B").unpack_from


# --- reading --------------------------------------------------------------------------------------------------------


def parse(
    data: bytes, *, batch_limit: int, depth_limit: int = MAX_DEPTH, digits_limit: int = MAX_DIGITS
) -> Request | list[Request | InvalidMessageError]:
    """Read one message of a client.

    Args:
        data: the message.
        batch_limit: requests that a batch may hold.
        depth_limit: levels of arrays and objects that the whole message may have.
        digits_limit: digits in a row that its numbers may have.

    Returns:
        A request; or for a batch its requests, each that is none as the error that answers it.

    Raises:
        InvalidMessageError: the message is no request and no batch.
    """
    if not data.isascii():
        _check_utf8(data)
    if len(data) > 2 * depth_limit and is_deeper(data, depth_limit):
        text = f"the message is nested deeper than {depth_limit} levels"
        raise InvalidMessageError(TOO_LARGE(text), _recover_id(data), "depth")
    if len(data) > digits_limit and has_longer_number(data, digits_limit):
        text = f"a number in the message has more than {digits_limit} digits"
        raise InvalidMessageError(TOO_LARGE(text), _recover_id(data), "digits")
    if data[:1] != b"{" and data.lstrip(_WHITESPACE).startswith(b"["):
        return _parse_batch(data, batch_limit)
    return _parse_request(data)


def _check_utf8(data: bytes) -> None:
    # Raw params are passed on unread: what is not UTF-8 must not get any further.
    try:
        data.decode()
    except UnicodeDecodeError as error:
        mended = data.decode(errors="replace").encode()
        raise InvalidMessageError(
            PARSE_ERROR(f"the message is not UTF-8 (byte {error.start})"), _recover_mended_id(mended)
        ) from error


def _parse_request(data: bytes | msgspec.Raw) -> Request:
    try:
        envelope = _decode_envelope(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _explain(data, error) from error
    id: bytes | None = None
    if envelope.id is not _ABSENT:
        id = _join((envelope.id,))
        if id[0] not in _ID_OPENING or len(id) > MAX_ID_BYTES:
            raise InvalidMessageError(
                INVALID_REQUEST(f"an id is a string, a number or null, of at most {MAX_ID_BYTES} bytes")
            )
    params = envelope.params
    if params is _ABSENT:
        params = NO_PARAMS
    elif _first_byte(params)[0] not in _OPENING:
        raise InvalidMessageError(INVALID_REQUEST("params must be an array or an object"), id or NULL_ID)
    return Request(envelope.method, params, id, envelope.wispy)


def _parse_batch(data: bytes, limit: int) -> list[Request | InvalidMessageError]:
    try:
        row = _batch_decoder(limit)(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _explain(data, error) from error
    entries = [entry for entry in msgspec.structs.astuple(row) if entry is not _ABSENT]
    if not entries:
        raise InvalidMessageError(INVALID_REQUEST("a batch must not be empty"))
    if len(entries) > limit:
        raise InvalidMessageError(TOO_LARGE(f"a batch may hold {limit} requests"), limit="batch")
    return [_parse_entry(entry) for entry in entries]


def _parse_entry(entry: msgspec.Raw) -> Request | InvalidMessageError:
    try:
        return _parse_request(entry)
    except InvalidMessageError as error:
        return error


@lru_cache(maxsize=8)  # the limit is a setting: one process has one
def _batch_decoder(limit: int) -> Any:
    """Decodes the first entries of an array, one more than allowed, and skips the others unread.

    A plain list would be built whole before it could be counted: a message of 10 MiB holds 5 million entries.
    """
    fields = [(f"entry_{number}", msgspec.Raw, _ABSENT) for number in range(limit + 1)]
    return msgspec.json.Decoder(msgspec.defstruct("Batch", fields, array_like=True)).decode


# --- trouble --------------------------------------------------------------------------------------------------------


def _explain(data: bytes | msgspec.Raw, error: Exception) -> InvalidMessageError:
    """Why a message could not be decoded: it is not JSON at all, or JSON of another shape."""
    try:
        _check_json(data)
    except RecursionError:
        return InvalidMessageError(TOO_LARGE("the message is nested too deep"), limit="depth")
    except msgspec.DecodeError as malformed:
        return _explain_malformed(data, malformed)
    return InvalidMessageError(
        INVALID_REQUEST(f"the message is not a JSON-RPC 2.0 request: {str(error)[:MAX_REASON]}"), _recover_id(data)
    )


def _explain_malformed(data: bytes | msgspec.Raw, malformed: msgspec.DecodeError) -> InvalidMessageError:
    mended, number = _SURROGATE.subn(rb"\\ufffd", bytes(data))  # a template: the backslash is escaped in it
    if number:
        try:
            _check_json(mended)
        except (msgspec.DecodeError, RecursionError):
            pass
        else:
            what = "a text in the message has a lone surrogate, half of a character"
            return InvalidMessageError(PARSE_ERROR(what), _recover_mended_id(mended))
    return InvalidMessageError(PARSE_ERROR(str(malformed)))


def _recover_mended_id(mended: bytes) -> bytes:
    """The id of a message in which replacement characters were put, unless it may have got one itself."""
    id = _recover_id(mended)
    return NULL_ID if _REPLACEMENT in id or not id.isascii() else id


def _recover_id(data: bytes | msgspec.Raw) -> bytes:
    """The id of a message that is no request, if it has a usable one; else null."""
    try:
        id = bytes(_decode_id(data).id)
    except (msgspec.DecodeError, RecursionError):
        return NULL_ID
    return id if id and id[0] in _ID_OPENING and len(id) <= MAX_ID_BYTES else NULL_ID


# --- writing --------------------------------------------------------------------------------------------------------


# Answers are joined, not formatted: it takes half the time, and a raw body as it is.
_REPLY: Final = b'{"jsonrpc":"2.0","id":'
_RESULT: Final = b',"result":'
_ERROR: Final = b',"error":'


def result(id: bytes, result: bytes | msgspec.Raw) -> bytes:
    """The answer to the request `id`; both are JSON text."""
    return _join((_REPLY, id, _RESULT, result, b"}"))


def error(id: bytes, error: bytes | msgspec.Raw) -> bytes:
    """The answer to a request that failed; `error` is the JSON text of an error object (`RPCError.to_json`)."""
    return _join((_REPLY, id, _ERROR, error, b"}"))


def error_in(answer: bytes, id: bytes) -> bytes | None:
    """The error object in what `error` has made for the request `id`; None where `result` has made it."""
    start = len(_REPLY) + len(id)
    return answer[start + len(_ERROR) : -1] if answer.startswith(_ERROR, start) else None


def notification(method: str, params: bytes) -> bytes:
    """A notification to the client.

    Args:
        method: one of wispy's own, so that its name needs no escaping.
        params: JSON text of an object.
    """
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), params)


def batch(replies: list[bytes]) -> bytes:
    """The answer to a batch. For one of notifications alone there is none: nothing is sent then."""
    return b"[%b]" % b",".join(replies)
