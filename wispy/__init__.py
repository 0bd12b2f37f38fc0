"""wispy puts a live Python object in every browser.

    from wispy import RPCWebApp

    RPCWebApp(sample=sample).run()

What is named here is wispy's public Python API. It is imported when it is first used, so that a process that needs one
part does not load the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wispy.version import __version__

if TYPE_CHECKING:
    from wispy.app import RPCWebApp
    from wispy.client.blocking import connect_blocking
    from wispy.client.rpc import connect
    from wispy.frontend.auth.credentials import Credentials as AuthRequest
    from wispy.frontend.auth.verifying import User
    from wispy.protocol.errors import RPCError
    from wispy.worker.caller import caller
    from wispy.worker.hooks import on_acquire, on_release, restore, snapshot
    from wispy.worker.marks import (
        expose,
        hide,
        idempotent,
        locking,
        no_delete,
        not_locking,
        rate,
        read_only,
        roles,
        synchronous,
        threaded,
        timeout,
        write_only,
        write_roles,
    )

__all__ = [
    "AuthRequest",
    "RPCError",
    "RPCWebApp",
    "User",
    "__version__",
    "caller",
    "connect",
    "connect_blocking",
    "expose",
    "hide",
    "idempotent",
    "locking",
    "no_delete",
    "not_locking",
    "on_acquire",
    "on_release",
    "rate",
    "read_only",
    "restore",
    "roles",
    "snapshot",
    "synchronous",
    "threaded",
    "timeout",
    "write_only",
    "write_roles",
]

_PLACES = {
    "AuthRequest": "wispy.frontend.auth.credentials:Credentials",
    "RPCError": "wispy.protocol.errors",
    "User": "wispy.frontend.auth.verifying",
    "RPCWebApp": "wispy.app",
    "caller": "wispy.worker.caller",
    "connect": "wispy.client.rpc",
    "connect_blocking": "wispy.client.blocking",
    "expose": "wispy.worker.marks",
    "hide": "wispy.worker.marks",
    "idempotent": "wispy.worker.marks",
    "locking": "wispy.worker.marks",
    "no_delete": "wispy.worker.marks",
    "not_locking": "wispy.worker.marks",
    "on_acquire": "wispy.worker.hooks",
    "on_release": "wispy.worker.hooks",
    "rate": "wispy.worker.marks",
    "read_only": "wispy.worker.marks",
    "restore": "wispy.worker.hooks",
    "roles": "wispy.worker.marks",
    "snapshot": "wispy.worker.hooks",
    "synchronous": "wispy.worker.marks",
    "threaded": "wispy.worker.marks",
    "timeout": "wispy.worker.marks",
    "write_only": "wispy.worker.marks",
    "write_roles": "wispy.worker.marks",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place, _, other = _PLACES[name].partition(":")
    return getattr(import_module(place), other or name)
