"""The threads in which an object's threaded methods run.

Not `concurrent.futures`: the interpreter waits for the threads of that one when it ends, so that one method that never
returns would keep a worker from ever ending. These are daemon threads, and end with the process.
"""

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger("wispy.worker")


class ThreadPool:
    """At most `size` threads, each started when there is work for it and none is free.

    It has no queue of its own to speak of: who submits has counted that a thread is free, or may be started.

    Args:
        name: of the threads, for logs and debuggers.
        size: the number of threads, at most.
    """

    def __init__(self, name: str, size: int) -> None:
        self.size = size
        self._name = name
        self._started = 0
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, work: Callable[[], None], busy: int) -> None:
        """Run `work`, which raises nothing, in a thread. Where the system gives no more of them, it waits for one.

        Args:
            work: what to run.
            busy: how many works are running or submitted, this one included.

        Raises:
            RuntimeError: the system gives none, and there is none.
        """
        if busy > self._started:
            name = f"{self._name}-{self._started + 1}"
            try:
                threading.Thread(target=self._run, name=name, daemon=True).start()
                self._started += 1
            except RuntimeError as error:
                if not self._started:
                    raise
                log.warning("%s was not started: %s", name, error)
        self._work.put(work)

    def stop(self) -> None:
        """End the threads as soon as each has done what it is doing. Nothing may be submitted afterwards."""
        for _ in range(self._started):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # an idle thread keeps nothing of its last call alive
