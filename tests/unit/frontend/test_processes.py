"""The end of a frontend's processes, with children that cost nothing; real ones are in tests/integration/stack."""

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

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
