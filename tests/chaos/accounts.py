"""The books of a chaos run: what was asked, what ran, what was answered; what was published and what arrived.

Rules: a result, or an error that says `executed: yes`, is exactly one execution; `no` is none; `maybe` is at most one.
Updates of one lease arrive rising, none twice; once a later lease's are seen, none of an earlier one comes; events
that are missing were said to be missing. At the end each subscriber is at the object's own value.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LOSSY = ("fail_over", "drop_packets")
"""Faults by which Redis loses what was not replicated: both end in a failover."""

MAX_SHOWN = 20
"""Violations that are printed: the first ones tell, the others repeat."""


@dataclass
class Requests:
    """Each request by its key, which no other has."""

    said: dict[str, str] = field(default_factory=dict[str, str])
    """Key to what the answer says: yes, no or maybe; "" before there is one."""
    codes: Counter[str] = field(default_factory=Counter[str])
    """Answers by kind."""

    def sent(self, key: str) -> None:
        self.said[key] = ""

    def answered(self, key: str, said: str, kind: str) -> None:
        self.said[key] = said
        self.codes[kind] += 1

    def violations(self, runs: Counter[str]) -> list[str]:
        """What contradicts the executions, which the object counted."""
        possible = {"yes": (1,), "no": (0,), "maybe": (0, 1)}
        found = [f"{key} has no answer" for key, said in self.said.items() if said not in possible]
        found += [f"{key} ran {count} times" for key, count in runs.items() if count > 1]
        found += [f"{key} ran, and nobody asked for it" for key in runs if key not in self.said]
        for key, said in self.said.items():
            if said in possible and runs[key] < 2 and runs[key] not in possible[said]:
                found.append(f"{key} ran {runs[key]} times, and was answered executed: {said}")
        return found


class Subscriber:
    """What one subscriber of one channel has seen.

    Args:
        name: for the report.
        is_event: each update matters.
        may_go_back: whether Redis may have lost data: with another epoch, a value may then be one of before.
    """

    def __init__(self, name: str, *, is_event: bool, may_go_back: Callable[[], bool]) -> None:
        self.name = name
        self._may_go_back = may_go_back
        self.is_event = is_event
        self.delivered = 0
        self.missing = 0
        """Events that were said to be missing."""
        self.last: list[Any] = ["", 0]
        self.violations: list[str] = []
        self._past: set[str] = set()
        self._epoch: str | None = ""
        self._excused = 0
        """Events said to be missing since the last one that arrived."""

    def gap(self, first: str, last: str) -> None:
        """Events from one position to the other are missing; of two epochs, nobody knows how many."""
        epoch, _, start = first.rpartition(":")
        until, _, end = last.rpartition(":")
        number = int(end) - int(start) + 1 if epoch == until else 10**9
        self.missing += number if epoch == until else 0
        self._excused += number

    def update(self, value: list[Any], at: str | None = None) -> None:
        """An update has arrived, with its position if the client tells it (then more is checked)."""
        lease, number = value
        former, before = self.last
        epoch = None if at is None else at.rpartition(":")[0]
        self.delivered += 1
        if (epoch is None or epoch != self._epoch) and self._may_go_back():
            self._past.discard(lease)
        elif lease != former:
            if lease in self._past:
                self.violations.append(f"{self.name}: {value} comes after a later lease's {self.last}")
            self._past.add(former)
        elif number <= before:
            self.violations.append(f"{self.name}: {value} comes after {self.last}")
        elif self.is_event and number - before - 1 > self._excused:
            self.violations.append(f"{self.name}: between {self.last} and {value} nobody said that some are missing")
        self._epoch = epoch
        self._excused = 0
        self.last = value


@dataclass
class Accounts:
    """All books of a run."""

    requests: Requests = field(default_factory=Requests)
    subscribers: list[Subscriber] = field(default_factory=list[Subscriber])
    faults: Counter[str] = field(default_factory=Counter[str])
    others: list[str] = field(default_factory=list[str])
    """Violations found elsewhere: processes and keys left over, a final value that is not the object's."""
    states: Counter[str] = field(default_factory=Counter[str])

    def subscriber(self, name: str, *, is_event: bool) -> Subscriber:
        made = Subscriber(name, is_event=is_event, may_go_back=lambda: any(self.faults[each] for each in LOSSY))
        self.subscribers.append(made)
        return made

    def violations(self, runs: Counter[str]) -> list[str]:
        """Everything that breaks a promise."""
        seen = [each for subscriber in self.subscribers for each in subscriber.violations]
        return [*self.requests.violations(runs), *seen, *self.others]

    def report(self, runs: Counter[str], seconds: float, seed: int) -> str:
        """The accounting, as a table in Markdown."""
        said = Counter(self.requests.said.values())
        found = self.violations(runs)
        rows = [
            ("seed, seconds", f"{seed}, {seconds:.0f}"),
            ("requests sent", f"{len(self.requests.said):,}"),
            ("executions", f"{sum(runs.values()):,}"),
            *((f"answered: executed {word}", f"{said[word]:,}") for word in ("yes", "no", "maybe")),
            ("without an answer", f"{said['']:,}"),
            ("answers by kind", ", ".join(f"{kind} {count:,}" for kind, count in self.requests.codes.most_common())),
            ("updates delivered", f"{sum(each.delivered for each in self.subscribers):,}"),
            ("subscribers", f"{len(self.subscribers):,}"),
            ("events said to be missing", f"{sum(each.missing for each in self.subscribers):,}"),
            ("sessions", ", ".join(f"{state} {count:,}" for state, count in sorted(self.states.items()))),
            ("faults", ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))),
            ("violations", f"{len(found):,}"),
        ]
        lines = ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]
        # Those of different sources first: one that repeats must not hide the others.
        firsts = {each.split(" ")[0].split("-")[0]: each for each in reversed(found)}
        shown = list(dict.fromkeys([*firsts.values(), *found]))[:MAX_SHOWN]
        return "\n".join([*lines, *(f"VIOLATION: {each}" for each in shown)])
