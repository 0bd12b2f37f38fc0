"""The load generator's process: reads a job from standard input, does it, and writes its measure to standard output."""

import gc
import os
import resource
import sys

import msgspec
import uvloop

from benchmarks.calls import run_calls
from benchmarks.fanout import run_fanout
from benchmarks.idle import run_idle
from benchmarks.jobs import CallLoad, FanoutLoad, Job, Result


async def run(job: Job) -> Result:
    """Do the job."""
    match job.load:
        case CallLoad() as load:
            return await run_calls(job, load)
        case FanoutLoad() as load:
            return await run_fanout(job, load)
        case load:
            return await run_idle(job, load)


def main() -> None:
    """Place this process as the job says, and run it."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    if job.cpus:
        os.sched_setaffinity(0, job.cpus)
    raise_file_limit()
    gc.disable()  # a run is short, and a pause would be seen as the server's latency
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(job))))


def raise_file_limit() -> None:
    """Allow as many open sockets as the system lets us; the servers inherit it from the harness."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
