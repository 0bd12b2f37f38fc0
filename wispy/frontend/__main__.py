"""`python -m wispy.frontend --child`: one frontend process, started by the parent that listens (see `processes`)."""

import asyncio
import os
import signal
import sys
import threading
import time
from typing import Final

from wispy import log
from wispy.frontend.kin import Kin
from wispy.frontend.processes import inherit
from wispy.frontend.server import serve
from wispy.loops import calm_garbage_collector, new_event_loop
from wispy.surroundings import outlive_readers

ORPHAN_S: Final = 2.0
"""How long a process whose parent is gone may take to end: whoever kills the parent does not wait for a drain."""


async def _run(line: bytes) -> None:
    given, sockets, to_parent = inherit(line)
    log.configure(given.config.logging_config, given.config.audit)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def watch_parent() -> None:
        sys.stdin.buffer.read()  # ends with the parent
        loop.call_soon_threadsafe(stop.set)
        time.sleep(ORPHAN_S)
        os._exit(1)

    threading.Thread(target=watch_parent, name="wispy-parent-watch", daemon=True).start()
    calm_garbage_collector()
    kin = Kin()
    talking = asyncio.create_task(kin.run(to_parent), name="metrics")
    try:
        await serve(given.config, sockets, stop, kin, given.name)
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


def main() -> int:
    """Serve until the parent says otherwise, or is gone."""
    if sys.argv[1:] != ["--child"]:
        sys.stderr.write("this is the inside of wispy-frontend: use that command\n")
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    outlive_readers()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_run(sys.stdin.buffer.readline()))
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Not sys.exit: that would wait for the thread that is blocked in its read.
    os._exit(status)
