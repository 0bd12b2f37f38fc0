import asyncio
import logging
from typing import Any

import pytest

import wispy
from wispy.worker.hooks import HookError, HookKind, Hooks


class Kept:
    def __init__(self) -> None:
        self.count = 0
        self.told: list[str] = []

    @wispy.on_acquire
    def came(self) -> None:
        self.told.append("acquired")

    @wispy.on_release
    async def went(self) -> None:
        await asyncio.sleep(0)
        self.told.append("released")

    @wispy.snapshot(every=2)
    def state(self) -> Any:
        return {"count": self.count}

    @wispy.restore
    def take(self, state: Any) -> None:
        self.count = state["count"]


def test_hooks_are_found_in_the_class() -> None:
    hooks = Hooks(Kept())
    assert hooks.names == {"came", "went", "state", "take"}
    assert hooks.every_s == 2
    assert all(kind in hooks for kind in HookKind)


def test_an_object_without_hooks_has_none() -> None:
    hooks = Hooks(object())
    assert not hooks.names
    assert hooks.every_s is None
    assert HookKind.SNAPSHOT not in hooks


def test_nothing_of_the_object_is_touched_to_find_them() -> None:
    class Shy:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was touched")

        @property
        def secret(self) -> Any:
            raise AssertionError("the property was touched")

    assert not Hooks(Shy()).names


def test_what_overrides_a_hook_is_the_hook() -> None:
    class Other(Kept):
        def came(self) -> None:
            self.told.append("overridden")

    other = Other()
    asyncio.run(Hooks(other).call(HookKind.ON_ACQUIRE))
    assert other.told == ["overridden"]


def test_two_hooks_of_a_kind_are_refused() -> None:
    class Two(Kept):
        @wispy.on_acquire
        def came_too(self) -> None: ...

    with pytest.raises(TypeError, match="two methods marked on_acquire: came_too and came"):
        Hooks(Two())


async def test_synchronous_and_asynchronous_hooks_run_to_their_end() -> None:
    kept = Kept()
    hooks = Hooks(kept)
    await hooks.call(HookKind.ON_ACQUIRE)
    await hooks.call(HookKind.ON_RELEASE)
    assert kept.told == ["acquired", "released"]


async def test_a_state_goes_from_one_instance_to_another() -> None:
    former, other = Kept(), Kept()
    former.count = 7
    is_bytes, data = await Hooks(former).snapshot()
    assert (is_bytes, data) == (False, b'{"count":7}')
    await Hooks(other).restore(is_bytes, data)
    assert other.count == 7


async def test_bytes_stay_bytes() -> None:
    class Binary:
        state: Any = b"\x00\xff"

        @wispy.snapshot
        def save(self) -> bytes:
            return self.state

        @wispy.restore
        async def load(self, state: Any) -> None:
            self.state = state

    saved = await Hooks(Binary()).snapshot()
    assert saved == (True, b"\x00\xff")
    other = Binary()
    other.state = None
    await Hooks(other).restore(*saved)
    assert other.state == b"\x00\xff"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
async def test_a_hook_that_fails_is_logged_and_ends_nothing(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        @wispy.snapshot
        def save(self) -> None:
            raise error

    with caplog.at_level(logging.ERROR), pytest.raises(HookError, match="save: "):
        await Hooks(Failing()).snapshot()
    assert "the hook save (snapshot) failed" in caplog.text
    assert "Traceback" in caplog.text


async def test_a_state_without_a_json_form_is_an_error() -> None:
    class Odd:
        @wispy.snapshot
        def save(self) -> Any:
            return {"socket": object()}

    with pytest.raises(HookError, match=r"save: .*socket"):
        await Hooks(Odd()).snapshot()


async def test_a_stored_state_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(HookError, match="cannot be read"):
        await Hooks(Kept()).restore(False, b"{")


@pytest.mark.parametrize("every", [0, -1, 0.01, float("nan"), float("inf"), True])
def test_impossible_times_between_snapshots_are_refused(every: float) -> None:
    with pytest.raises(ValueError, match="every is a number of seconds"):
        wispy.snapshot(every=every)


def test_only_methods_can_be_marked() -> None:
    with pytest.raises(TypeError, match="@on_release marks methods, not property objects"):
        wispy.on_release(property(lambda self: 1))  # type: ignore[type-var]


def test_a_marked_method_can_still_be_called() -> None:
    kept = Kept()
    kept.came()
    assert kept.told == ["acquired"]
