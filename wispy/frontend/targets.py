"""What a request is about, as far as a frontend reads it: operation and path."""

from typing import Final

import msgspec

from wispy.protocol import errors

RELAYED: Final = frozenset({"rpc.get", "rpc.set", "rpc.delete", "rpc.call", "rpc.describe", "rpc.source"})
"""The methods with a path in their params, which the owner of the path's object answers."""


class Target(msgspec.Struct):
    """What this frontend reads of the params of a `RELAYED` request."""

    path: str | list[str | int]
    timeout_s: float | None = None


_decode_target: Final = msgspec.json.Decoder(Target).decode


def target_of(method: str, params: msgspec.Raw) -> Target:
    """What a `RELAYED` request is about.

    Raises:
        RPCError: its params do not say so.
    """
    try:
        return _decode_target(params)
    except (msgspec.DecodeError, RecursionError) as error:
        raise errors.INVALID_PARAMS(f"params of {method}: {error}") from error


def about(method: str, params: msgspec.Raw) -> tuple[str, str]:
    """The operation and the path of a request, for logs; the path begins with an object's name, or is empty."""
    if method not in RELAYED:
        return (method, "") if method.startswith("rpc.") else ("call", method)
    try:
        path = target_of(method, params).path
    except errors.RPCError:
        return method.removeprefix("rpc."), ""
    return method.removeprefix("rpc."), path if isinstance(path, str) else ".".join(map(str, path))
