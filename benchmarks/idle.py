"""The load of doing nothing: connections that were opened and greeted, and their memory in the server."""

import asyncio
import time

from benchmarks.client import Client, open_all
from benchmarks.jobs import IdleLoad, IdleMeasure, Job
from benchmarks.processes import cpu_of, cpu_since, resident_of

# Opened and closed before the first look, so that what a server sets up once is not charged to its connections.
FIRST_CONNECTIONS = 200


async def run_idle(job: Job, load: IdleLoad) -> IdleMeasure:
    """Open the connections, let the servers settle for the warm-up time, and look at memory, then at CPU time."""
    for client in await _open(FIRST_CONNECTIONS, job, load):
        client.close()
    await asyncio.sleep(job.warmup_s)
    before = resident_of(job.watch)
    clients = await _open(load.connections, job, load)
    await asyncio.sleep(job.warmup_s)
    grown = resident_of(job.watch)
    start, cpu = time.monotonic(), cpu_of(job.watch)
    await asyncio.sleep(job.seconds)
    used = cpu_since(job.watch, cpu)
    elapsed = time.monotonic() - start
    lost = sum(client.closed is not None for client in clients)
    if lost:
        raise RuntimeError(f"{lost} of {load.connections} idle connections were closed")
    for client in clients:
        client.close()
    return IdleMeasure(
        connections=load.connections,
        bytes_per_connection={role: (grown[role] - before[role]) / load.connections for role in grown},
        cpu_share=sum(sum(seconds) for seconds in used.values()) / elapsed,
    )


async def _open(count: int, job: Job, load: IdleLoad) -> list[Client]:
    clients = [Client() for _ in range(count)]
    await open_all(clients, job.url)
    await asyncio.gather(*(client.greet() for client in clients))
    return clients
