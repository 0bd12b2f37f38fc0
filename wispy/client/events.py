"""Who listens to a connection, and where trouble is reported that no caller waits for."""

import logging
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger("wispy.client")

MAX_LISTENERS: Final = 1000
"""Of one event: who adds one per call has forgotten to remove it."""


class Event:
    """Listeners that are called in the order in which they came; one that fails is logged."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._listeners: list[Callable[..., object]] = []

    def add(self, listener: Callable[..., object]) -> Callable[[], None]:
        """Call `listener` from now on; the result ends that."""
        if not callable(listener):
            raise TypeError(f"on_{self._name} takes a function")
        if len(self._listeners) >= MAX_LISTENERS:
            raise ValueError(f"{MAX_LISTENERS} functions listen to {self._name} already")
        self._listeners.append(listener)

        def remove() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return remove

    def emit(self, *details: Any) -> None:
        for listener in list(self._listeners):
            try:
                listener(*details)
            except Exception:
                log.exception("a function that listens to %s failed", self._name)


class Events:
    """The events of one connection."""

    def __init__(self) -> None:
        self.state = Event("state")
        self.error = Event("error")
        self.gap = Event("gap")

    def report(self, error: BaseException, what: str) -> None:
        """Tell of trouble that no caller waits for."""
        log.error("%s: %s", what, error, exc_info=None if type(error).__module__.startswith("wispy.") else error)
        self.error.emit(error, what)
