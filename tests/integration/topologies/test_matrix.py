"""What wispy promises, on each Redis that it may be given: tests of the stack that must pass everywhere, and more."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stack.test_channels import (
    other,
    test_a_subscriber_gets_the_value_and_then_each_update_in_order,
    test_a_subscription_goes_on_where_a_former_one_stopped,
    test_an_update_precedes_the_reply_of_the_call_that_made_it,
    test_events_reach_all_who_listen,
    test_several_channels_and_unknown_ones_in_one_subscription,
)
from tests.integration.stack.test_requests import (
    ask,
    test_attributes_are_read_set_and_deleted,
    test_calls_take_arguments_by_place_and_by_name,
    test_large_values_travel,
    test_requests_of_one_connection_start_in_order,
)
from tests.integration.stack.test_sessions import test_a_running_call_is_answered_at_the_other_frontend
from tests.integration.stack.test_shared import clients
from tests.integration.stack.test_shared import load as shared_load
from tests.integration.topologies.conftest import BOOKS, check_keys, start_stack
from tests.support.books import Books
from tests.support.deployment import FAILOVER_S
from tests.support.roamer import Roamer
from tests.support.rpc_client import Client
from tests.support.stack import Frontend, Stack
from tests.support.topologies import FAILING_OVER, Starter
from tests.support.waiting import wait_until

__all__ = [
    "ask",
    "other",
    "test_a_running_call_is_answered_at_the_other_frontend",
    "test_a_subscriber_gets_the_value_and_then_each_update_in_order",
    "test_a_subscription_goes_on_where_a_former_one_stopped",
    "test_an_update_precedes_the_reply_of_the_call_that_made_it",
    "test_attributes_are_read_set_and_deleted",
    "test_calls_take_arguments_by_place_and_by_name",
    "test_events_reach_all_who_listen",
    "test_large_values_travel",
    "test_requests_of_one_connection_start_in_order",
    "test_several_channels_and_unknown_ones_in_one_subscription",
]

CALLS = 10
"""Results that show that calls run."""

LEDGER = "ledger=stateless:Ledger"
SHARED: dict[str, Any] = {"shared": "true"}

HEIRS = tuple(f"heir{number}=served:Books" for number in range(3))
"""Objects for a test of its own workers."""


def names(objects: Sequence[str]) -> list[str]:
    return [each.partition("=")[0] for each in objects]


async def test_all_objects_are_found(client: Client, frontend: Frontend) -> None:
    channels = await client.call("rpc.channels", {})
    assert {f"{name}.newest" for name in names(BOOKS)} | {"sample.a"} <= set(channels)
    methods = {method["name"] for method in (await client.call("rpc.discover"))["methods"]}
    assert {f"{name}.note" for name in names(BOOKS)} | {"sample.test_sum"} <= methods


@asynccontextmanager
async def load(frontend: Frontend, objects: Sequence[str], folder: Path) -> AsyncIterator[list[Books]]:
    """Calls to all objects of a session and a plain client; at the end they run again, and the books balance."""
    async with AsyncExitStack() as stack:
        client, plain = [await stack.enter_async_context(Client(frontend.websocket_url)) for _ in range(2)]
        await client.hello()
        await plain.subscribe(*[f"{name}.newest" for name in names(objects)])
        books = {
            name: Books(folder / name, client, plain, parallel=2, method=f"{name}.note") for name in names(objects)
        }
        async with AsyncExitStack() as loads:
            for each in books.values():
                await loads.enter_async_context(each)
            await all_run(books.values())
            yield list(books.values())
            await all_run(books.values())
        for name, each in books.items():
            each.check()
            await plain.wait_for_update(f"{name}.newest", (folder / name).read_text().split()[-1])


async def all_run(books: Iterable[Books]) -> None:
    await asyncio.gather(*[each.wait_for_more(CALLS) for each in books])


async def test_an_owner_that_ends_hands_over_and_one_that_is_killed_is_replaced(
    shared_stack: Stack, frontend: Frontend, tmp_path: Path
) -> None:
    # The first is not held for dead on a busy machine: nothing is to be in doubt.
    first = shared_stack.worker(*HEIRS, **{"lease.duration": "10s"})  # pyright: ignore[reportArgumentType] # it is a setting's name
    second = shared_stack.standby(*HEIRS)
    async with load(frontend, HEIRS, tmp_path) as books:
        await asyncio.to_thread(first.stop)
        await wait_until(lambda: second.output.count("is served here") >= len(HEIRS), "the standby serves")
        await all_run(books)
        assert not [each.executed("maybe") for each in books if each.executed("maybe")], "nothing is in doubt"
        third = await asyncio.to_thread(shared_stack.standby, *HEIRS)
        second.kill()
        await wait_until(lambda: third.output.count("is served here") >= len(HEIRS), "the next one serves")
        assert "cannot be read" not in frontend.output, "what an owner declares is asked of the node that has it"
    third.stop()
    for service in (first, second, third):
        shared_stack.services.remove(service)
        assert "Traceback" not in service.output


async def test_of_workers_that_share_an_object_one_ends_and_one_is_killed(shared_stack: Stack, tmp_path: Path) -> None:
    ending, victim, last = workers = [shared_stack.worker(LEDGER, **SHARED) for _ in range(3)]
    pids = {worker.pid for worker in workers}
    async with clients(shared_stack) as pair, shared_load(pair, tmp_path, 0.005) as books:
        await wait_until(
            lambda: {answer.get("result") for answer in books.answers.values()} >= pids, "each has a share"
        )
        assert await asyncio.to_thread(ending.stop) == 0
        await books.wait_for_more()
        victim.kill()
    last.stop()
    for worker in workers:
        shared_stack.services.remove(worker)
        assert "Traceback" not in worker.output


async def test_nothing_runs_twice_when_a_frontend_is_killed(
    shared_stack: Stack, frontend: Frontend, tmp_path: Path
) -> None:
    victim = shared_stack.frontend()
    answered: list[str] = []

    async def call(roamer: Roamer, name: str, caller: int) -> None:
        for number in range(20):
            key = f"{caller}-{number}"
            assert await roamer.call(f"{name}.note_slowly", str(tmp_path / name), key, 0.005) == key
            answered.append(key)

    async with Roamer([victim.websocket_url, frontend.websocket_url]) as roamer:
        calls = [asyncio.create_task(call(roamer, name, caller)) for name in names(BOOKS) for caller in range(3)]
        await wait_until(lambda: len(answered) > 30, "calls run")
        victim.kill()
        shared_stack.services.remove(victim)
        await asyncio.gather(*calls)
    assert roamer.hellos[-1]["resumed"]
    assert roamer.retries, "some were in flight"
    for name in names(BOOKS):
        runs = (tmp_path / name).read_text().split()
        assert len(runs) == len(set(runs)) == 60, "each ran once"


@pytest.mark.parametrize("start", FAILING_OVER.values(), ids=FAILING_OVER)
async def test_a_failover_keeps_the_books(
    start: Starter, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    with start(tmp_path_factory.mktemp("redis")) as topology:
        stack = start_stack(topology, tmp_path_factory.mktemp("logs"))
        try:
            workers = [stack.worker(*BOOKS), *[stack.worker(LEDGER, **SHARED) for _ in range(2)]]
            frontend = stack.frontend()
            async with (
                load(frontend, BOOKS, tmp_path) as books,
                clients(stack) as pair,
                shared_load(pair, tmp_path, 0.005) as shared_books,
            ):
                assert topology.fail_over is not None
                await asyncio.to_thread(topology.fail_over)
                for each in (*books, shared_books):
                    count = each.results + CALLS
                    await wait_until(lambda each=each, count=count: each.results > count, "calls run", FAILOVER_S)
            assert any(each.executed("maybe") or each.executed("no") for each in books), "the load noticed"
        finally:
            stack.close()
        check_keys(topology, stack)
        for service in (*workers, frontend):
            assert "Traceback" not in service.output
