"""Keeps an object's own state in Redis: what its snapshot hook returns, for the next owner. Runs on the I/O thread.

Rules:
- A state is written under the lease's epoch, and refused once another owner has acquired.
- It is given to the next owner's restore hook before the object is served; never back to the instance that it is of,
  whose own state is at least as new.
- Nothing that goes wrong here keeps the object from being served or handed over: it is logged, and Redis keeps what it
  has.
"""

import asyncio
import logging
from collections.abc import Callable

from wispy.broker.errors import BrokerError
from wispy.broker.store import ObjectStore, StoredState
from wispy.worker.counts import ObjectCounts
from wispy.worker.stage import Stage

log = logging.getLogger("wispy.worker")


class StateKeeper:
    """The state of one object under one lease.

    Args:
        stage: where the object's code runs.
        store: the object's scripts.
        epoch: the lease's epoch.
        max_bytes: size of a state beyond which it is not stored.
        counts: what is counted.
        on_fenced: called when another owner has acquired.
    """

    def __init__(
        self,
        stage: Stage,
        store: ObjectStore,
        epoch: str,
        *,
        max_bytes: int,
        counts: ObjectCounts,
        on_fenced: Callable[[], None],
    ) -> None:
        self._counts = counts
        self._stage = stage
        self._store = store
        self._epoch = epoch
        self._max_bytes = max_bytes
        self._on_fenced = on_fenced
        self._written: StoredState | None = None
        """What was written last, and need not be written again."""
        self._task: asyncio.Task[None] | None = None

    async def restore(self) -> None:
        """Give the object the state that a former owner has stored, if there is one."""
        state = await self._store.read_state()
        if state is not None:
            await self._stage.restore_state(state)

    def begin(self) -> None:
        """Store the state from time to time, if the object's author has asked for that."""
        every_s = self._stage.snapshot_every_s
        if every_s is not None:
            self._task = asyncio.create_task(self._store_regularly(every_s), name=f"snapshots of {self._stage.name}")

    async def stop(self) -> None:
        """Store no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def store_last(self) -> None:
        """Store the state as it is left to the next owner."""
        await self.stop()
        await self._store_now()

    async def _store_regularly(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await self._store_now()
            except Exception:
                log.exception("storing the state of %s failed", self._stage.name)

    async def _store_now(self) -> None:
        state = await self._stage.snapshot()
        if state is None or state == self._written:
            return
        if len(state.data) > self._max_bytes:
            self._counts.hit("snapshot_bytes")
            log.error(
                "the state of %s is not stored: it has %d bytes, the limit (limits.snapshot_bytes) is %d",
                self._stage.name,
                len(state.data),
                self._max_bytes,
            )
            return
        try:
            if await self._store.write_state(self._epoch, state):
                self._written = state
            else:
                self._on_fenced()
        except BrokerError as error:
            log.warning("the state of %s was not stored: %s", self._stage.name, error)
