"""From what happened in an object's code to the bytes of an answer, and from raw params to arguments.

Rules:
- Whatever object code does, it becomes an answer: nothing that it raises passes on, and nothing here raises.
- An exception is told by its type and its arguments; both are the author's, so they are bounded, and an argument that
  cannot travel is told by its type alone. A traceback goes along only where `interface.traceback_access` is on.
"""

import logging
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, cast

from wispy.protocol import errors
from wispy.protocol.values import DecodeError, decode, encode
from wispy.worker.calls import Call
from wispy.worker.running import label

log = logging.getLogger("wispy.worker")

MAX_TEXT: Final = 1000
"""Characters of an exception's text, or of a text among its arguments: what a person reads at a glance."""

MAX_ARGUMENTS: Final = 10
"""Arguments of an exception: OSError, with the most of the builtin ones, has five."""

MAX_ARGUMENT_BYTES: Final = 2000
"""JSON of one argument: room for a small structure, none for the array over which a computation stumbled."""

MAX_TRACEBACK: Final = 8000
"""Characters of a traceback: its end, which says most, and some sixty frames."""

LOG_PAUSE_S: Final = 1.0
"""Seconds between two tracebacks in the log: a page that calls a broken method in a loop must not fill the disk."""

_type_of: Final = cast(Callable[[object], type[object]], type)


def arguments_of(call: Call) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call, positional and named.

    Raises:
        RPCError: INVALID_PARAMS, the params are not what they should be.
    """
    try:
        given: Any = decode(call.params) if call.params else []
        if not call.kwargs and _type_of(given) is list:  # as in nearly every call
            return given, {}
        extra: Any = decode(call.kwargs) if call.kwargs else {}
    except DecodeError as error:
        raise errors.INVALID_PARAMS(f"the arguments cannot be read: {error}") from error
    if _type_of(extra) is not dict:
        raise errors.INVALID_PARAMS("named arguments are an object")
    if _type_of(given) is list:
        return given, extra
    if _type_of(given) is dict:
        for name in given.keys() & extra.keys():
            raise errors.INVALID_PARAMS(f"the argument {name[:100]!r} is there twice, in args and in kwargs")
        return [], {**given, **extra}
    raise errors.INVALID_PARAMS("arguments are an array, or an object of named ones")


def value_of(call: Call) -> Any:
    """The value that a request sets.

    Raises:
        RPCError: INVALID_PARAMS, it cannot be read.
    """
    try:
        return decode(call.params)
    except DecodeError as error:
        raise errors.INVALID_PARAMS(f"the value cannot be read: {error}") from error


def result(value: Any) -> tuple[bytes, bool]:
    """The JSON of a result and False; or an error and True where the value cannot be sent."""
    try:
        return encode(value), False
    except BaseException as error:  # an author's type may raise anything as it is looked at, SystemExit too
        return _unsendable(value, error), True


class ObjectErrors:
    """The exceptions of one object's code. From any thread.

    Args:
        name: the object's name, for the log.
        with_traceback: whether answers carry tracebacks.
    """

    def __init__(self, name: str, *, with_traceback: bool) -> None:
        self._name = name
        self._with_traceback = with_traceback
        self._last_logged = -LOG_PAUSE_S
        self._unlogged = 0

    def answer(self, call: Call, error: BaseException) -> bytes:
        """The error that tells the caller; the log has the traceback, if there was not just one before."""
        now = time.monotonic()
        if now - self._last_logged < LOG_PAUSE_S:
            self._unlogged += 1
        else:
            skipped = f" ({self._unlogged} others before it were not logged)" if self._unlogged else ""
            self._last_logged, self._unlogged = now, 0
            log.warning("%s raised %s%s", label(self._name, call), type(error).__name__, skipped, exc_info=error)
        return object_error(error, with_traceback=self._with_traceback)


def object_error(error: BaseException, *, with_traceback: bool) -> bytes:
    """The error that says what the object's code raised."""
    name, text = type(error).__name__, text_of(error)
    data: dict[str, Any] = {"type": name, "args": _arguments(error)}
    if with_traceback:
        data["traceback"] = "".join(traceback.format_exception(error))[-MAX_TRACEBACK:]
    try:
        return errors.OBJECT_ERROR(f"{name}: {text}" if text else name, data=data).to_json()
    except BaseException:  # a text in the traceback that is not UTF-8, and the like
        return errors.OBJECT_ERROR(name, data={"type": name, "args": []}).to_json()


def text_of(error: BaseException) -> str:
    """What an exception says, bounded; exceptions may fail at that too."""
    try:
        return str(error)[:MAX_TEXT]
    except BaseException:  # SystemExit, too
        return ""


def _arguments(error: BaseException) -> list[Any]:
    try:
        return [_argument(argument) for argument in tuple(error.args)[:MAX_ARGUMENTS]]
    except BaseException:  # `args` overridden by something strange
        return []


def _argument(argument: Any) -> Any:
    if isinstance(argument, str):
        argument = str(argument)[:MAX_TEXT]
    try:
        size = len(encode(argument))
    except BaseException:
        return f"<{type(argument).__name__}>"
    if size > MAX_ARGUMENT_BYTES and not isinstance(argument, str):
        return f"<{type(argument).__name__}, {size} bytes>"
    return argument


def _unsendable(value: Any, error: BaseException) -> bytes:
    if isinstance(value, Iterator | AsyncIterator):
        kind = type(cast(object, value)).__name__
        message = f"the result is of type {kind}, which cannot be sent: return a list of what it yields"
    elif isinstance(error, RecursionError):
        message = "the result is nested too deeply, or contains itself"
    else:
        message = f"the result cannot be sent: {text_of(error)}"
    return errors.UNSENDABLE(message).to_json()
