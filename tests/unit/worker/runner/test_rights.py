"""Who may call: roles and rates."""

from tests.unit.worker.runner.bench import Stage, code, end, settings
from wispy.protocol import errors
from wispy.protocol.identity import Identity
from wispy.worker.marks import rate, roles


class Guarded:
    level = 1

    def __init__(self) -> None:
        self.ran = 0

    @roles("operator")
    def stop(self) -> int:
        self.ran += 1
        return self.ran

    @rate(0.001, burst=2)
    def often(self) -> int:
        self.ran += 1
        return self.ran


async def test_a_call_runs_for_those_with_its_role_and_is_absent_for_others() -> None:
    stage = Stage(settings(), target=Guarded())
    operator = Identity("ada", frozenset({"operator"}))
    absent = await stage.answer(stage.call("absent"))
    assert await stage.answer(stage.call("stop")) == absent
    assert await stage.answer(stage.call("stop", identity=Identity("eve", frozenset({"guest"})))) == absent
    assert await stage.answer(stage.call("stop", identity=operator)) == 1
    for op in ("get", "describe", "source", "delete"):
        assert await stage.answer(stage.do(op, "stop")) == absent
    assert code(absent) == (errors.NOT_FOUND.code, "no")
    await end(stage)


async def test_a_call_above_the_rate_of_its_session_does_not_run() -> None:
    stage = Stage(settings(), target=Guarded())
    calls = [stage.call("often", session=session) for session in "aaab"]
    stage.runner.run(calls)
    await stage.answered(calls[-1])
    assert stage.answers() == {1: 1, 2: 2, 3: errors.RATE_LIMITED.code, 4: 3}
    await end(stage)
