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
    from wispy.worker.modes import idempotent, locking, not_locking, synchronous, threaded, timeout

__all__ = [
    "AuthRequest",
    "RPCError",
    "RPCWebApp",
    "User",
    "__version__",
    "caller",
    "connect",
    "connect_blocking",
    "idempotent",
    "locking",
    "not_locking",
    "on_acquire",
    "on_release",
    "restore",
    "snapshot",
    "synchronous",
    "threaded",
    "timeout",
]

_PLACES = {
    "AuthRequest": "wispy.frontend.auth.credentials:Credentials",
    "RPCError": "wispy.protocol.errors",
    "User": "wispy.frontend.auth.verifying",
    "RPCWebApp": "wispy.app",
    "caller": "wispy.worker.caller",
    "connect": "wispy.client.rpc",
    "connect_blocking": "wispy.client.blocking",
    "idempotent": "wispy.worker.modes",
    "locking": "wispy.worker.modes",
    "not_locking": "wispy.worker.modes",
    "on_acquire": "wispy.worker.hooks",
    "on_release": "wispy.worker.hooks",
    "restore": "wispy.worker.hooks",
    "snapshot": "wispy.worker.hooks",
    "synchronous": "wispy.worker.modes",
    "threaded": "wispy.worker.modes",
    "timeout": "wispy.worker.modes",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place, _, other = _PLACES[name].partition(":")
    return getattr(import_module(place), other or name)
