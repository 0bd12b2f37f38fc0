"""The end of a frontend's processes, with children that cost nothing; real ones are in tests/integration/stack."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.waiting import wait_until
from wispy.frontend import processes


def start(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)


async def test_the_end_of_each_child_is_noticed_however_few_threads_there_are() -> None:
    """There may be more children than the loop has threads, which are few on a small machine."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    stop = asyncio.Event()
    first, second = start("input()"), start("")
    waiting = [asyncio.create_task(processes._wait_or_stop(child, stop)) for child in (first, second)]
    await wait_until(waiting[1].done, "the end of the second child is noticed")
    assert not waiting[0].done()
    stop.set()
    await asyncio.gather(*waiting)
    assert first.returncode is not None


async def test_a_child_whose_end_cannot_be_noticed_is_no_child() -> None:
    """Else another one would be started beside it, or all would end."""
    child = start("input()")
    former = threading.stack_size(1 << 50)  # more than there are addresses: no thread can be started
    try:
        with pytest.raises(BlockingIOError, match="can't start new thread"):
            await processes._wait_or_stop(child, asyncio.Event())
    finally:
        threading.stack_size(former)
    assert child.wait(10) != 0
