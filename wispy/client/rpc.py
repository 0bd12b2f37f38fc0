"""The asyncio form of the client.

    async with wispy.connect("http://localhost:5000") as rpc:
        await rpc.sample.a
        await rpc.set(rpc.sample.a, 2)
        await rpc.sample.test_sum(4, 5)

Rules:
- Every request ends: by its answer, its time-out, its caller's cancellation, or the end of its session.
- What was cancelled here is cancelled on the server, too.
- One connection belongs to one event loop.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from wispy.client.address import websocket_url
from wispy.client.channels import INBOX, Channels, Gap, Inbox, Listener
from wispy.client.events import Events
from wispy.client.link import AUTHENTICATE, Link
from wispy.client.proxies import Names, Proxy, names_in, wire_path
from wispy.config.secrets import mask_urls
from wispy.protocol import errors, values
from wispy.protocol.client_calls import Call
from wispy.protocol.client_session import ClientSession
from wispy.timing import boottime
from wispy.version import __version__

CONNECT_S: Final = 10.0
"""How long the first connection may take."""

MAX_TIMEOUT_S: Final = 365 * 86400.0
"""A time-out beyond it is a mistake of units."""


def connect(
    url: str, *, connect_timeout_s: float = CONNECT_S, timeout_s: float | None = None, token: str | None = None
) -> "Rpc":
    """A connection to a wispy, for `async with`.

    Args:
        url: of the site (`http://host:port`, with its base path) or of its websocket (`ws://host:port/ws`).
        connect_timeout_s: seconds that the first connection may take, tries included. Later ones are made by
            themselves, for as long as it takes.
        timeout_s: seconds that a request may take where it says nothing else; None leaves it to the server, which ends
            each at its own run time-out.
        token: says who the user is, where the server wants to know; it is kept in memory, and shown on each connection.

    Raises:
        ValueError: `url` is no such address, or a time-out is none.
    """
    return Rpc(url, connect_timeout_s=connect_timeout_s, timeout_s=timeout_s, token=token)


class Rpc:
    """A connection: its attributes are the objects, as in `rpc.sample`; `connect` makes it.

    An object that has the name of a function of the connection is at `rpc.object("get")`.
    """

    def __init__(
        self,
        url: str,
        *,
        connect_timeout_s: float = CONNECT_S,
        timeout_s: float | None = None,
        token: str | None = None,
    ) -> None:
        self._token = token
        self._url = websocket_url(url)
        self._connect_timeout_s = _checked_timeout(connect_timeout_s) or CONNECT_S
        self._timeout_s = _checked_timeout(timeout_s)
        self._events = Events()
        self._session = ClientSession(random.random, f"wispy-python/{__version__}")
        self._parts: tuple[Link, Channels] | None = None

    def __getattr__(self, name: str) -> Proxy:
        if name.startswith("_"):
            raise AttributeError(name)
        return Proxy(self, (name,))

    def __repr__(self) -> str:
        return mask_urls(f"<wispy connection to {self._url}: {self.state}>")

    # --- life -------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect.

        Raises:
            RPCError: there is no connection in time (`UNAVAILABLE`), the server refuses it, or it wants a token, or
                another one (`UNAUTHENTICATED`).
        """
        if self._parts is not None:
            raise RuntimeError("a connection is opened once: call wispy.connect again")
        channels = Channels(self._local, self._events)
        link = Link(
            self._url,
            self._session,
            self._events,
            channels.opened,
            channels.down,
            channels.close,
            self._notified,
            self._token,
        )
        self._parts = (link, channels)
        link.start()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await asyncio.shield(link.first)
        except TimeoutError:
            trouble = link.trouble or "the server did not answer"
            message = f"no connection to {self._url} within {self._connect_timeout_s:g} s: {trouble}"
            await self.close()
            raise errors.UNAVAILABLE(mask_urls(message)) from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the connection; what is in flight ends with `executed: maybe`."""
        if self._parts is not None:
            link, _ = self._parts
            if link.state != "closed":
                await link.close("the connection was closed")

    async def authenticate(self, token: str) -> None:
        """Show a newer token of the same user, without a new connection; later connections show this one, too.

        Where the one before has expired, and connections are refused (`on_error` tells it), the next one shows this.

        Raises:
            RPCError: the token is no good, or there is no connection.
        """
        link, _ = self._opened()
        if not link.is_open:
            link.renew(token)
        await self._request(AUTHENTICATE, {"token": token}, "", None)
        link.renew(token)

    @property
    def state(self) -> str:
        """idle, connecting, connected, resumed, lost or closed."""
        return "idle" if self._parts is None else self._parts[0].state

    def object(self, name: str) -> Proxy:
        """The proxy of an object, also where a function of the connection has its name."""
        return Proxy(self, (name,))

    # --- requests ---------------------------------------------------------------------------------------------------

    async def get(self, path: Any, /, *, timeout_s: float | None = None) -> Any:
        """The value of an attribute.

        Args:
            path: "sample.a", ["sample", "table", "dotted.key"], or a proxy.
            timeout_s: seconds that this may take.

        Raises:
            RPCError: it failed; `executed` says whether it ran.
        """
        return await self._about("rpc.get", names_in(path), timeout_s=timeout_s)

    async def set(self, path: Any, value: Any, /, *, timeout_s: float | None = None) -> None:
        """Set an attribute; all as for `get`, and `UnencodableError` where `value` cannot travel."""
        await self._about("rpc.set", names_in(path), {"value": value}, timeout_s=timeout_s)

    async def delete(self, path: Any, /, *, timeout_s: float | None = None) -> None:
        """Delete an attribute; parameters and errors as those of `get`."""
        await self._about("rpc.delete", names_in(path), timeout_s=timeout_s)

    async def call(
        self, path: Any, /, *args: Any, timeout_s: float | None = None, idempotent: bool = False, **kwargs: Any
    ) -> Any:
        """Call a method.

        Args:
            path: of the method.
            args: its positional arguments.
            timeout_s: seconds that this may take; the server ends it by then, too.
            idempotent: it may run twice: where its outcome is unknown, it is asked for again.
            kwargs: its named arguments. One that is called `timeout_s` or `idempotent` is passed by the proxy's call.

        Raises:
            RPCError: it failed; `executed` says whether it ran. For an exception of the object's own, `data["type"]`
                is its class and `data["args"]` its arguments.
            UnencodableError: an argument cannot travel; nothing was sent.
        """
        return await self._call(names_in(path), args, kwargs, timeout_s, idempotent)

    async def invoke(self, path: Any, args: Sequence[Any], kwargs: Mapping[str, Any], /) -> Any:
        """Call a method; what a proxy does when it is called."""
        return await self._call(names_in(path), args, kwargs, None, False)

    async def describe(self, path: Any, /, *, timeout_s: float | None = None) -> Any:
        """Signature, types and documentation of an object or of a part of it."""
        return await self._about("rpc.describe", names_in(path, least=1), timeout_s=timeout_s)

    async def source(self, path: Any, /, *, timeout_s: float | None = None) -> Any:
        """Source text, where the server allows it."""
        return await self._about("rpc.source", names_in(path, least=1), timeout_s=timeout_s)

    async def status(self, *, timeout_s: float | None = None) -> Any:
        """Objects, owners, queues, frontends and sessions (`rpc.status`), where the configuration allows it."""
        return await self._request("rpc.status", {}, "", timeout_s)

    async def discover(self, *, timeout_s: float | None = None) -> Any:
        """The OpenRPC document of all objects that the server knows."""
        return await self._request("rpc.discover", {}, "", timeout_s)

    async def _call(
        self, names: Names, args: Sequence[Any], kwargs: Mapping[str, Any], timeout_s: float | None, idempotent: bool
    ) -> Any:
        limit_s = self._timeout_s if timeout_s is None else _checked_timeout(timeout_s)
        path = wire_path(names)
        if isinstance(path, str) and not kwargs and limit_s is None:
            return await self._request(path, list(args), names[0], None, idempotent)
        params: dict[str, Any] = {"path": path, "args": list(args)}
        if kwargs:
            params["kwargs"] = dict(kwargs)
        if limit_s is not None:
            params["timeout_s"] = limit_s
        return await self._request("rpc.call", params, names[0], limit_s, idempotent)

    async def _about(
        self, method: str, names: Names, more: Mapping[str, Any] | None = None, *, timeout_s: float | None
    ) -> Any:
        params = {"path": wire_path(names), **(more or {})}
        return await self._request(method, params, names[0], timeout_s)

    async def _request(
        self, method: str, params: Any, target: str, timeout_s: float | None, idempotent: bool = False
    ) -> Any:
        link, _ = self._opened()
        limit_s = self._timeout_s if timeout_s is None else _checked_timeout(timeout_s)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bytes] = loop.create_future()

        def settled(call: Call) -> None:
            if done.done():
                return
            if call.error is not None:
                done.set_exception(call.error)
            else:
                done.set_result(call.result or b"null")

        now = boottime()
        deadline = None if limit_s is None else now + limit_s
        call = Call(method, values.encode(params), target, now, settled, deadline=deadline, is_idempotent=idempotent)
        self._session.submit(call)
        link.flush()
        timer = None if limit_s is None else loop.call_later(limit_s, link.give_up, call)
        try:
            text = await done
        except asyncio.CancelledError:
            link.give_up(call, errors.CANCELLED())
            raise
        finally:
            if timer is not None:
                timer.cancel()
        try:
            return values.decode(text, max_depth=None)
        except values.DecodeError as error:
            raise errors.UNSENDABLE(f"the result cannot be read: {error}") from error

    def _local(self, method: str, params: bytes, on_settled: Callable[[Call], None]) -> None:
        self._opened()[0].local(method, params, on_settled)

    def _opened(self) -> tuple[Link, Channels]:
        if self._parts is None:
            raise RuntimeError("the connection is not open: use `async with wispy.connect(url) as rpc`")
        return self._parts

    # --- channels ---------------------------------------------------------------------------------------------------

    async def list_channels(self, name: str) -> list[str]:
        """The names of an object's channels."""
        kinds = await self._request("rpc.channels", {"object": name}, "", None)
        return [channel.removeprefix(f"{name}.") for channel in kinds]

    async def add_channel_handlers(
        self, name: str, handlers: Mapping[str, Callable[[Any], Any]], call_now: bool = False
    ) -> None:
        """Call functions with the updates of an object's channels; return when the server has confirmed all of them.

        Where this raises or is cancelled, none of them is called any more.

        Args:
            name: of the object.
            handlers: channel to function of one argument, the value. It is called in the loop, and must not block.
            call_now: call each at once with the current value.

        Raises:
            RPCError: there is no such channel, or one is refused: this connection has as many as it may.
            TypeError: a handler is no plain function; coroutines have `subscribe`.
        """
        _, channels = self._opened()
        await channels.add({f"{name}.{each}": _listener(call, call_now) for each, call in handlers.items()})

    def remove_channel_handlers(self, name: str, *channels: str) -> None:
        """End what listens to these channels of an object; iterators, too."""
        for channel in channels:
            self._opened()[1].remove(f"{name}.{channel}")

    async def subscribe(
        self, channel: Any, /, *, on_gap: Callable[[Gap], Any] | None = None
    ) -> AsyncGenerator[tuple[Any, str], None]:
        """The updates of a channel: `async for value, at in rpc.subscribe("sample.a")`.

        A value channel begins with its current value. A loop that does not keep up with a value channel misses what
        lies between; of an event channel it is told by `on_gap` (and by the connection's) what it has missed.

        Args:
            channel: "sample.a", or a proxy.
            on_gap: called with each `Gap`, when the loop has had what was before it, and asks for the next update.

        Raises:
            RPCError: there is no such channel.
        """
        name = ".".join(names_in(channel))
        _, channels = self._opened()

        def told_of_gap(gap: Gap) -> None:
            if on_gap is not None:
                on_gap(gap)

        def lost_here(gap: Gap) -> None:
            if not channels.has_value(name):
                self._events.gap.emit(gap)
                told_of_gap(gap)

        inbox = Inbox(name, INBOX, told_of_gap, lost_here)
        listener = Listener(inbox.put, wants_current=True, on_gap=inbox.put_gap, on_end=inbox.end)
        try:
            await channels.add({name: listener})
            while (update := await inbox.get()) is not None:
                yield update
        finally:
            channels.remove(name, listener)

    # --- events -----------------------------------------------------------------------------------------------------

    def on_state(self, callback: Callable[[str, str], Any]) -> Callable[[], None]:
        """Call a function with each new state and its reason: connecting, connected, resumed, lost, closed.

        `lost` is a session that has ended, with what it had in flight; a new one follows.

        Returns:
            A function that ends it.
        """
        return self._events.state.add(callback)

    def on_error(self, callback: Callable[[BaseException, str], Any]) -> Callable[[], None]:
        """Call a function with trouble that no caller waits for, and what failed; it is logged, too."""
        return self._events.error.add(callback)

    def on_gap(self, callback: Callable[[Gap], Any]) -> Callable[[], None]:
        """Call a function with each gap of any event channel."""
        return self._events.gap.add(callback)

    def _notified(self, method: str, params: msgspec.Raw) -> None:
        _, channels = self._opened()
        if method == "rpc.update":
            channels.updated(params)
        elif method == "rpc.gap":
            channels.missed(params)
        # A newer server may tell more than this client knows of.


def _listener(call: Callable[[Any], Any], wants_current: bool) -> Listener:
    if not callable(call) or iscoroutinefunction(call):
        raise TypeError("a channel's handler is a plain function of the value; for coroutines there is rpc.subscribe")
    return Listener(lambda value, _: call(value), wants_current=wants_current)


def _checked_timeout(timeout_s: float | None) -> float | None:
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if timeout_s is not None and not (is_number and 0 < timeout_s <= MAX_TIMEOUT_S):
        raise ValueError(f"a time-out is a number of seconds above 0, not {timeout_s!r}")
    return timeout_s
