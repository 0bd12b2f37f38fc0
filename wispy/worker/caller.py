"""Who has made the call that is running: what object code asks with `wispy.caller()`."""

import contextvars
from typing import Final

from wispy.protocol.identity import ANONYMOUS, Identity

_caller: Final = contextvars.ContextVar("wispy caller", default=ANONYMOUS)


def caller() -> Identity:
    """Who asks for what runs now: `caller().user` is his name, `caller().roles` are his roles.

    In methods of a served object, their tasks and threads of wispy's pool, and in properties that a page reads or sets.
    Where nobody has to log in (`auth.kind: none`), and outside of a request, it is anonymous: `user` is None.
    """
    return _caller.get()


def introduce(context: contextvars.Context, identity: Identity) -> None:
    """Have what runs in this context be asked for by this caller."""
    context.run(_caller.set, identity)
