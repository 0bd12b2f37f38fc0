"""The books of a chaos run: what was asked, what ran, what was answered; what was published and what arrived.

Rules: a result, or an error that says `executed: yes`, is exactly one execution; `no` is none; `maybe` is at most one.
Updates of one lease arrive rising, none twice; once a later lease's are seen, none of an earlier one comes, but for
values that Redis has lost. Events and what is said of missing ones follow each other by their positions, so that
nothing that was delivered is said to be missing; what is missing was said to be; and no more are said to be missing
than the object has published and the subscriber has not got. At the end each subscriber is at the object's own value.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LOSSY = ("fail_over", "drop_packets", "pause_master")
"""Faults by which Redis loses what was not replicated: they end in a failover."""

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
        """Events that were said to be missing, where their number was said."""
        self.doubts = 0
        """How often it was said that some may be missing, and not how many."""
        self.last: list[Any] = ["", 0]
        self.violations: list[str] = []
        self._past: set[str] = set()
        self._position = (0, 0)
        """Generation and offset of what came last."""
        self._is_doubtful = False
        """Some may be missing since the last event that arrived: nobody knows how many."""
        self._excused = 0
        """Events said to be missing since then."""

    def gap(self, first: str, last: str) -> None:
        """Events from one position to the other are missing; of two epochs, nobody knows how many."""
        start, end = _place(first), _place(last)
        if start[0] == end[0]:
            self.missing += end[1] - start[1] + 1
            self._excused += end[1] - start[1] + 1
        else:
            self.doubts += 1
            self._is_doubtful = True
        if self._position[0] and start[1] != self._position[1] + 1:
            self.violations.append(f"{self.name}: is at {self._position}, and missing is {first} to {last}")
        self._move(end, f"missing is {first} to {last}")

    def _move(self, position: tuple[int, int], why: str) -> None:
        if position < self._position:
            self.violations.append(f"{self.name}: is at {self._position}, and {why}")
        self._position = position

    def update(self, value: list[Any], at: str | None = None) -> None:
        """An update has arrived, with its position if the client tells it (then more is checked)."""
        lease, number = value
        former, before = self.last
        where, self.delivered = self._position, self.delivered + 1
        if at is not None:
            place = _place(at)
            if self.is_event:
                if self._position[0] and place[1] != self._position[1] + 1:
                    self.violations.append(f"{self.name}: {self._position} and {at} do not follow each other")
                self._move(place, f"{at} comes")
        self._position = (0, 0) if at is None else _place(at)
        if not self.is_event and (at is None or where[0] != self._position[0]) and self._may_go_back():
            self._past.discard(lease)
        elif not self.is_event and value == self.last and self._position > where and self._may_go_back():
            pass  # the owner states anew what a reader may not know, and this one has just asked Redis for it
        elif lease != former:
            if lease in self._past:
                self.violations.append(f"{self.name}: {value} at {at} comes after a later lease's {self.last}")
            self._past.add(former)
        elif number <= before:
            self.violations.append(f"{self.name}: {value} at {at} comes after {self.last} at {where}")
        elif self.is_event and not self._is_doubtful and number - before - 1 > self._excused:
            self.violations.append(f"{self.name}: between {self.last} and {value} nobody said that some are missing")
        self._excused, self._is_doubtful = 0, False
        self.last = value


def _place(at: str) -> tuple[int, int]:
    """Generation and offset: positions of one reader rise in this order."""
    epoch, _, offset = at.rpartition(":")
    return int(epoch.partition("-")[0]), int(offset)


@dataclass
class Accounts:
    """All books of a run."""

    requests: Requests = field(default_factory=Requests)
    subscribers: list[Subscriber] = field(default_factory=list[Subscriber])
    faults: Counter[str] = field(default_factory=Counter[str])
    others: list[str] = field(default_factory=list[str])
    """Violations found elsewhere: processes and keys left over, a final value that is not the object's."""
    states: Counter[str] = field(default_factory=Counter[str])
    published: int = 0
    """Events that the object has published, under all its owners."""

    def subscriber(self, name: str, *, is_event: bool) -> Subscriber:
        made = Subscriber(name, is_event=is_event, may_go_back=lambda: any(self.faults[each] for each in LOSSY))
        self.subscribers.append(made)
        return made

    def violations(self, runs: Counter[str]) -> list[str]:
        """Everything that breaks a promise."""
        seen = [each for subscriber in self.subscribers for each in subscriber.violations]
        seen += [
            f"{each.name}: {each.missing} events are said to be missing; of {self.published} it got {each.delivered}"
            for each in self.subscribers
            if each.is_event and each.missing > self.published - each.delivered
        ]
        return [*self.requests.violations(runs), *seen, *self.others]

    def _events_got(self) -> list[int]:
        return [each.delivered for each in self.subscribers if each.is_event]

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
            ("events published", f"{self.published:,}"),
            ("events not delivered, by subscriber", ", ".join(f"{self.published - n:,}" for n in self._events_got())),
            ("events said to be missing", f"{sum(each.missing for each in self.subscribers):,}"),
            ("said that some may be", f"{sum(each.doubts for each in self.subscribers):,} times"),
            ("sessions", ", ".join(f"{state} {count:,}" for state, count in sorted(self.states.items()))),
            ("faults", ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))),
            ("violations", f"{len(found):,}"),
        ]
        lines = ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]
        # Those of different sources first: one that repeats must not hide the others.
        firsts = {each.split(" ")[0].split("-")[0]: each for each in reversed(found)}
        shown = list(dict.fromkeys([*firsts.values(), *found]))[:MAX_SHOWN]
        return "\n".join([*lines, *(f"VIOLATION: {each}" for each in shown)])
