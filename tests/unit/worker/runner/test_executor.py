"""How code runs, and what its answer is, whatever it returns or raises."""

import logging

import pytest

from tests.unit.worker.runner.bench import Stage, code, end, request, settings
from wispy.config.schema import Config, InterfaceConfig
from wispy.protocol import errors
from wispy.worker import answers
from wispy.worker.calls import Call

# --- arguments --------------------------------------------------------------------------------------------------------


async def test_arguments_by_position_by_name_and_both(stage: Stage) -> None:
    by_name = Call("s", 101, "call", ("add",), b'{"a": 1, "b": 2}')
    both = Call("s", 102, "call", ("add",), b"[1]", b'{"b": 5}')
    none = Call("s", 103, "call", ("generate",), b"")
    wrong = [
        Call("s", 104, "call", ("add",), b"5"),
        Call("s", 105, "call", ("add",), b"[1"),
        Call("s", 106, "call", ("add",), b"[1]", b"[2]"),
        Call("s", 107, "call", ("add",), b"[1]", b"{"),
        Call("s", 108, "set", ("value",), b"{"),
    ]
    stage.runner.run([by_name, both, none, *wrong])
    found = stage.answers()
    assert (found[101], found[102]) == (3, 6)
    assert [found[call.id] for call in wrong] == [errors.INVALID_PARAMS.code] * 5


# --- exceptions and results -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["give_quitter", "give_quitter_async", "give_quitter_in_thread"])
async def test_a_result_that_raises_as_it_is_looked_at_ends_its_call_and_nothing_else(
    stage: Stage, method: str
) -> None:
    assert code(await stage.answer(stage.call(method)))[0] == errors.UNSENDABLE.code
    assert await stage.answer(stage.call("add", 1, 2)) == 3


@pytest.mark.parametrize("method", ["fail", "fail_async", "fail_in_thread"])
@pytest.mark.parametrize("kind", ["ValueError", "SystemExit", "KeyboardInterrupt", "CancelledError", "GeneratorExit"])
async def test_whatever_code_raises_is_an_answer_and_the_worker_goes_on(stage: Stage, method: str, kind: str) -> None:
    answer = await stage.answer(stage.call(method, kind))
    assert code(answer) == (errors.OBJECT_ERROR.code, "yes")
    assert answer["data"]["type"] == kind
    assert await stage.answer(stage.call("add", 1, 2)) == 3


async def test_the_arguments_of_an_exception_travel(stage: Stage) -> None:
    answer = await stage.answer(stage.call("fail", "ValueError"))
    assert answer["data"]["args"] == ["broken", 5]
    assert answer["message"].startswith("ValueError: ('broken', 5)")
    assert "traceback" not in answer["data"]


async def test_an_error_of_the_protocol_that_object_code_raises_says_executed_yes(stage: Stage) -> None:
    """It may come from another object that this one called: what it says of that one is not true of this call."""
    assert code(await stage.answer(stage.call("fail", "RPCError"))) == (errors.OBJECT_ERROR.code, "yes")


async def test_stop_iteration_and_endless_recursion(stage: Stage) -> None:
    assert (await stage.answer(stage.call("fail", "StopIteration")))["data"]["type"] == "StopIteration"
    assert (await stage.answer(stage.call("fail_async", "StopIteration")))["data"]["type"] == "RuntimeError"
    assert (await stage.answer(stage.call("recurse")))["data"]["type"] == "RecursionError"


@pytest.mark.parametrize("method", ["generate", "generate_async"])
async def test_generators_are_refused_with_a_way_out(stage: Stage, method: str) -> None:
    answer = await stage.answer(stage.call(method))
    assert code(answer) == (errors.UNSENDABLE.code, "yes")
    assert "return a list" in answer["message"]


async def test_tracebacks_only_where_they_are_switched_on() -> None:
    config = Config(interface=InterfaceConfig(traceback_access=True))
    stage = Stage(config)
    answer = await stage.answer(stage.call("fail", "ValueError"))
    assert "ValueError: ('broken', 5)" in answer["data"]["traceback"]
    await end(stage)


async def test_exceptions_are_logged_with_a_pause(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LOG_PAUSE_S", 60.0)
    stage = Stage(settings())
    with caplog.at_level(logging.WARNING):
        stage.runner.run([stage.call("fail", "ValueError") for _ in range(50)])
    (record,) = caplog.records
    assert "bench.fail" in record.getMessage()
    assert record.exc_info is not None
    await end(stage)


async def test_unknown_methods(stage: Stage) -> None:
    assert code(await stage.answer(stage.call("nothing"))) == (errors.NOT_FOUND.code, "no")


# --- asynchronous code ------------------------------------------------------------------------------------------------


async def test_asynchronous_calls_run_beside_others(stage: Stage) -> None:
    waiting, quick = stage.call("wait", "x"), stage.call("add", 1, session="t")
    stage.runner.run([waiting, quick])
    assert await stage.answered(quick) == 1
    stage.bench.gate.set()
    assert await stage.answered(waiting) == "x"


async def test_a_plain_def_may_return_a_coroutine(stage: Stage) -> None:
    call = stage.call("coroutine", "x")
    stage.runner.run([call])
    stage.bench.gate.set()
    assert await stage.answered(call) == "x"
    assert await stage.answer(stage.call("coroutine_in_thread", "y")) == "y"


async def test_contextvars_of_one_call_are_not_seen_by_another(stage: Stage) -> None:
    methods = ["ask_request", "ask_request_async"] * 3
    calls = [stage.call(method, f"r{number}") for number, method in enumerate(methods)]
    stage.runner.run(calls)
    assert [await stage.answered(call) for call in calls] == ["none"] * 6
    assert request.get() == "none"
