"""Makes calls for the runner out of relayed requests: which operation, on which path, with which raw params.

Rules:
- Nothing is touched here: a path is only taken apart, params stay raw JSON until the object's thread decodes them.
- The frontend has read no more than the first name of the path; the rest may be anything, and is refused here.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec

from wispy.protocol import errors
from wispy.protocol.identity import ANONYMOUS, Identity
from wispy.protocol.paths import PathError, parse_path
from wispy.protocol.relay import RelayedRequest
from wispy.worker.calls import Call, Operation

REMEMBERED_METHODS: Final = 4096
"""Method names whose paths are kept parsed: more than an interface has, few enough for names made up by a client."""

MAX_REMEMBERED_LENGTH: Final = 200
"""Characters of a method name that is kept: names in code are shorter."""

NULL: Final = b"null"

# Makes bytes of a raw text in a third of the time that `bytes` takes.
_join: Final = b"".join


class _PathParams(msgspec.Struct):
    path: str | list[str | int]


class _SetParams(msgspec.Struct):
    path: str | list[str | int]
    value: msgspec.Raw


class _CallParams(msgspec.Struct):
    path: str | list[str | int]
    args: msgspec.Raw = msgspec.Raw(b"[]")
    kwargs: msgspec.Raw = msgspec.Raw(b"")
    timeout_s: float | None = None


_decode_path: Final = msgspec.json.Decoder(_PathParams).decode
_decode_set: Final = msgspec.json.Decoder(_SetParams).decode
_decode_call: Final = msgspec.json.Decoder(_CallParams).decode


def _path_of_method(method: str) -> tuple[str, ...]:
    return parse_path(method)[1:]


_remembered_path: Final = lru_cache(maxsize=REMEMBERED_METHODS)(_path_of_method)


def to_call(
    session: str, request: RelayedRequest, start_by: float, token: object, identity: Identity = ANONYMOUS
) -> Call:
    """The call that a request asks for.

    Args:
        session: whose request it is.
        request: as relayed.
        start_by: past this moment, in monotonic seconds, it is not started any more.
        token: the owner's own mark.
        identity: who asks.

    Raises:
        RPCError: the method or its params are not of the protocol's form.
    """
    method = request.method
    try:
        if method.startswith("rpc."):
            return _operation(session, request, start_by, token, identity)
        path = _remembered_path(method) if len(method) <= MAX_REMEMBERED_LENGTH else _path_of_method(method)
        params = _join((request.params,))
        given = b"" if params == NULL else params
        return Call(session, request.id, "call", path, given, b"", start_by, None, token, identity)
    except PathError as error:
        raise errors.INVALID_PARAMS(str(error)) from error
    except msgspec.ValidationError as error:
        raise errors.INVALID_PARAMS(f"params of {method[:100]}: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise errors.INVALID_PARAMS(f"params of {method[:100]} cannot be read") from error


def _operation(session: str, request: RelayedRequest, start_by: float, token: object, identity: Identity) -> Call:
    build = _OPERATIONS.get(request.method)
    if build is None:
        raise errors.METHOD_NOT_FOUND(f"there is no method {request.method[:100]}")
    operation, path, params, kwargs, timeout_s = build(request.params)
    below = parse_path(path)[1:]
    return Call(session, request.id, operation, below, params, kwargs, start_by, timeout_s, token, identity)


_Parts = tuple[Operation, str | list[str | int], bytes, bytes, float | None]


def _plain(operation: Operation) -> Callable[[msgspec.Raw], _Parts]:
    def parts(params: msgspec.Raw) -> _Parts:
        return operation, _decode_path(params).path, b"", b"", None

    return parts


def _set(params: msgspec.Raw) -> _Parts:
    given = _decode_set(params)
    return "set", given.path, bytes(given.value), b"", None


def _call(params: msgspec.Raw) -> _Parts:
    given = _decode_call(params)
    if given.timeout_s is not None and not given.timeout_s > 0:
        raise errors.INVALID_PARAMS("timeout_s is a number of seconds above 0")
    return "call", given.path, bytes(given.args), bytes(given.kwargs), given.timeout_s


_OPERATIONS: Final[dict[str, Callable[[msgspec.Raw], _Parts]]] = {
    "rpc.get": _plain("get"),
    "rpc.delete": _plain("delete"),
    "rpc.describe": _plain("describe"),
    "rpc.source": _plain("source"),
    "rpc.set": _set,
    "rpc.call": _call,
}
