"""The blocking form of the client, for scripts and notebooks.

    with wispy.connect_blocking("http://localhost:5000") as rpc:
        rpc.sample["a"]               # reads
        rpc.sample.a = 2              # sets, and raises where that fails
        rpc.sample.test_sum(4, 5)

Rules:
- The connection lives on a loop in a thread of its own, so that it works beside a notebook's loop.
- Handlers are called in that thread, which must not wait for itself: a request from there is refused.
- Ctrl-C cancels the request that is waited for, on the server, too.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from wispy.client.channels import Gap
from wispy.client.proxies import BlockingProxy
from wispy.client.rpc import CONNECT_S, Rpc

ResultT = TypeVar("ResultT")

JOIN_S: Final = 5.0
"""How long `close` waits for the thread: it has nothing left to do by then."""


def connect_blocking(
    url: str, *, connect_timeout_s: float = CONNECT_S, timeout_s: float | None = None, token: str | None = None
) -> "BlockingRpc":
    """A connection to a wispy whose functions wait. For `with`; a notebook uses `open` and `close`.

    Parameters and errors are those of `connect`.
    """
    return BlockingRpc(Rpc(url, connect_timeout_s=connect_timeout_s, timeout_s=timeout_s, token=token))


class BlockingRpc:
    """A connection whose functions wait for their results; otherwise they are those of `Rpc`."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __getattr__(self, name: str) -> BlockingProxy:
        if name.startswith("_"):
            raise AttributeError(name)
        return BlockingProxy(self, (name,))

    def __repr__(self) -> str:
        return repr(self._rpc)

    # --- life -------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Connect; errors as those of `Rpc.open`."""
        if self._thread is not None:
            raise RuntimeError("a connection is opened once: call wispy.connect_blocking again")
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_serve, args=(loop,), name="wispy client", daemon=True)
        self._thread.start()
        try:
            self._wait_for(self._rpc.open())
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End the connection and its thread."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive():
            return
        try:
            self._wait_for(self._rpc.close())
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(JOIN_S)

    def authenticate(self, token: str) -> None:
        """As `Rpc.authenticate`."""
        self._wait_for(self._rpc.authenticate(token))

    @property
    def state(self) -> str:
        """As `Rpc.state`."""
        return self._rpc.state

    def object(self, name: str) -> BlockingProxy:
        """The proxy of an object, also where a function of the connection has its name."""
        return BlockingProxy(self, (name,))

    def _wait_for(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive():
            work.close()
            raise RuntimeError("the connection is not open: use `with wispy.connect_blocking(url) as rpc`")
        if threading.current_thread() is thread:
            work.close()
            raise RuntimeError("a handler must not wait for the connection that calls it: hand the work to a thread")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # of use where this thread was interrupted
            raise

    # --- requests ---------------------------------------------------------------------------------------------------

    def get(self, path: Any, /, *, timeout_s: float | None = None) -> Any:
        """As `Rpc.get`."""
        return self._wait_for(self._rpc.get(path, timeout_s=timeout_s))

    def set(self, path: Any, value: Any, /, *, timeout_s: float | None = None) -> None:
        """As `Rpc.set`."""
        self._wait_for(self._rpc.set(path, value, timeout_s=timeout_s))

    def delete(self, path: Any, /, *, timeout_s: float | None = None) -> None:
        """As `Rpc.delete`."""
        self._wait_for(self._rpc.delete(path, timeout_s=timeout_s))

    def call(
        self, path: Any, /, *args: Any, timeout_s: float | None = None, idempotent: bool = False, **kwargs: Any
    ) -> Any:
        """As `Rpc.call`."""
        return self._wait_for(self._rpc.call(path, *args, timeout_s=timeout_s, idempotent=idempotent, **kwargs))

    def invoke(self, path: Any, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        """As `Rpc.invoke`."""
        return self._wait_for(self._rpc.invoke(path, args, kwargs))

    def describe(self, path: Any, /, *, timeout_s: float | None = None) -> Any:
        """As `Rpc.describe`."""
        return self._wait_for(self._rpc.describe(path, timeout_s=timeout_s))

    def source(self, path: Any, /, *, timeout_s: float | None = None) -> Any:
        """As `Rpc.source`."""
        return self._wait_for(self._rpc.source(path, timeout_s=timeout_s))

    def status(self, *, timeout_s: float | None = None) -> Any:
        """As `Rpc.status`."""
        return self._wait_for(self._rpc.status(timeout_s=timeout_s))

    def discover(self, *, timeout_s: float | None = None) -> Any:
        """As `Rpc.discover`."""
        return self._wait_for(self._rpc.discover(timeout_s=timeout_s))

    # --- channels ---------------------------------------------------------------------------------------------------

    def list_channels(self, name: str) -> list[str]:
        """As `Rpc.list_channels`."""
        return self._wait_for(self._rpc.list_channels(name))

    def add_channel_handlers(
        self, name: str, handlers: Mapping[str, Callable[[Any], Any]], call_now: bool = False
    ) -> None:
        """As `Rpc.add_channel_handlers`; the functions are called in the connection's thread."""
        self._wait_for(self._rpc.add_channel_handlers(name, handlers, call_now))

    def remove_channel_handlers(self, name: str, *channels: str) -> None:
        """As `Rpc.remove_channel_handlers`."""

        async def remove() -> None:
            self._rpc.remove_channel_handlers(name, *channels)

        self._wait_for(remove())

    def subscribe(
        self, channel: Any, /, *, on_gap: Callable[[Gap], Any] | None = None
    ) -> Generator[tuple[Any, str], None, None]:
        """`for value, at in rpc.subscribe("sample.a")`; otherwise as `Rpc.subscribe`."""
        updates = self._rpc.subscribe(channel, on_gap=on_gap)

        async def following() -> tuple[Any, str] | None:
            return await anext(updates, None)

        async def end() -> None:
            await updates.aclose()

        try:
            while (update := self._wait_for(following())) is not None:
                yield update
        finally:
            if self.state != "closed":
                self._wait_for(end())

    # --- events -----------------------------------------------------------------------------------------------------

    def on_state(self, callback: Callable[[str, str], Any]) -> Callable[[], None]:
        """As `Rpc.on_state`; called in the connection's thread."""
        return self._rpc.on_state(callback)

    def on_error(self, callback: Callable[[BaseException, str], Any]) -> Callable[[], None]:
        """As `Rpc.on_error`; called in the connection's thread."""
        return self._rpc.on_error(callback)

    def on_gap(self, callback: Callable[[Gap], Any]) -> Callable[[], None]:
        """As `Rpc.on_gap`; called in the connection's thread."""
        return self._rpc.on_gap(callback)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        rest = asyncio.all_tasks(loop)
        for task in rest:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())  # it looks up names
    finally:
        loop.close()
