"""The event loop that every wispy process runs on: uvloop where there is one."""

import asyncio

try:
    import uvloop
except ImportError:  # Windows has none
    uvloop = None


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new event loop of the fastest kind that this platform has."""
    return asyncio.new_event_loop() if uvloop is None else uvloop.new_event_loop()
