import time

import pytest

from tests.integration.broker.conftest import OpenLink
from wispy.broker.directory import ObjectDirectory
from wispy.broker.errors import LinkDown
from wispy.broker.keys import OBJECT_TTL_MS, Keys
from wispy.broker.link import Link


async def test_names_what_was_announced_until_it_is_withdrawn(link: Link) -> None:
    directory = ObjectDirectory(link, Keys())
    assert await directory.names() == []
    await directory.announce("sample")
    await directory.announce("pump")
    assert await directory.names() == ["pump", "sample"]
    await directory.withdraw("pump")
    assert await directory.names() == ["sample"]


async def test_names_that_nobody_announces_any_more_go(link: Link) -> None:
    keys = Keys()
    directory = ObjectDirectory(link, keys)
    assert link.server is not None
    now_ms = link.server.now_ms(time.monotonic())
    await link.call("ZADD", keys.objects, now_ms - OBJECT_TTL_MS - 1000, "ancient", now_ms - 60_000, "recent")
    assert await directory.names(within_ms=30_000) == []
    await directory.announce("sample")
    assert await link.call("ZRANGE", keys.objects, 0, -1) == [b"recent", b"sample"]
    assert await link.call("PTTL", keys.objects) > 0


async def test_needs_a_connection(open_link: OpenLink) -> None:
    directory = ObjectDirectory(await open_link("unix:///nowhere/s", wait=False), Keys())
    with pytest.raises(LinkDown):
        await directory.names()
