"""The client's side of the wire, as bytes: requests, their frames, and the answers' structure."""

import struct
from typing import Any

import msgspec

from benchmarks.jobs import Dialect, Method

# A client's frame must be masked. A mask of zeros is allowed, changes nothing, and costs the server as much as another.
_ZERO_MASK = bytes(4)
_TEXT_FRAME = 0x81
_MASKED = 0x80


def frame(payload: bytes) -> bytes:
    """Make one text frame, as a client sends it, of less than 64 KiB."""
    length = len(payload)
    if length < 126:
        return bytes((_TEXT_FRAME, _MASKED | length)) + _ZERO_MASK + payload
    return struct.pack("!BBH", _TEXT_FRAME, _MASKED | 126, length) + _ZERO_MASK + payload


class Reply(msgspec.Struct):
    """A message from a server: an answer, or a notification (`method` and `params`)."""

    id: int | None = None
    result: Any = None
    error: dict[str, Any] | None = None
    method: str | None = None
    params: Any = None


REPLY_DECODER = msgspec.json.Decoder(Reply)

_BODIES: dict[Method, bytes] = {
    "add": b'"method":"bench.add","params":[%d,5]',
    "add_async": b'"method":"bench.add_async","params":[%d,5]',
    "wait": b'"method":"bench.wait","params":[%d,5]',
    "compute": b'"method":"bench.compute","params":[%d,5]',
    "add_unchecked": b'"method":"bench.add_unchecked","params":[%d,5]',
    "add_for_role": b'"method":"bench.add_for_role","params":[%d,5]',
    "get": b'"method":"rpc.get","params":{"path":"bench.value"}',
}
GET_RESULT = 42  # Bench.value


class Requests:
    """Writes the requests of one connection, and tells the answer that each must get."""

    def __init__(self, dialect: Dialect, method: Method) -> None:
        self._echo = dialect == "echo"
        self._stamped = dialect != "plain"  # an echo is sent what a session is sent: the same number of bytes
        self._body = _BODIES[method]
        self._takes_number = method != "get"

    def make(self, number: int, ack: int, now_ms: int) -> tuple[bytes, bytes | int]:
        """Return a request's payload, and the answer it must get: the result, or, from an echo, the payload."""
        body = self._body % number if self._takes_number else self._body
        payload = b'{"jsonrpc":"2.0","id":%d,%b' % (number, body)
        if self._stamped:
            payload += b',"wispy":{"ack":%d,"at":%d}}' % (ack, now_ms)
        else:
            payload += b"}"
        if self._echo:
            return payload, payload
        return payload, number + 5 if self._takes_number else GET_RESULT
