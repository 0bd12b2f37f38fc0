"""Attributes and properties, as requests read, set and delete them."""

import pytest

from tests.unit.worker.runner.bench import Stage, code, end, settings
from wispy.config.units import Seconds
from wispy.protocol import errors
from wispy.worker.calls import Operation


async def test_attributes(stage: Stage) -> None:
    assert await stage.answer(stage.do("get", "value")) == 1
    assert await stage.answer(stage.do("set", "value", b"[2]")) is None
    assert await stage.answer(stage.do("get", "value")) == [2]
    assert await stage.answer(stage.do("delete", "value")) is None
    assert code(await stage.answer(stage.do("get", "value"))) == (errors.NOT_FOUND.code, "no")
    assert code(await stage.answer(stage.do("delete", "value"))) == (errors.NOT_FOUND.code, "no")
    assert (await stage.answer(stage.do("describe", "add")))["doc"] == "Add."
    assert "self.log.append" in await stage.answer(stage.do("source", "add"))


async def test_what_a_property_gives_is_awaited_beside_others(stage: Stage) -> None:
    later, meanwhile = stage.do("get", "later"), stage.do("get", "value")
    stage.runner.run([later, meanwhile])
    assert await stage.answered(meanwhile) == 1
    assert [outcome.call for outcome in stage.outcomes] == [meanwhile]
    stage.bench.gate.set()
    assert await stage.answered(later) == 1
    assert (stage.counts.done["get"], stage.counts.failed["get"], stage.counts.refused["get"]) == (2, 0, 0)


async def test_what_a_property_gives_later_is_looked_at_as_what_one_gives_at_once(stage: Stage) -> None:
    hidden = stage.do("get", "hidden_later")
    assert await stage.answer(hidden) == await stage.answer(stage.do("get", "absent"))
    assert [outcome.denied for outcome in stage.outcomes] == ["absent", "absent"]
    assert (stage.counts.failed["get"], stage.counts.refused["get"]) == (0, 2)


@pytest.mark.parametrize(
    ("operation", "name", "params"),
    [
        ("get", "failing", b""),
        ("set", "failing", b"1"),
        ("delete", "failing", b""),
        ("get", "failing_later", b""),
        ("get", "failing.part", b""),
        ("set", "failing.part", b"1"),
        ("call", "failing.part", b""),
    ],
)
async def test_what_a_property_raises_is_the_object_s_own(
    stage: Stage, operation: Operation, name: str, params: bytes
) -> None:
    """A property may use another object, by a client of its own: what was refused there was not refused here."""
    raised = await stage.answer(stage.do(operation, name, params))
    assert (raised["code"], raised["data"]["executed"]) == (errors.OBJECT_ERROR.code, "yes")
    assert raised["data"]["type"] == "RPCError"
    assert [outcome.denied for outcome in stage.outcomes] == [None]
    assert (stage.counts.failed[operation], stage.counts.refused[operation]) == (1, 0)


async def test_a_property_that_is_awaited_can_be_cancelled_and_has_a_deadline(stage: Stage) -> None:
    cancelled = stage.do("get", "later")
    stage.runner.run([cancelled])
    stage.runner.cancel("s", cancelled.id)
    assert (await stage.answered(cancelled))["code"] == errors.CANCELLED.code
    impatient = Stage(settings(run_timeout_default=Seconds(0.05)))
    assert (await impatient.answer(impatient.do("get", "later")))["code"] == errors.TIMED_OUT.code
    await end(impatient)
