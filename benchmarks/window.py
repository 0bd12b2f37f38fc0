"""The measured window of one run: what was done within it, how fast, and what it cost the servers."""

import asyncio
import time
from array import array
from collections import Counter

from benchmarks.jobs import GroupMeasure, Job, Measure
from benchmarks.processes import cpu_of, cpu_since


class Tally:
    """What one group of connections did within the window."""

    def __init__(self, connections: int) -> None:
        self.latencies_s = array("d")  # one an operation
        self.by_connection = [0] * connections

    def clear(self) -> None:
        """Forget what was counted, as the window opens."""
        del self.latencies_s[:]
        self.by_connection[:] = [0] * len(self.by_connection)

    def measure(self) -> GroupMeasure:
        """Sum it up."""
        ordered = sorted(self.latencies_s)
        return GroupMeasure(
            operations=len(ordered),
            p50_ms=_quantile_ms(ordered, 0.5),
            p99_ms=_quantile_ms(ordered, 0.99),
            least_of_a_connection=min(self.by_connection),
            mean_of_a_connection=sum(self.by_connection) / len(self.by_connection),
        )


def _quantile_ms(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0


async def measure_window(job: Job, tallies: list[Tally], errors: Counter[str]) -> Measure:
    """Let the load run warm, then count for the job's seconds. Errors count from the start: none is ever right."""
    await asyncio.sleep(job.warmup_s)
    for tally in tallies:
        tally.clear()
    start, own, before = time.monotonic(), time.process_time(), cpu_of(job.watch)
    await asyncio.sleep(job.seconds)
    cpu_s = cpu_since(job.watch, before)
    return Measure(
        seconds=time.monotonic() - start,
        generator_cpu_s=time.process_time() - own,
        cpu_s=cpu_s,
        groups=[tally.measure() for tally in tallies],
        errors=errors,
    )
