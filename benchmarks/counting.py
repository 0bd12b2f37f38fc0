"""`python -m benchmarks.counting`: what counting for metrics costs a worker, in its two threads together.

Each call has a stamp of its own, and they come in the order of their stamps, as one frontend's do. A frontend adds to
plain numbers only: it has no histogram that a call touches.
"""

import time
from collections.abc import Callable

from wispy.worker.calls import Call, Outcome
from wispy.worker.counts import ObjectCounts

MAX_START_DELAY_S = 3.0
CALLS = 4096
ROUNDS = 30
"""The quickest of them counts: whatever else ran on the machine only adds."""


def main() -> None:
    """Print a table."""
    print("calls that end together    us per call")
    for together in (1, 2, 8, 64):
        batches = [[_outcome(number) for number in range(together)] for _ in range(CALLS // together)]
        cost_s = min(_count(batches) for _ in range(ROUNDS)) - min(_look(batches) for _ in range(ROUNDS))
        print(f"{together:23} {cost_s / CALLS * 1e6:14.2f}")


def _outcome(number: int) -> Outcome:
    now = time.monotonic()
    sent = now - 0.02 + number * 1e-4
    return Outcome(Call("session", 1, "call", ("add",), start_by=sent + MAX_START_DELAY_S, started=now), b"1", False)


def _count(batches: list[list[Outcome]]) -> float:
    counts = ObjectCounts()

    def count(batch: list[Outcome]) -> None:
        counts.observe_turn(len(batch), 1e-5 * len(batch), 1e-5)
        counts.observe_ended(batch, MAX_START_DELAY_S)

    return _time(batches, count)


def _look(batches: list[list[Outcome]]) -> float:
    """What is no counting: one function is called for each batch."""
    return _time(batches, len)


def _time(batches: list[list[Outcome]], do: Callable[[list[Outcome]], object]) -> float:
    began = time.perf_counter()
    for batch in batches:
        do(batch)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
