"""The rights that the reference page asks for are enough for all that wispy does."""

import re
from pathlib import Path

from tests.integration.broker.conftest import QUICK
from tests.integration.broker.support import add_entry, finish, own, publish, read_entries
from tests.support.waiting import wait_until
from wispy.broker.address import RedisAddress
from wispy.broker.directory import ObjectDirectory
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.store import ObjectStore, Update
from wispy.broker.subscriber import Subscriber

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "redis-schema.md"


async def test_the_documented_rights_suffice(valkey: EmbeddedServer, link: Link) -> None:
    rights = re.search(r"`(\+@hash [^`]*)`", PAGE.read_text("utf-8"))
    assert rights is not None
    await link.call("ACL", "SETUSER", "narrow", "on", ">pw", "~wispy:*", "&wispy:*", *rights[1].split())
    address = RedisAddress.parse(valkey.url, user="narrow", password="pw")
    narrow = Link(address, name="narrow", backoff=QUICK)
    subscriber = Subscriber(address, name="narrow", command_link=narrow, backoff=QUICK)
    await narrow.start()
    await subscriber.start()
    await narrow.wait_connected()
    store = ObjectStore(narrow, Keys().of("sample"))
    heard: list[bytes] = []
    await subscriber.subscribe(store.keys.updates("a"), heard.append)

    acquired = await own(store)
    assert await store.renew(acquired.epoch, [], store.keys.lasting(["a"]))
    assert await store.declare(acquired.epoch, {"a": b"{}"}, ["b"])
    assert await store.write_interface(acquired.epoch, b"{}")
    assert await publish(store, acquired.epoch, Update("a", 1, b"1", True, 5)) is True
    assert await store.snapshot("a")
    assert await store.history("a", 0, 1)
    entry = await add_entry(narrow, store)
    assert await read_entries(narrow, store, acquired.group) == [entry]
    assert await store.delivered_unfinished(entry)
    assert await narrow.call("SET", store.keys.body("s1", 1), b"large", "PX", 60_000) == b"OK"
    assert await narrow.call("GET", store.keys.body("s1", 1)) == b"large"
    outcome = await finish(
        store, acquired.epoch, log=[("s1:1", b"x")], entries=[entry], messages=[("wispy:r", "1", b"1")]
    )
    assert outcome is True
    assert await store.read_log()
    assert await store.withdraw(await add_entry(narrow, store))
    assert await store.rejoin(acquired.epoch, entry)
    assert await store.release(acquired.epoch, entry)
    directory = ObjectDirectory(narrow, Keys())
    await directory.announce("sample")
    assert await directory.names() == ["sample"]
    await directory.withdraw("sample")
    await wait_until(lambda: heard and not subscriber.deaf, "the subscriber hears")
    await subscriber.stop()
    await narrow.stop()
    await link.call("ACL", "DELUSER", "narrow")
