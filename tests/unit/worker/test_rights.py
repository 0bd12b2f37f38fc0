"""What marks come to when pages touch an object: who finds what."""

import dataclasses
from typing import Annotated, Any, ClassVar

import msgspec
import pytest

from wispy.config.schema import InterfaceConfig
from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.protocol.surface import seen_by
from wispy.worker import rights
from wispy.worker.access import Access
from wispy.worker.marks import (
    Rate,
    expose,
    hide,
    no_delete,
    rate,
    read_only,
    roles,
    write_only,
    write_roles,
)
from wispy.worker.rights import Limiter

OPERATOR = frozenset({"operator"})
CHIEF = frozenset({"chief"})
NOBODY: frozenset[str] = frozenset()
PUBLIC = InterfaceConfig()
DECLARED = InterfaceConfig(expose="declared")

fired: list[str] = []


@roles("operator")
class Engine:
    def __init__(self) -> None:
        self.power = 5

    def start(self) -> str:
        return "started"


@hide
class Vault:
    def __init__(self) -> None:
        self.key = "hunter2"


@dataclasses.dataclass
class Record:
    shown: int = 1
    private: Annotated[int, roles("operator")] = 2


class Base:
    limit: Annotated[int, roles("chief")] = 1

    @roles("operator")
    def stop(self) -> str:
        return "base"

    @hide
    def forget(self) -> None: ...


class Machine(Base):
    level: Annotated[float, read_only] = 1.0
    secret: Annotated[str, write_only] = "hunter2"
    kept: Annotated[int, no_delete] = 1
    gain: Annotated[float, write_roles("operator")] = 1.0
    internal: Annotated[int, hide] = 1
    limit = 2

    def __init__(self) -> None:
        self.engine = Engine()
        self.vault = Vault()
        self.record = Record()
        self.plain = 1
        self.own = roles("operator")(lambda: "own")
        self.hidden_own = hide(lambda: "own")

    def go(self) -> str:
        return "gone"

    def stop(self) -> str:
        return "machine"

    def forget(self) -> None: ...

    @roles("operator", "chief")
    @property
    def state(self) -> str:
        fired.append("state")
        return "running"

    @property
    def target(self) -> float:
        return 1.0

    @target.setter
    @roles("operator")
    def target(self, value: float) -> None:
        fired.append("target")

    @target.deleter
    @hide
    def target(self) -> None: ...


@pytest.fixture
def machine() -> Access:
    fired.clear()
    return Access(Machine(), PUBLIC)


def refusal(call: Any, *args: Any) -> RPCError:
    with pytest.raises(RPCError) as caught:
        call(*args)
    return caught.value


def all_operations(access: Access, path: tuple[str, ...], caller: frozenset[str]) -> list[tuple[int, str]]:
    found = [
        refusal(access.get, path, caller),
        refusal(access.set, path, 1, caller),
        refusal(access.delete, path, caller),
        refusal(access.resolve_call, path, caller),
        refusal(access.describe, path, caller),
        refusal(access.source, path, caller),
    ]
    return [(error.code, error.message) for error in found]


@pytest.mark.parametrize("path", ["stop", "state", "limit", "engine", "engine.power", "engine.start", "own"])
def test_what_takes_a_role_is_absent_for_those_without_it(machine: Access, path: str) -> None:
    absent = all_operations(machine, ("absent",), NOBODY)
    assert all_operations(machine, tuple(path.split(".")), NOBODY) == absent
    assert all_operations(machine, tuple(path.split(".")), frozenset({"oper", "operators", ""})) == absent
    assert not fired


@pytest.mark.parametrize("path", ["vault", "vault.key", "forget", "internal", "hidden_own"])
def test_what_is_hidden_is_absent_for_all(machine: Access, path: str) -> None:
    assert (
        all_operations(machine, tuple(path.split(".")), OPERATOR | CHIEF)
        == [(errors.NOT_FOUND.code, errors.NOT_FOUND.message)] * 6
    )


def test_one_of_the_roles_opens_it(machine: Access) -> None:
    assert machine.resolve_call(("stop",), OPERATOR).function() == "machine"
    assert machine.resolve_call(("own",), OPERATOR).function() == "own"
    assert machine.resolve_call(("engine", "start"), OPERATOR).function() == "started"
    assert machine.get(("engine", "power"), OPERATOR) == 5
    assert machine.get(("state",), CHIEF) == machine.get(("state",), OPERATOR) == "running"
    assert machine.get(("limit",), CHIEF) == 2
    assert machine.describe(("stop",), OPERATOR)["name"] == "stop"
    assert "def stop" in machine.source(("stop",), OPERATOR)


@roles("operator")
class Closed:
    tracked_channel_values: ClassVar = {"speed": 1}
    event_channels: ClassVar = ["alarm"]
    alarm: Annotated[str, roles("chief", "operator")]

    def __init__(self) -> None:
        self.engine = Engine()
        self.level = 1

    def go(self) -> None: ...

    @roles("chief")
    def reset(self) -> None: ...


def test_a_class_that_takes_a_role_is_closed_as_a_whole_at_the_root_too() -> None:
    hidden = frozenset({"tracked_channel_values", "event_channels"})
    closed = Access(Closed(), PUBLIC, hidden=hidden)
    for caller in (NOBODY, CHIEF):
        assert closed.surface(caller) == {}
        for name in ("go", "reset", "level", "engine", "absent"):
            assert {code for code, _ in all_operations(closed, (name,), caller)} == {errors.NOT_FOUND.code}, name
        assert refusal(closed.describe, (), caller).code == errors.NOT_FOUND.code
        seen = seen_by(caller, closed.interface())
        assert (seen["methods"], seen["attributes"]) == ([], [])
    assert set(closed.surface(OPERATOR)) == {"go", "level", "engine", "engine.power", "engine.start", "alarm"}
    assert "reset" in closed.surface(OPERATOR | CHIEF)
    assert {row["name"] for row in seen_by(OPERATOR, closed.interface())["methods"]} == {"go", "engine.start"}
    assert closed.channel_roles("alarm") == closed.channel_roles("speed") == OPERATOR


def test_what_everybody_may_call_needs_no_look_at_roles(machine: Access) -> None:
    assert machine.resolve_call(("go",)) is machine.resolve_call(("go",), OPERATOR)


@pytest.mark.parametrize(
    ("caller", "path", "text"),
    [
        (NOBODY, "level", "level cannot be set: it is read-only"),
        (NOBODY, "gain", "gain cannot be set: it is read-only"),
        (CHIEF, "gain", "gain cannot be set: it is read-only"),
        (NOBODY, "target", "target cannot be set: it is read-only"),
    ],
)
def test_what_a_caller_may_only_read_is_read_only(
    machine: Access, caller: frozenset[str], path: str, text: str
) -> None:
    error = refusal(machine.set, (path,), 2.0, caller)
    assert (error.code, error.message) == (errors.INVALID_PARAMS.code, text)
    assert machine.get((path,), caller) == 1.0
    assert machine.describe((path,), caller)["settable"] is False
    assert refusal(machine.delete, (path,), caller).code == errors.INVALID_PARAMS.code
    assert not fired


def test_who_may_write_does(machine: Access) -> None:
    machine.set(("gain",), 3, OPERATOR)
    assert machine.get(("gain",)) == 3.0
    assert machine.describe(("gain",), OPERATOR)["settable"] is True
    machine.delete(("gain",), OPERATOR)
    assert machine.get(("gain",)) == 1.0
    machine.set(("target",), 3, OPERATOR)
    assert fired == ["target"]


def test_write_only(machine: Access) -> None:
    error = refusal(machine.get, ("secret",))
    assert (error.code, error.message) == (errors.INVALID_PARAMS.code, "secret is write-only")
    machine.set(("secret",), "new")
    assert "hunter2" not in str(machine.describe(("secret",)))
    assert machine.describe(("secret",))["settable"] is True


def test_no_delete(machine: Access) -> None:
    machine.set(("kept",), 2)
    assert refusal(machine.delete, ("kept",)).message == "kept cannot be deleted: it is not to be deleted"
    assert machine.get(("kept",)) == 2


def test_an_object_is_not_sent_whole_to_those_who_may_not_see_all_of_it(machine: Access) -> None:
    assert refusal(machine.get, ("record",)).code == errors.UNSENDABLE.code
    assert machine.get(("record",), OPERATOR) == Record()
    assert machine.get(("record", "shown")) == 1
    assert refusal(machine.get, ("record", "private")).code == errors.NOT_FOUND.code


def names(described: dict[str, Any]) -> set[str]:
    return {row["name"] for row in (*described["methods"], *described["attributes"])}


def test_descriptions_are_the_callers(machine: Access) -> None:
    everybody = {"go", "level", "secret", "kept", "gain", "record", "plain", "target"}
    assert names(machine.describe((), NOBODY)) == everybody
    assert names(machine.describe((), OPERATOR)) == everybody | {"stop", "state", "engine", "own"}
    assert names(machine.describe((), CHIEF)) == everybody | {"state", "limit"}
    assert "operator" not in msgspec.json.encode(machine.describe((), NOBODY)).decode()


def test_the_interface_says_which_roles_each_name_takes(machine: Access) -> None:
    interface = machine.interface()
    rows = {row["name"]: row for row in (*interface["methods"], *interface["attributes"])}
    assert rows["stop"]["roles"] == ["operator"]
    assert rows["engine"]["roles"] == rows["engine.power"]["roles"] == ["operator"]
    assert rows["gain"]["set_roles"] == ["operator"]
    assert rows["gain"]["settable"] is True
    assert rows["level"]["settable"] is False
    assert "roles" not in rows["go"]
    assert "vault" not in rows
    assert machine.interface().keys() == {"doc", "methods", "attributes"}


def test_a_surface_is_what_can_be_touched(machine: Access) -> None:
    assert machine.surface(OPERATOR) == {
        "engine": "get",
        "engine.power": "get set delete",
        "engine.start": "call",
        "gain": "get set delete",
        "go": "call",
        "kept": "get set",
        "level": "get",
        "own": "call",
        "plain": "get set delete",
        "record": "get",
        "record.private": "get set delete",
        "record.shown": "get set delete",
        "secret": "set delete",
        "state": "get",
        "stop": "call",
        "target": "get set",
    }


# --- expose: declared -------------------------------------------------------------------------------------------------


class Declared:
    shown: Annotated[int, expose] = 1
    other: int = 2
    _private: Annotated[int, expose] = 3

    def __init__(self) -> None:
        self.own = 1
        self.function = lambda: 1

    @expose
    def marked(self) -> int:
        return 1

    @expose
    @property
    def value(self) -> int:
        return 1

    def unmarked(self) -> None: ...


@expose
class Exposed:
    level: int = 1
    hidden: Annotated[int, hide] = 2

    def __init__(self) -> None:
        self.own = 1

    def work(self) -> None: ...


def test_declared_serves_what_is_marked_and_nothing_else() -> None:
    assert Access(Declared(), DECLARED).surface(NOBODY) == {
        "marked": "call",
        "shown": "get set delete",
        "value": "get",
    }
    assert refusal(Access(Declared(), DECLARED).get, ("own",)).code == errors.NOT_FOUND.code
    assert refusal(Access(Declared(), DECLARED).resolve_call, ("function",)).code == errors.NOT_FOUND.code
    assert Access(Declared(), PUBLIC).surface(NOBODY).keys() >= {"own", "other", "unmarked", "function"}


def test_a_class_may_be_exposed_as_a_whole() -> None:
    assert Access(Exposed(), DECLARED).surface(NOBODY).keys() == {"level", "own", "work"}


# --- channels ---------------------------------------------------------------------------------------------------------


def test_channels_have_the_rights_of_their_names(machine: Access) -> None:
    assert machine.channel_roles("state") == {"operator", "chief"}
    assert machine.channel_roles("secret") == machine.channel_roles("internal") == NOBODY
    # Methods go their own way, hidden or not.
    assert machine.channel_roles("stop") is machine.channel_roles("forget") is machine.channel_roles("news") is None
    assert Access(Engine(), PUBLIC).channel_roles("news") == {"operator"}
    assert Access(Declared(), DECLARED).channel_roles("other") is None


# --- rates ------------------------------------------------------------------------------------------------------------


def took(limiter: Limiter, session: str, now: float) -> bool:
    try:
        limiter.check(session, now)
    except RPCError:
        return False
    return True


def test_a_burst_and_then_the_rate() -> None:
    limiter = Limiter(Rate(2.0, 3, False))
    assert [took(limiter, "s", 10.0) for _ in range(5)] == [True, True, True, False, False]
    assert [took(limiter, "s", now) for now in (10.4, 10.5, 10.6, 11.0)] == [False, True, False, True]
    assert [took(limiter, "s", 100.0) for _ in range(4)] == [True, True, True, False]
    error = refusal(limiter.check, "s", 100.1)
    assert error.data["retry_in_ms"] in (400, 401)
    assert (error.code, error.executed, error.retryable) == (errors.RATE_LIMITED.code, "no", True)


def test_sessions_have_rates_of_their_own_unless_they_share_one() -> None:
    own, shared = Limiter(Rate(1.0, 1, False)), Limiter(Rate(1.0, 1, True))
    assert [took(own, session, 0.0) for session in "aba"] == [True, True, False]
    assert [took(shared, session, 0.0) for session in "aba"] == [True, False, False]


def test_the_memory_of_a_rate_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "MAX_BUCKETS", 3)
    limiter = Limiter(Rate(1.0, 1, False))
    assert all(took(limiter, session, 0.0) for session in "abcd")
    assert len(limiter._buckets) == 3
    assert not took(limiter, "d", 0.0)
    assert took(limiter, "a", 0.0)


def test_a_rate_belongs_to_the_method() -> None:
    class Sample:
        @rate(1)
        def quick(self) -> None: ...

        def free(self) -> None: ...

    access = Access(Sample(), PUBLIC)
    limiter = access.resolve_call(("quick",)).limiter
    assert limiter is not None
    assert access.resolve_call(("quick",)).limiter is limiter
    assert access.resolve_call(("free",)).limiter is None
