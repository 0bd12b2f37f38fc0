"""The load of calls: connections that keep calls in flight, or start them at a steady rate."""

import asyncio
import time
from collections import Counter

from benchmarks.client import Client, open_all
from benchmarks.jobs import CallLoad, Group, Job, Measure
from benchmarks.window import Tally, measure_window
from benchmarks.wire import REPLY_DECODER, Requests, frame

# How long the last answers may take once the load has ended; what is missing then is reported as an error.
DRAIN_S = 10
DRAIN_POLL_S = 0.02


class Caller(Client):
    """A connection that checks the answer to each of its calls and, until told to stop, sends the next one for each."""

    def __init__(self, index: int, requests: Requests, tally: Tally, errors: Counter[str]) -> None:
        super().__init__()
        self._index = index  # in its group
        self._requests = requests
        self._tally = tally
        self._errors = errors
        self._sent: dict[int, tuple[float, bytes | int]] = {}  # id -> when, and the right answer; oldest first
        self._number = 0  # the last id
        self._due: list[bytes] = []  # frames to be written at the end of this read
        self.calling = False
        self.refill = True  # send the next call for each answer

    @property
    def unanswered(self) -> int:
        return len(self._sent)

    def start(self, calls: int) -> None:
        """Begin, with so many calls in flight."""
        self.calling = True
        now = time.monotonic()
        for _ in range(calls):
            self._call(now)
        self._flush()

    def call_at(self, due_s: float) -> None:
        """Send one call; its latency counts from when it was due, so that a late generator hides nothing."""
        self._call(due_s)
        self._flush()

    def _call(self, now: float) -> None:
        self._number += 1
        number = self._number
        ack = next(iter(self._sent), number) - 1
        payload, answer = self._requests.make(number, ack, int(now * 1000 + self.clock_offset_ms))
        self._sent[number] = now, answer
        self._due.append(frame(payload))

    def _flush(self) -> None:
        if self._due:
            self.send_frames(b"".join(self._due))
            self._due.clear()

    def message_received(self, payload: bytes, last_of_read: bool) -> None:
        if not self.calling:
            super().message_received(payload, last_of_read)
            return
        now = time.monotonic()
        self._check(payload, now)
        if self.refill:
            self._call(now)
        if last_of_read:
            self._flush()

    def _check(self, payload: bytes, now: float) -> None:
        reply = REPLY_DECODER.decode(payload)
        sent = self._sent.pop(reply.id, None) if reply.id is not None else None
        if sent is None:
            self._errors["an answer to no call"] += 1
            return
        when, answer = sent
        if reply.error is not None:
            self._errors[f"error {reply.error.get('code')}"] += 1
        elif answer != (payload if isinstance(answer, bytes) else reply.result):
            self._errors["a wrong answer"] += 1
        else:
            self._tally.latencies_s.append(now - when)
            self._tally.by_connection[self._index] += 1


async def run_calls(job: Job, load: CallLoad) -> Measure:
    """Run the whole load; every call must be answered in the end."""
    errors: Counter[str] = Counter()
    tallies = [Tally(group.connections) for group in load.groups]
    groups = [
        [Caller(index, Requests(load.dialect, load.method), tally, errors) for index in range(group.connections)]
        for group, tally in zip(load.groups, tallies, strict=True)
    ]
    callers = [caller for group in groups for caller in group]
    await open_all(callers, job.url)
    if load.dialect == "hello":
        await asyncio.gather(*(caller.greet(job.token) for caller in callers))
    pacers = [_start(group, members) for group, members in zip(load.groups, groups, strict=True)]
    measure = await measure_window(job, tallies, errors)
    await _stop(callers, [pacer for pacer in pacers if pacer is not None], errors)
    return measure


def _start(group: Group, members: list[Caller]) -> asyncio.Task[None] | None:
    for caller in members:
        caller.refill = not group.rate
        caller.start(0 if group.rate else group.in_flight)
    return asyncio.create_task(_pace(group.rate, members)) if group.rate else None


async def _pace(rate: float, members: list[Caller]) -> None:
    """Start calls evenly spaced, on one connection after the other, whether or not earlier ones are answered."""
    start = time.monotonic()
    turn = 0
    while True:
        due = start + turn / rate
        delay = due - time.monotonic()
        if delay > 0:
            await asyncio.sleep(delay)
        members[turn % len(members)].call_at(due)
        turn += 1


async def _stop(callers: list[Caller], pacers: list[asyncio.Task[None]], errors: Counter[str]) -> None:
    for pacer in pacers:
        if pacer.done():
            pacer.result()
        pacer.cancel()
    for caller in callers:
        caller.refill = False
    await _drained(callers)
    for caller in callers:
        if caller.closed is not None:
            errors[caller.closed] += 1
        if caller.unanswered:
            errors["a call never answered"] += caller.unanswered
        caller.close()


async def _drained(callers: list[Caller]) -> None:
    """Wait until all is answered, or nothing more is to be expected."""
    for _ in range(round(DRAIN_S / DRAIN_POLL_S)):
        if not any(caller.unanswered for caller in callers):
            return
        await asyncio.sleep(DRAIN_POLL_S)
