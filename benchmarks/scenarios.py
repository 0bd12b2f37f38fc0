"""What is measured: the contests between wispy and the baseline, and the runs that need an order of their own.

A contest gives both the same shape of load, in turns: baseline, entry, entry, ...; then all again, round after round. A
ratio is taken within a round, so that it compares neighbours in time.
"""

from dataclasses import dataclass, field

import msgspec

from benchmarks.jobs import CallLoad, FanoutLoad, Group

SUBSCRIBERS = 1000
IDLE_CONNECTIONS = 5000
UPDATES_PER_S = 20
CALLS_PER_S = 500
FLOOD = 4000

# Two batches are in flight at saturation, and what is in flight can share a write. Small ones say what a delivery costs
# where little can be shared; large ones, where much can. The baseline writes each update by itself, so its batches do
# not matter.
SMALL_BATCH = 4
LARGE_BATCH = 16
SATURATION = FanoutLoad(SUBSCRIBERS, batch=SMALL_BATCH)

# A shared object: its calls take a while, and there are more of them than all workers can run.
SHARING = (1, 2, 4)
SHARED_CALLS = {
    "each waits 5 ms": CallLoad("hello", [Group(16, 1)], "wait"),
    "each computes for 1 ms": CallLoad("hello", [Group(16, 1)], "compute"),
    "none takes any time": CallLoad("hello", [Group(64, 8)]),
}

SATURATED = {
    "64 connections, 1 in flight": CallLoad("hello", [Group(64, 1)]),
    "64 connections, 8 in flight": CallLoad("hello", [Group(64, 8)]),
}

# What two trees of the project are compared by.
COMPARED = {**SATURATED, f"{CALLS_PER_S} calls/s over 64 connections": CallLoad("hello", [Group(64, rate=CALLS_PER_S)])}

# What the checks cost: a call without any, beside one of a user who has logged in and needs a role, with arguments that
# are converted by their annotations, in entries that are sealed.
CHECKED = {
    title: (
        msgspec.structs.replace(load, method="add_unchecked"),
        msgspec.structs.replace(load, method="add_for_role"),
    )
    for title, load in SATURATED.items()
}

# Large updates: some seconds of them fill what the kernel and the frontend hold for a reader that reads nothing.
BESIDE_NONE = FanoutLoad(50, rate=100, length=10_000)
BESIDE_STALLED = FanoutLoad(50, rate=100, length=10_000, stalled=20)
STALLED_WARMUP_S = 5.0


@dataclass(frozen=True)
class Entry:
    """One load of wispy, and the ratio to the baseline's cost that the project has set itself, if it has."""

    title: str
    load: CallLoad | FanoutLoad
    target: float | None = None


@dataclass(frozen=True)
class Contest:
    """A baseline, and the entries compared with it."""

    scenario: str  # the word on the command line
    title: str
    baseline: CallLoad | FanoutLoad
    entries: list[Entry] = field(default_factory=list[Entry])

    @property
    def path(self) -> str:
        """Where the baseline serves it."""
        return "/echo" if isinstance(self.baseline, CallLoad) else "/broadcast"


def _calls(scenario: str, title: str, groups: list[Group], target: float | None, *, all_kinds: bool = False) -> Contest:
    entries = [
        Entry("add, session", CallLoad("hello", groups), target),
        Entry("add, plain JSON-RPC", CallLoad("plain", groups)),
    ]
    if all_kinds:
        entries += [
            Entry("async add, session", CallLoad("hello", groups, "add_async")),
            Entry("get, session", CallLoad("hello", groups, "get")),
        ]
    return Contest(scenario, title, CallLoad("echo", groups), entries)


def contests() -> list[Contest]:
    """All contests, in the order in which they run."""
    flood = [Group(1, FLOOD), Group(10, 1)]
    wide = [Group(64, 8)]
    return [
        _calls("calls", "1 connection, 1 in flight", [Group(1, 1)], None),
        _calls("calls", "1 connection, 8 in flight", [Group(1, 8)], None),
        _calls("calls", "64 connections, 1 in flight", [Group(64, 1)], 0.6, all_kinds=True),
        _calls("calls", "64 connections, 8 in flight", wide, 0.6, all_kinds=True),
        _calls(
            "rate", f"{CALLS_PER_S} calls/s over 64 connections", [Group(64, rate=CALLS_PER_S)], 2.5, all_kinds=True
        ),
        Contest(
            "fanout",
            f"{SUBSCRIBERS:,} subscribers, {UPDATES_PER_S} updates/s",
            FanoutLoad(SUBSCRIBERS, UPDATES_PER_S),
            [Entry("value channel", FanoutLoad(SUBSCRIBERS, UPDATES_PER_S), 0.4)],
        ),
        Contest(
            "fanout",
            f"{SUBSCRIBERS:,} subscribers, saturation",
            SATURATION,
            [
                Entry(f"value channel, batches of {SMALL_BATCH}", SATURATION, 0.15),
                Entry(f"value channel, batches of {LARGE_BATCH}", FanoutLoad(SUBSCRIBERS, batch=LARGE_BATCH)),
                Entry(f"event channel, batches of {SMALL_BATCH}", FanoutLoad(SUBSCRIBERS, 0, SMALL_BATCH, "event")),
            ],
        ),
        Contest(
            "fairness",
            "64 connections, 8 in flight, fairness",
            CallLoad("echo", wide),
            [Entry("add, session", CallLoad("hello", wide))],
        ),
        Contest(
            "fairness",
            f"10 connections with 1 call beside one with {FLOOD:,}",
            CallLoad("echo", flood),
            [Entry("add, session", CallLoad("hello", flood))],
        ),
    ]
