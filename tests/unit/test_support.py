"""The checks that every test relies on do find what is left behind."""

import asyncio
import socket
import subprocess
import sys

import pytest
import redis

from tests.support.leaks import ProcessLeaks, clients, keys_without_end, unfinished_tasks
from tests.support.waiting import wait_until, wait_until_blocking
from wispy.broker.embedded import EmbeddedServer


def test_finds_a_socket_and_a_child_process() -> None:
    leaks = ProcessLeaks()
    assert leaks.find() == ""
    with socket.socket():
        assert "socket:" in leaks.find()
    assert leaks.find() == ""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert str(child.pid) in leaks.find()
        child.kill()
    assert leaks.find() == ""


async def test_finds_a_task_that_still_runs() -> None:
    loop = asyncio.get_running_loop()
    before = unfinished_tasks(loop)
    task = asyncio.create_task(asyncio.sleep(60))
    assert unfinished_tasks(loop) - before == {task}
    task.cancel()
    await wait_until(lambda: unfinished_tasks(loop) == before, "the task has ended")


def test_finds_a_key_without_a_time_to_live(valkey: EmbeddedServer) -> None:
    path = valkey.url.removeprefix("unix://")
    with redis.Redis(unix_socket_path=path, protocol=2) as client:
        client.set("ends", 1, ex=60)
        client.set("lasts", 1)
        assert keys_without_end(path) == ["lasts"]
        client.delete("lasts")


def test_finds_a_client_that_is_connected(valkey: EmbeddedServer) -> None:
    path = valkey.url.removeprefix("unix://")
    with redis.Redis(unix_socket_path=path, protocol=2, client_name="left-behind") as client:
        client.ping()
        assert clients(path) == ["left-behind: ping"]
    wait_until_blocking(lambda: clients(path) == [], "it is gone")


async def test_waiting_says_for_what() -> None:
    with pytest.raises(AssertionError, match=r"not within 0.01 s: the moon is full"):
        await wait_until(lambda: False, "the moon is full", timeout_s=0.01)
    with pytest.raises(AssertionError, match=r"not within 0.01 s: 3 cows"):
        wait_until_blocking(lambda: False, lambda: f"{3} cows", timeout_s=0.01)
