import json
import logging

import pytest

from wispy.access_log import MAX_PATH, AccessLog
from wispy.config.schema import LoggingConfig


@pytest.mark.parametrize(
    ("config", "sides"),
    [
        (LoggingConfig(), set()),
        (LoggingConfig(access="text"), {"frontend", "worker"}),
        (LoggingConfig(access="json", access_worker=False), {"frontend"}),
        (LoggingConfig(access="off", access_worker=True), set()),
    ],
)
def test_there_is_a_log_where_one_is_asked_for(config: LoggingConfig, sides: set[str]) -> None:
    assert {side for side in ("frontend", "worker") if AccessLog.of(config, side) is not None} == sides


def test_a_line_in_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        AccessLog("frontend", is_json=False).write("ab:1", "call", "lamp.on", "ok", 0.0012345, address="10.0.0.7")
    (record,) = caplog.records
    assert record.name == "wispy.access.frontend"
    assert record.getMessage() == "10.0.0.7 - ab:1 call lamp.on ok 1.234 ms"


def test_no_client_writes_further_words_into_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log = AccessLog("frontend", is_json=False)
        log.write("ab:1", "rpc.x ok", "lamp.on ok 0.1\u3000ms\n- -", "NOT_FOUND", 0.0012345, user="An Na")
    (record,) = caplog.records
    assert record.getMessage() == (
        r"- An\x20Na ab:1 rpc.x\x20ok lamp.on\x20ok\x200.1\x3000ms\x0a-\x20- NOT_FOUND 1.234 ms"
    )


def test_a_line_as_json_is_one_line_of_ascii_whatever_the_path(caplog: pytest.LogCaptureFixture) -> None:
    path = "lamp.o\nn\x1b[2J\u2028\x85"
    with caplog.at_level(logging.INFO):
        AccessLog("worker", is_json=True).write("ab:1", "get", path, "NOT_FOUND", 0.5, user="ann")
    line = caplog.records[0].getMessage()
    assert line.isascii()
    assert line.isprintable()
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "side": "worker",
        "request": "ab:1",
        "address": None,
        "user": "ann",
        "operation": "get",
        "object": "lamp",
        "path": path.partition(".")[2],
        "outcome": "NOT_FOUND",
        "duration_ms": 500.0,
    }


@pytest.mark.parametrize("is_json", [True, False])
@pytest.mark.parametrize("operation", ["get", "rpc." + "x" * 100_000])
def test_a_path_is_as_long_as_a_client_likes_and_a_line_is_not(
    caplog: pytest.LogCaptureFixture, is_json: bool, operation: str
) -> None:
    with caplog.at_level(logging.INFO):
        AccessLog("frontend", is_json=is_json).write("ab:1", operation, "x" * 100_000, "ok", 0.0)
    assert len(caplog.records[0].getMessage()) < 2 * MAX_PATH + 300
