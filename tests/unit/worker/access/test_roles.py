"""The roles that the configuration names for an object, beside those of its marks."""

from typing import Annotated

import pytest

from tests.unit.worker.access.machine import access, path, refusal
from wispy.protocol import errors
from wispy.worker.marks import roles, write_roles


class Stage:
    height: int = 1


class Motor:
    """What everybody may touch, but for one method and one attribute."""

    position: int = 0
    limit: Annotated[int, write_roles("chief")] = 9

    def __init__(self) -> None:
        self.stage = Stage()
        self.table = {"a": 1}
        self.gain = 1

    def move(self, to: int) -> int:
        return to

    @roles("chief")
    def reset(self) -> None: ...


OPERATOR = frozenset({"operator"})
CHIEF = frozenset({"chief"})
BOTH = OPERATOR | CHIEF


@pytest.mark.parametrize("given", [frozenset[str](), CHIEF])
def test_an_object_that_takes_a_role_is_absent_without_it(given: frozenset[str]) -> None:
    closed = access(Motor(), roles=("operator", "guard"))
    for where in ("position", "stage", "stage.height", "table", "table.a", "gain", "move", "reset", "absent"):
        for operation in (closed.get, closed.resolve_call, closed.delete, closed.describe, closed.source):
            error = refusal(operation, path(where), given)
            assert (error.code, str(error)) == (errors.NOT_FOUND.code, str(refusal(closed.get, ("absent",), given)))
        assert refusal(closed.set, path(where), 1, given).code == errors.NOT_FOUND.code
    assert refusal(closed.describe, (), given).denied == "role"
    assert closed.surface(given) == {}
    rows = [*closed.interface()["methods"], *closed.interface()["attributes"]]
    assert all(each["roles"] in (["guard", "operator"], []) for each in rows if "." not in each["name"])
    whole = access({"a": 1}, roles=("operator",))
    for where in ((), ("a",)):
        assert refusal(whole.get, where, given).code == errors.NOT_FOUND.code
    assert whole.get((), OPERATOR) == {"a": 1}


def test_roles_of_the_configuration_and_of_marks_are_both_needed() -> None:
    closed = access(Motor(), roles=("operator",))
    assert closed.get(("stage", "height"), OPERATOR) == 1
    assert closed.resolve_call(("move",), OPERATOR).bind([3], {}) == ([3], {})
    assert refusal(closed.resolve_call, ("reset",), OPERATOR).code == errors.NOT_FOUND.code
    assert closed.resolve_call(("reset",), BOTH) is not None
    assert set(closed.surface(OPERATOR)) == {"position", "limit", "stage", "stage.height", "table", "gain", "move"}


def test_a_channel_is_for_the_roles_that_configuration_and_marks_name() -> None:
    for configured, needed in ((None, None), (("operator",), OPERATOR)):
        assert access(Motor(), roles=configured).channel_roles("position") == needed

    class Alarmed:
        alarm: Annotated[str, roles("chief", "operator")]

    for configured, needed in ((None, BOTH), (("operator",), OPERATOR), (("guard",), frozenset[str]())):
        assert access(Alarmed(), roles=configured).channel_roles("alarm") == needed


def test_what_takes_a_role_to_write_is_read_only_without_it() -> None:
    motor = Motor()
    kept = access(motor, write_roles=("operator",))
    for where in ("position", "limit", "stage.height", "table.a", "table.new", "gain"):
        for error in (refusal(kept.set, path(where), 5, CHIEF), refusal(kept.delete, path(where), CHIEF)):
            assert (error.code, error.denied, "read-only" in str(error)) == (errors.INVALID_PARAMS.code, "role", True)
    assert refusal(kept.set, ("absent",), 5, CHIEF).code == errors.NOT_FOUND.code
    assert (motor.position, motor.stage.height, motor.table, motor.gain) == (0, 1, {"a": 1}, 1)
    for where in ("position", "stage.height", "table.a", "gain"):
        kept.set(path(where), 5, OPERATOR)
    assert (motor.position, motor.stage.height, motor.table, motor.gain) == (5, 5, {"a": 5}, 5)
    assert refusal(kept.set, ("limit",), 5, OPERATOR).denied == "role", "its mark wants another one"
    kept.set(("limit",), 5, BOTH)
    assert kept.describe(("position",), CHIEF)["settable"] is False
    assert kept.describe(("position",), OPERATOR)["settable"] is True
    assert kept.surface(CHIEF) | {"move": "call"} == {
        **dict.fromkeys(("position", "limit", "stage", "stage.height", "table", "gain"), "get"),
        **dict.fromkeys(("move", "reset"), "call"),
    }
    told = {each["name"]: each.get("set_roles") for each in kept.interface()["attributes"]}
    assert (told["position"], told["limit"]) == (["operator"], [])
