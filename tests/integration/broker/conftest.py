import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from wispy.broker.connection import Connection
from wispy.broker.dialer import Backoff
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.store import ObjectStore
from wispy.broker.subscriber import Subscriber
from wispy.config.redis_address import RedisAddress

# Tests break many links; none waits long for the next try.
QUICK = Backoff(minimum_s=0.01, base_s=0.02, cap_s=0.05)

OpenLink = Callable[..., Awaitable[Link]]
Hear = Callable[[str], Awaitable[list[Any]]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """All of these tests run on both loops: uvloop's transports differ in detail."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if sys.platform != "win32":
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture
async def open_link(valkey: EmbeddedServer) -> AsyncIterator[OpenLink]:
    """Start links that are stopped with the test; to `valkey` where no URL is given, and connected unless told."""
    links: list[Link] = []

    async def open_one(url: str | None = None, *, wait: bool = True, **settings: object) -> Link:
        settings = {"name": f"test-{len(links)}", "backoff": QUICK, **settings}
        link = Link(RedisAddress.parse(url or valkey.url), **settings)  # type: ignore[arg-type]
        links.append(link)
        await link.start()
        if wait:
            await asyncio.wait_for(link.wait_connected(), 10)
        return link

    yield open_one
    for link in links:
        await link.stop()


@pytest.fixture
async def link(open_link: OpenLink) -> Link:
    return await open_link()


@pytest.fixture
def store(link: Link) -> ObjectStore:
    """The store of an object "sample" that nobody has owned."""
    return ObjectStore(link, Keys().of("sample"))


@pytest.fixture
async def hear(link: Link, valkey: EmbeddedServer) -> AsyncIterator[Hear]:
    """Subscribe to a channel; the list that comes back fills with its messages, decoded from JSON."""
    subscriber = Subscriber(RedisAddress.parse(valkey.url), name="hear", command_link=link, backoff=QUICK)
    await subscriber.start()

    async def subscribe(channel: str) -> list[Any]:
        messages: list[Any] = []
        await subscriber.subscribe(channel, lambda payload: messages.append(json.loads(payload)))
        return messages

    yield subscribe
    await subscriber.stop()


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each write to a server, as they are written. (What reads them may get several at once.)"""
    sizes: list[int] = []
    write = Connection._write

    def note_and_write(connection: Connection, data: bytes) -> None:
        sizes.append(len(data))
        write(connection, data)

    monkeypatch.setattr(Connection, "_write", note_and_write)
    return sizes
