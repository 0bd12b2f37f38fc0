"""Waiting for a described condition: the only way in which tests wait."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

# Forty times what anything here takes on an idle machine: two busy cores must not fail a test.
DEFAULT_TIMEOUT_S = 20.0
_POLL_S = 0.005


async def wait_until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]],
    description: str | Callable[[], str],
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> None:
    """Poll `condition` (a function or a coroutine function) until it is true; fail with `description` otherwise."""
    deadline = time.monotonic() + timeout_s
    while True:
        outcome = condition()
        if inspect.isawaitable(outcome):
            outcome = await outcome
        if outcome:
            return
        if time.monotonic() > deadline:
            raise _failure(description, timeout_s)
        await asyncio.sleep(_POLL_S)


def wait_until_blocking(
    condition: Callable[[], object],
    description: str | Callable[[], str],
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> None:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise _failure(description, timeout_s)
        time.sleep(_POLL_S)


def _failure(description: str | Callable[[], str], timeout_s: float) -> AssertionError:
    text = description if isinstance(description, str) else description()
    return AssertionError(f"not within {timeout_s:g} s: {text}")
