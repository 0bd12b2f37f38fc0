import asyncio

import pytest

from tests.integration.broker.support import own, publish
from wispy.broker.connection import Argument, OnReply
from wispy.broker.errors import BrokerError
from wispy.broker.link import Link
from wispy.broker.script import Script
from wispy.broker.store import ObjectStore, Update


async def test_is_sent_whole_once_per_connection(
    store: ObjectStore, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquired = await own(store)
    sent: list[object] = []
    send = link.send

    def note(command: tuple[Argument, ...], on_reply: OnReply, *, will_flush: bool) -> None:
        sent.append(command[0])
        send(command, on_reply, will_flush=will_flush)

    monkeypatch.setattr(link, "send", note)
    for _ in range(3):
        assert await store.renew(acquired.epoch, [])
    assert sent == ["EVAL", "EVALSHA", "EVALSHA"]
    await ObjectStore(link, store.keys).renew(acquired.epoch, [])
    assert sent[3:] == ["EVALSHA"], "whoever it is that uses it"


async def test_a_flushed_script_is_sent_whole_again_and_in_order(store: ObjectStore, link: Link) -> None:
    acquired = await own(store)
    assert await publish(store, acquired.epoch, Update("e", 1, b"1", False, 100)) is True
    await link.call("SCRIPT", "FLUSH")
    updates = [Update("e", offset, b"0", False, 100) for offset in range(2, 40)]
    outcomes = await asyncio.gather(*(publish(store, acquired.epoch, update) for update in updates))
    assert outcomes == [True] * len(updates)
    assert [row.offset for row in await store.history("e", 0, 99)] == list(range(1, 40))


@pytest.mark.parametrize(
    "name",
    ["acquire", "renew", "reopen", "finish", "publish", "declare", "write_interface", "snapshot", "withdraw"],
)
async def test_every_script_is_accepted_by_the_server(link: Link, name: str) -> None:
    script = Script(link, name)
    text, sha1 = script._text, script._hash
    assert await link.call("SCRIPT", "LOAD", text) == sha1.encode()


async def test_errors_of_a_script_are_raised(link: Link) -> None:
    with pytest.raises(BrokerError):
        await Script(link, "withdraw").run(["wispy:{sample}:requests"], "no id")
