import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from wispy.broker.address import RedisAddress
from wispy.broker.dialer import Backoff
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.link import Link

# Tests break many links; none waits long for the next try.
QUICK = Backoff(minimum_s=0.01, base_s=0.02, cap_s=0.05)

OpenLink = Callable[..., Awaitable[Link]]


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
