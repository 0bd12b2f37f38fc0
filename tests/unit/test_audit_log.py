import asyncio
import json
import logging
from typing import Any

import pytest

from tests.support.waiting import wait_until
from wispy.audit_log import MAX_TEXT, RECENT, Access, AuditLog
from wispy.config.schema import AuditConfig
from wispy.log import AUDIT


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Audited:
    """An audit log, and its lines."""

    def __init__(self, caplog: pytest.LogCaptureFixture, **config: Any) -> None:
        caplog.set_level(logging.INFO, AUDIT)
        self._caplog = caplog
        self.clock = Clock()
        self.log = AuditLog(AuditConfig(**config), "frontend-0", clock=self.clock)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(record.getMessage()) for record in self._caplog.records if record.name == AUDIT]


def test_a_denial_says_who_what_where_and_why(caplog: pytest.LogCaptureFixture) -> None:
    audited = Audited(caplog)
    access = Access("set", "lamp.arm.volts", address="10.0.0.7", user="ann", request="ab:5", detail="it is read-only")
    audited.log.denied("operation", access)
    (line,) = audited.lines
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "process": "frontend-0",
        "outcome": "denied",
        "reason": "operation",
        "address": "10.0.0.7",
        "user": "ann",
        "request": "ab:5",
        "operation": "set",
        "object": "lamp",
        "path": "arm.volts",
        "detail": "it is read-only",
        "duration_ms": None,
    }


def test_what_is_allowed_says_how_it_ended_and_how_long_it_took(caplog: pytest.LogCaptureFixture) -> None:
    audited = Audited(caplog, events="all")
    audited.log.ended("OBJECT_ERROR", Access("call", "lamp.on"), 0.0125)
    (line,) = audited.lines
    assert (line["outcome"], line["reason"], line["duration_ms"]) == ("OBJECT_ERROR", None, 12.5)


def test_a_path_of_http_is_whole(caplog: pytest.LogCaptureFixture) -> None:
    audited = Audited(caplog)
    audited.log.denied("file", Access("PUT", "/upload/a.exe", has_object=False))
    assert [(line["object"], line["path"]) for line in audited.lines] == [("", "/upload/a.exe")]


def test_a_client_s_text_is_short_and_cannot_begin_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    audited = Audited(caplog)
    evil = 'x\n{"outcome": "ok"}\r\x1b[2J\u2028\x9b\ud800' + "y" * 5000
    audited.log.denied("absent", Access(evil, f"lamp.{evil}", address=evil, user=evil, request=evil, detail=evil))
    (record,) = [record for record in caplog.records if record.name == AUDIT]
    text = record.getMessage()
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 7 * 6 * MAX_TEXT
    assert all(len(value) <= MAX_TEXT for value in json.loads(text).values() if isinstance(value, str))


async def test_beyond_the_rate_events_are_counted_and_a_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    audited = Audited(caplog, events="all", rate=3)
    for reason in ("role", "absent", "role", "role", "role", "absent"):
        audited.log.denied(reason, Access("get", "lamp.x"))
    audited.log.ended("ok", Access("get", "lamp.x"))
    assert [line["outcome"] for line in audited.lines] == ["denied"] * 3 + ["ok"]  # nor does one crowd out the other
    await wait_until(lambda: len(audited.lines) == 5, "a line tells of the rest", 5)
    assert audited.lines[-1]["outcome"] == "left out"
    assert audited.lines[-1]["counts"] == {"role": 2, "absent": 1}
    audited.clock.now += 1
    audited.log.denied("role", Access("get", "lamp.x"))
    assert audited.lines[-1]["outcome"] == "denied"


async def test_what_was_left_out_is_told_at_the_end_too(caplog: pytest.LogCaptureFixture) -> None:
    audited = Audited(caplog, rate=1)
    for _ in range(3):
        audited.log.denied("role", Access("get", "lamp.x"))
    audited.log.close()
    audited.log.close()
    assert audited.lines[-1]["counts"] == {"role": 2}
    assert len(audited.lines) == 2
    assert len(asyncio.all_tasks()) == 1


def test_the_newest_denials_are_at_hand(caplog: pytest.LogCaptureFixture) -> None:
    audited = Audited(caplog, events="all")
    for number in range(RECENT + 5):
        audited.log.denied("role", Access("get", f"lamp.x{number}"))
    audited.log.ended("ok", Access("get", "lamp.allowed"))
    assert [event.path for event in audited.log.recent] == [f"x{number}" for number in range(5, RECENT + 5)]


def test_there_is_none_where_it_is_off() -> None:
    assert AuditLog.of(AuditConfig(events="off"), "worker") is None
    denials, everything = (AuditLog.of(AuditConfig(events=events), "worker") for events in ("denied", "all"))
    assert denials is not None
    assert everything is not None
    assert (denials.is_whole, everything.is_whole) == (False, True)
