"""An executor that writes a line to the access log for each request that ends in it."""

import time
from typing import Any, Final

from wispy.access_log import AccessLog
from wispy.protocol import errors
from wispy.protocol.labels import request_name
from wispy.worker.calls import Call
from wispy.worker.executor import Executor


class LoggingExecutor(Executor):
    """An `Executor` whose calls are logged. Where none are, that one is used, and nothing is asked for each call.

    Args:
        access_log: where the lines go.
        args: of the executor.
        kwargs: of the executor.
    """

    def __init__(self, access_log: AccessLog, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._access_log: Final = access_log

    def end(self, call: Call, body: bytes, is_error: bool, *, is_refused: bool = False) -> None:
        if call.expired:  # the owner has answered for it
            outcome = errors.TIMED_OUT.name
        else:
            outcome = errors.name_in(body) if is_error else "ok"
        now = time.monotonic()
        self._access_log.write(
            request_name(call.session, call.id),
            call.op,
            ".".join((self._name, *call.path)),
            outcome,
            0.0 if call.started is None else now - call.started,
        )
        super().end(call, body, is_error, is_refused=is_refused)
