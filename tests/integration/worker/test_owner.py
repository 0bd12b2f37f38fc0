"""How an owner comes by its object, and leaves it, on a real server."""

import asyncio
from typing import Any

import pytest

from tests.support.waiting import wait_until
from wispy.broker.deployment import Deployment
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.shared_store import SharedStore
from wispy.broker.store import Acquired, ObjectStore
from wispy.config.schema import Config, LeaseConfig, RedisConfig
from wispy.config.units import Seconds
from wispy.worker import shared_owner
from wispy.worker.owner import Owner
from wispy.worker.shared_owner import SharedOwner
from wispy.worker.source import ObjectSource
from wispy.worker.stage import Stage


class Gate:
    """Where an owner waits between Redis' yes and what it does about it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def pass_through(self) -> None:
        self.reached.set()
        await self.open.wait()


@pytest.mark.parametrize("kind", [Owner, SharedOwner])
async def test_one_that_is_asked_to_end_while_it_acquires_gives_the_lease_back(
    valkey: EmbeddedServer, kind: type[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(redis=RedisConfig(url=valkey.url))
    gate, made = Gate(), list[str]()

    class GatedStore(ObjectStore):
        async def acquire(self, *args: Any, **kwargs: Any) -> Acquired | None:
            acquired = await super().acquire(*args, **kwargs)
            await gate.pass_through()
            return acquired

    class GatedSharedStore(SharedStore):
        async def join(self, *args: Any, **kwargs: Any) -> Any:
            joined = await super().join(*args, **kwargs)
            await gate.pass_through()
            return joined

    def make() -> object:
        made.append("lamp")
        return object()

    monkeypatch.setattr(shared_owner, "SharedStore", GatedSharedStore)
    deployment = Deployment(config.redis)
    commands = deployment.commands("worker")
    await commands.start()
    try:
        stage = Stage(ObjectSource("lamp", make, is_instance=False), config, asyncio.get_running_loop())
        owner = kind(stage, deployment, commands, config)
        store = owner._store = GatedStore(commands, deployment.keys.of("lamp"))
        running = asyncio.create_task(owner.run())
        await gate.reached.wait()
        await owner.release(1.0)
        gate.open.set()
        await asyncio.wait_for(running, 10)
        assert not made
        if kind is Owner:
            await wait_until(lambda: is_released(store), "the next owner need not wait")
        else:
            assert await commands.call("ZCARD", deployment.keys.of("lamp").workers) == 0
    finally:
        await commands.stop()


async def is_released(store: ObjectStore) -> bool:
    record = await store.read_record()
    return record is not None and record.released


@pytest.mark.parametrize("kind", [Owner, SharedOwner])
async def test_a_fault_while_it_serves_ends_that_tenure_and_begins_another(
    valkey: EmbeddedServer, kind: type[Owner], caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of the renewals or the beats: else it would go on as an owner that is none."""
    config = Config(redis=RedisConfig(url=valkey.url), lease=LeaseConfig(duration=Seconds(3)))
    deployment = Deployment(config.redis)
    commands = deployment.commands("worker")
    await commands.start()
    try:
        stage = Stage(ObjectSource("lamp", object, is_instance=False), config, asyncio.get_running_loop())
        owner = kind(stage, deployment, commands, config)
        running = asyncio.create_task(owner.run())
        await wait_until(lambda: owner.is_serving, "it serves")
        tenure: Any = owner._tenure

        def fail() -> None:
            raise RuntimeError("a fault")

        tenure._desk.resend = fail
        await wait_until(lambda: "serving it failed, trying again" in caplog.text, "it is told")
        await wait_until(lambda: owner.is_serving and owner._tenure is not tenure, "it serves again")
        await owner.release(1.0)
        await asyncio.wait_for(running, 10)
    finally:
        await commands.stop()
