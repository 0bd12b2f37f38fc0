from datetime import UTC, datetime
from typing import Any

import pytest

from wispy.cli.top import tables, with_rates

NOTHING = dict.fromkeys(("calls", "gets", "sets", "deletes", "errors", "refused", "denied", "updates"), 0)


def an_object(
    name: str = "lamp", owner: str | None = "7-a", busy_ms: int = 0, workers: int = 0, **counts: int
) -> dict[str, Any]:
    return {
        "name": name,
        "owner": owner and {"id": owner, "host": "lab", "pid": 7, "generation": 7, "since_ms": 40_000},
        "workers": workers,
        "queue": {"length": 2, "oldest_ms": 1500},
        "counts": NOTHING | counts,
        "busy_ms": busy_ms,
        "running": 1,
    }


def a_frontend(id: str = "f1", requests: int = 0) -> dict[str, Any]:
    counts = {"requests": requests, "deliveries": 0, "denied": 4}
    return {"id": id, "host": "web", "pid": 8, "since_ms": 0, "connections": 3, "sessions": 2, "counts": counts}


def a_sample(
    clock_ms: int, objects: list[Any], frontends: list[Any], sessions: list[Any] | None = None, total: int = 0
) -> dict[str, Any]:
    return {
        "objects": objects,
        "frontends": frontends,
        "sessions": sessions or [],
        "sessions_total": total,
        "denials": [],
        "clock_ms": clock_ms,
    }


def test_rates_are_by_the_second_between_two_looks() -> None:
    former = a_sample(100_000, [an_object(calls=10, busy_ms=100)], [a_frontend(requests=5)])
    rated = with_rates(a_sample(102_000, [an_object(calls=30, busy_ms=600)], [a_frontend(requests=6)]), former)
    assert rated["objects"][0]["rates"] == {**dict.fromkeys(NOTHING, 0), "calls": 10, "busy": 0.25}
    assert rated["frontends"][0]["rates"] == {"requests": 0.5, "deliveries": 0, "denied": 0}


@pytest.mark.parametrize(
    "former",
    [
        None,
        a_sample(100_000, [], []),
        a_sample(100_000, [an_object(owner="6-z", calls=500)], [a_frontend("f0", requests=500)]),
        a_sample(100_000, [an_object(workers=2)], [a_frontend("f0", requests=500)]),
        a_sample(102_000, [an_object()], [a_frontend()]),
    ],
    ids=["the first look", "nobody was there", "others were", "workers were", "no time has passed"],
)
def test_there_is_no_rate_without_a_former_look_at_the_same(former: Any) -> None:
    rated = with_rates(a_sample(102_000, [an_object(calls=3)], [a_frontend(requests=3)]), former)
    assert rated["objects"][0]["rates"] is None
    assert rated["frontends"][0]["rates"] is None


def test_a_shared_object_shows_how_many_workers_it_has() -> None:
    lines = list(tables(with_rates(a_sample(100_000, [an_object(workers=3)], []), None)))
    assert [line for line in lines if line.split()[:3] == ["lamp", "3", "workers"]]


def test_the_tables() -> None:
    session = {
        "id": "ab12", "frontend": "f1", "since_ms": 99_500, "in_flight": 1, "subscriptions": 4, "address": "10.0.0.7",
        "user": None,
    }  # fmt: skip
    former = a_sample(98_000, [an_object(), an_object("dark", None)], [a_frontend()])
    counted = an_object(busy_ms=500, calls=100, gets=100, errors=1, refused=2, denied=3, updates=7)
    objects = [counted, an_object("dark", None)]
    sample = a_sample(100_000, objects, [a_frontend(requests=2000)], [session], total=12)
    denial = {
        "time": "2026-11-27T10:00:00.500+00:00", "reason": "role", "user": "ann", "address": "10.0.0.7",
        "operation": "set", "object": "lamp", "path": "volts", "detail": "volts cannot be set",
    }  # fmt: skip
    foreign = {"reason": "host", "user": None, "address": "", "operation": "GET", "object": "", "path": ""}
    sample["denials"] = [denial, {**denial, **foreign, "detail": "host evil.example"}]
    at = datetime(2026, 11, 27, 10, tzinfo=UTC).astimezone()
    lines = [" ".join(line.split()) for line in tables(with_rates(sample, former))]
    assert lines == [
        "",
        "OBJECT OWNER SINCE QUEUE OLDEST RUNNING BUSY REQUESTS/S ERRORS/S DENIED UPDATES/S",
        "lamp lab pid 7 1.0 min 2 1.5 s 1 25 % 100 1.5 3 3.5",
        "dark NO OWNER - 2 1.5 s 1 0 % 0 0 0 0",
        "",
        "FRONTEND PROCESS SINCE CONNECTIONS SESSIONS REQUESTS/S DELIVERIES/S DENIED",
        "f1 web pid 8 1.7 min 3 2 1000 0 4",
        "",
        "SESSION FRONTEND SINCE IN FLIGHT CHANNELS ADDRESS USER",
        "ab12 f1 500 ms 1 4 10.0.0.7 -",
        "and 11 older sessions",
        "",
        "DENIED REASON USER ADDRESS OPERATION WHAT",
        f"{at:%H:%M:%S} role ann 10.0.0.7 set lamp.volts",
        f"{at:%H:%M:%S} host - - GET host evil.example",
    ]


def test_an_empty_service_and_what_would_control_a_terminal() -> None:
    lines = list(tables(with_rates(a_sample(1, [an_object("la\x1b[2Jmp")], []), None)))
    assert not any("\x1b" in line for line in lines)
    assert "none" in lines
