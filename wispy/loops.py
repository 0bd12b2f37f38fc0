"""What every wispy process runs on: its event loop, uvloop where there is one, and a calm garbage collector."""

import asyncio
import gc
from typing import Final

try:
    import uvloop
except ImportError:  # Windows has none
    uvloop = None


YOUNG_OBJECTS: Final = 20_000
"""New containers after which the collector looks at them. Requests in flight are some thousand containers that live for
a moment: at Python's default of 700 they are looked at again and again, and counted as old; it took a fifth of a
worker's time."""


def calm_garbage_collector() -> None:
    """Have the garbage collector spend its time on what may be garbage: called once a process has started up.

    What exists by now (modules, classes) stays until the end, and is not looked at any more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new event loop of the fastest kind that this platform has."""
    return asyncio.new_event_loop() if uvloop is None else uvloop.new_event_loop()
