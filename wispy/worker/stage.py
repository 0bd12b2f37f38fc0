"""Where an object's code runs: the bridge from the I/O thread to the objects' thread, for one object.

Rules:
- The instance is made once, when the lease is first acquired, and stays; what serves it (runner, channels) is made for
  each tenure, and ends with it: nothing of a lost lease starts or publishes under the next one.
- Every method is called on the I/O thread, unless it says otherwise. One hop takes a batch across, one brings it back.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from wispy.broker.store import StoredState
from wispy.config.schema import Config
from wispy.errors import StartError
from wispy.protocol.values import encode
from wispy.worker.answers import text_of
from wispy.worker.calls import Call, ChannelUpdate, Outcome
from wispy.worker.hooks import HookError, HookKind
from wispy.worker.runner import Runner
from wispy.worker.running import Occupation
from wispy.worker.served import ServedObject
from wispy.worker.source import ObjectSource

if TYPE_CHECKING:
    from wispy.worker.shared_tenure import SharedTenure
    from wispy.worker.tenure import Tenure

log = logging.getLogger("wispy.worker")

ResultT = TypeVar("ResultT")

LAST_NEWS_S: Final = 0.5
"""For what an object has published to come from its thread, if that is free: it takes some milliseconds."""

_MISSING: Final = object()


class Stage:
    """One object's place in the objects' thread.

    Args:
        source: where the instance comes from.
        config: the worker's configuration.
        objects_loop: the loop that the object's code runs on.
    """

    def __init__(self, source: ObjectSource, config: Config, objects_loop: asyncio.AbstractEventLoop) -> None:
        self.name = source.name
        self._source = source
        self._config = config
        self._objects_loop = objects_loop
        self._io_loop = asyncio.get_running_loop()
        self._target: object = _MISSING
        self._instance = secrets.token_hex(8)
        """Names the instance: whose state a stored one is."""
        self._is_acquired = False
        """The object was told that it is served here (on_acquire), and not yet that this is over."""
        self._served: ServedObject | None = None
        self._runner: Runner | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- a tenure begins and ends -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Make the object if there is none yet, and bind its channels.

        Raises:
            StartError: the object cannot be made or served.
        """
        await self._in_objects_thread(self._open)

    def _open(self) -> None:
        """On the objects' thread."""
        if self._target is _MISSING:
            self._target = self._source.build()
        self._served = ServedObject(self.name, self._target, self._config, self._objects_loop)

    async def begin(self, tenure: "Tenure | SharedTenure") -> None:
        """Run calls from now on; the first hand-over has the values that all channels have at the beginning."""
        await self._in_objects_thread(lambda: self._begin(tenure))

    def _begin(self, tenure: "Tenure | SharedTenure") -> None:
        """On the objects' thread."""
        assert self._served is not None

        def hand_back(outcomes: list[Outcome], updates: list[ChannelUpdate]) -> None:
            self._tell_io(tenure.outcomes, outcomes, updates)

        self._runner = Runner(
            self._served, self._config, may_start=tenure.may_start, on_outcomes=hand_back, counts=tenure.counts
        )
        self._runner.begin()

    async def restore(self, retained: dict[str, bytes]) -> None:
        """Begin with the values that a former owner published instead of the code's."""
        served = self._served
        assert served is not None
        await self._in_objects_thread(lambda: served.restore(retained))

    async def close(self) -> None:
        """The tenure is over: nothing more starts, and the object is given back as it was."""
        await self._in_objects_thread(self._stop)
        await self.released()
        await self._in_objects_thread(self._give_back)

    def _stop(self) -> None:
        """On the objects' thread."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _give_back(self) -> None:
        """On the objects' thread."""
        if self._served is not None:
            self._served.close()
            self._served = None

    def warn_of_standby(self) -> None:
        """Another process owns the object: if ours exists already, there are two."""
        if self._source.is_instance:
            log.warning(
                "%s exists in this process already, although another one owns it; name a class or a factory instead, "
                "which is called only once the lease is acquired",
                self.name,
            )

    # --- the object's hooks -----------------------------------------------------------------------------------------

    async def acquired(self) -> None:
        """Tell the object that it is about to be served here.

        Raises:
            StartError: its hook has failed.
        """
        try:
            await self._hook(HookKind.ON_ACQUIRE)
        except HookError as error:
            raise StartError(f"the object {self.name} cannot be served: {error}") from error
        self._is_acquired = True

    async def released(self) -> None:
        """Tell the object that it is not served here any more, if it was told the contrary; a failure is logged."""
        if not self._is_acquired:
            return
        self._is_acquired = False
        until = self._io_loop.time() + self._config.lease.hook_timeout
        try:
            await self._hook(HookKind.ON_RELEASE)
        except HookError as error:
            log.error("%s: %s", self.name, error)
        if self.occupation() is not None:
            return  # a call that does not end; the lease is not held back for it
        # Other objects' calls and hooks may hold the thread, too, and are given the time that hooks have. This object's
        # own hook has had it, if it is what holds the thread.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(max(until, self._io_loop.time() + LAST_NEWS_S)):
                await self._in_objects_thread(lambda: None)  # what it has published comes before this does

    @property
    def snapshot_every_s(self) -> float | None:
        """How often the object's state is to be stored while it is served; None: not at all."""
        return self._served.hooks.every_s if self._served is not None else None

    async def snapshot(self) -> StoredState | None:
        """The object's own state; None if it has no hook for that, or the hook has failed, which is logged."""
        served = self._served
        if served is None or HookKind.SNAPSHOT not in served.hooks:
            return None
        try:
            is_bytes, data = await self._in_time(HookKind.SNAPSHOT, served.hooks.snapshot())
        except HookError as error:
            log.error("the state of %s is not stored: %s", self.name, error)
            return None
        return StoredState(self._instance, is_bytes, data)

    async def restore_state(self, state: StoredState) -> None:
        """Give the object the state that another instance has left; a failure is logged."""
        served = self._served
        if served is None or HookKind.RESTORE not in served.hooks or state.writer == self._instance:
            return
        try:
            await self._in_time(HookKind.RESTORE, served.hooks.restore(state.is_bytes, state.data))
        except HookError as error:
            log.error("the state of %s is not restored: %s", self.name, error)

    async def _hook(self, kind: HookKind) -> None:
        served = self._served
        if served is not None and kind in served.hooks:
            await self._in_time(kind, served.hooks.call(kind))

    async def _in_time(self, kind: HookKind, hook: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a hook in the objects' thread. A `def` cannot be stopped when its time is over, but nobody waits for it.

        Raises:
            HookError: it has failed, or takes too long.
        """
        limit_s = self._config.lease.hook_timeout
        running = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(hook, self._objects_loop))
        try:
            async with asyncio.timeout(limit_s):
                return await running
        except TimeoutError as error:
            raise HookError(f"{kind.value} has not ended within {limit_s:g} s (lease.hook_timeout)") from error

    # --- what Redis keeps of the object -----------------------------------------------------------------------------

    def declarations(self) -> dict[str, bytes]:
        """Channel to its declaration."""
        served = self._served
        assert served is not None
        return {channel: served.declaration(channel, kind) for channel, kind in served.channels.kinds().items()}

    def history_of(self, channel: str) -> int:
        """How many updates a channel keeps."""
        return self._served.channels.history(channel) if self._served is not None else 0

    def interface(self) -> bytes:
        """What `rpc.discover` shows of the object."""
        assert self._served is not None
        return encode(self._served.access.interface())

    # --- calls ------------------------------------------------------------------------------------------------------

    def run(self, calls: list[Call]) -> None:
        """Give calls to the runner, in their order; without any: the lease is good again, what was held may start."""
        if self._runner is not None:
            self._objects_loop.call_soon_threadsafe(self._runner.run, calls)

    def after(self, callback: Callable[[], None]) -> None:
        """Call `callback`, on the I/O thread, once the objects' thread has looked at what it was given before."""
        self._objects_loop.call_soon_threadsafe(self._tell_io, callback)

    def cancel(self, session: str, id: int) -> None:
        """Cancel a call if it can still be."""
        if self._runner is not None:
            self._objects_loop.call_soon_threadsafe(self._runner.cancel, session, id)

    def overdue(self, now: float) -> list[Call]:
        """The calls that run past their deadline (`now` in monotonic seconds)."""
        return self._runner.overdue(now) if self._runner is not None else []

    def expire(self, call: Call) -> None:
        """What this call still brings is dropped."""
        if self._runner is not None:
            self._runner.expire(call)

    def withdraw(self, call: Call) -> bool:
        """Have a call not start; whether it has not, and will not."""
        return self._runner is not None and self._runner.withdraw(call)

    def occupation(self) -> Occupation | None:
        """Which call holds the objects' thread, if one does."""
        return None if self._runner is None else self._runner.running()

    def report_hangs(self, now: float) -> None:
        """Log the calls that have been running for too long."""
        if self._runner is not None:
            self._runner.report_hangs(now)

    # --- crossing over ----------------------------------------------------------------------------------------------

    def supervise(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine in the background of the I/O thread; a failure is logged."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)

    async def _in_objects_thread(self, work: Callable[[], ResultT]) -> ResultT:
        """Do something in the objects' thread and wait for it, for as long as object code occupies it.

        Raises:
            StartError: the object's own code failed, of which the cause tells; all of it is for the log.
        """
        done: asyncio.Future[ResultT] = self._io_loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)

        def do() -> None:
            result: Any = None
            failure: BaseException | None = None
            try:
                result = work()
            except StartError as error:
                failure = error
            except BaseException as error:
                failure = StartError(
                    f"the object {self.name} cannot be served: {type(error).__name__}: {text_of(error)}"
                )
                failure.__cause__ = error
            self._tell_io(settle, result, failure)

        self._objects_loop.call_soon_threadsafe(do)
        return await done

    def _tell_io(self, callback: Callable[..., None], *args: Any) -> None:
        """Have the I/O thread call something. From any thread."""
        try:
            self._io_loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:  # the loop is closed: the worker has ended while object code occupied this thread
            log.debug("what %s did last comes after the I/O thread has ended", self.name)
