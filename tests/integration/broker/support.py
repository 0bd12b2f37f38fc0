"""Helpers for the tests of the scripts."""

import asyncio
from collections.abc import Sequence
from typing import Any

from wispy.broker.errors import BrokerError
from wispy.broker.link import Link
from wispy.broker.store import Acquired, ObjectStore, Update


async def own(store: ObjectStore, *, nonce: str = "a1", lease_ms: int = 60_000) -> Acquired:
    """Take the lease, whoever has it; by itself it does not end within a test."""
    acquired = await store.acquire(await store.read_record(), nonce=nonce, lease_ms=lease_ms, holder="a test")
    assert acquired is not None
    return acquired


async def finish(
    store: ObjectStore,
    epoch: str,
    *,
    log: Sequence[tuple[str, bytes]] = (),
    forget: Sequence[str] = (),
    entries: Sequence[str] = (),
    messages: Sequence[tuple[str, str, bytes]] = (),
) -> bool | BrokerError:
    outcome: asyncio.Future[bool | BrokerError] = asyncio.get_running_loop().create_future()
    store.finish(epoch, log=log, forget=forget, entries=entries, messages=messages, on_reply=outcome.set_result)
    return await outcome


async def publish(store: ObjectStore, epoch: str, *updates: Update) -> bool | BrokerError:
    outcome: asyncio.Future[bool | BrokerError] = asyncio.get_running_loop().create_future()
    store.publish(epoch, updates, outcome.set_result)
    return await outcome


async def add_entry(link: Link, store: ObjectStore, entry: bytes = b"entry") -> str:
    entry_id: bytes = await link.call("XADD", store.keys.requests, "NOMKSTREAM", "*", "e", entry)
    return entry_id.decode()


async def read_entries(
    link: Link, store: ObjectStore, group: str, *, block_ms: int = 1, count: int = 1000
) -> list[str]:
    """The ids of all entries beyond the cursor, of at most `count`."""
    reply: list[Any] | None = await link.call(
        "XREADGROUP", "GROUP", group, "owner", "COUNT", count, "BLOCK", block_ms, "NOACK",
        "STREAMS", store.keys.requests, ">",
    )  # fmt: skip
    return [entry_id.decode() for entry_id, _ in reply[0][1]] if reply else []


async def fill_memory(link: Link) -> None:
    """Make the server refuse everything that takes memory. `free_memory` ends it."""
    await link.call("CONFIG", "SET", "maxmemory", 1)


async def free_memory(link: Link) -> None:
    await link.call("CONFIG", "SET", "maxmemory", 0)
