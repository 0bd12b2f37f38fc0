"""What is counted and written down of each request."""

import json
import logging

import pytest

from tests.support.waiting import wait_until
from tests.unit.worker.runner.bench import Stage, calls_ended, end
from wispy.config.schema import Config, LoggingConfig
from wispy.protocol.labels import request_name


async def test_each_request_is_counted_once_by_what_came_of_it(stage: Stage) -> None:
    calls = [
        stage.call("add", 1),
        stage.call("fail", "ValueError"),
        stage.call("nothing"),
        stage.call("add", 1, start_by=0.0),
        stage.do("get", "value"),
        stage.do("set", "log", b"[]"),
        stage.call("at_once", "x"),
        stage.call("in_thread"),
    ]
    stage.bench.open.set()
    stage.runner.run(calls)
    await wait_until(lambda: len(stage.outcomes) == len(calls), "all have ended")
    counts = stage.counts
    ended = {outcome.call.id: outcome.is_error for outcome in stage.outcomes}
    assert counts.done["call"] == 3
    assert counts.failed["call"] == 1
    assert counts.refused["call"] == 2
    assert sum(counts.done.values()) == list(ended.values()).count(False)
    everything = (counts.done, counts.failed, counts.refused)
    assert sum(each["get"] for each in everything) == sum(each["set"] for each in everything) == 1


async def test_a_call_that_was_answered_at_its_deadline_has_failed(stage: Stage) -> None:
    call = stage.call("in_thread")
    stage.runner.run([call])
    stage.runner.expire(call)
    stage.bench.open.set()
    await calls_ended(stage, call)
    assert (stage.counts.done["call"], stage.counts.failed["call"]) == (0, 1)


async def test_the_worker_s_line_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(Config(logging_config=LoggingConfig(access="json")))
    with caplog.at_level(logging.INFO, logger="wispy.access"):
        await stage.answer(stage.call("add", 1))
        await stage.answer(stage.call("fail", "ValueError"))
        await stage.answer(stage.call("nothing"))
        expired = stage.call("in_thread")
        stage.runner.run([expired])
        stage.runner.expire(expired)
        stage.bench.open.set()
        await calls_ended(stage, expired)
        await end(stage)
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "wispy.access.worker"]
    assert [(line["request"], line["path"], line["outcome"]) for line in lines] == [
        (request_name("s", 1), "add", "ok"),
        (request_name("s", 2), "fail", "OBJECT_ERROR"),
        (request_name("s", 3), "nothing", "NOT_FOUND"),
        (request_name("s", 4), "in_thread", "TIMED_OUT"),
    ]
    assert {(line["side"], line["object"], line["operation"]) for line in lines} == {("worker", "bench", "call")}
