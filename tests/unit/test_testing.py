"""The helper by which authors freeze what their objects expose."""

import ast
import asyncio
import types
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

from wispy import expose, hide, roles
from wispy.config.schema import Config
from wispy.errors import ConfigError
from wispy.testing import exposed
from wispy.worker.served import ServedObject

ROOT = Path(__file__).parents[2]
SEED_SAMPLE = ROOT / "examples/quickstart/quickstart.py"


def seeds_sample() -> Any:
    """The class of the seed's quickstart, to the letter, without the line that serves it."""
    tree = ast.parse(SEED_SAMPLE.read_text())
    tree.body = [each for each in tree.body if isinstance(each, ast.ClassDef)]
    module = types.ModuleType("quickstart")
    exec(compile(tree, SEED_SAMPLE, "exec"), vars(module))
    return vars(module)["Sample"]()


def test_the_seeds_quickstart_exposes_what_it_says_and_nothing_else() -> None:
    assert exposed(seeds_sample(), config={"interface": {"expose": "public"}}) == {
        "a": "get set delete watch",
        "b": "get set delete watch",
        "c": "get set delete watch",
        "d": "get set delete watch",
        "test_sum": "call",
    }


def test_declared_leaves_the_seeds_channels_alone() -> None:
    assert exposed(seeds_sample(), config={"interface": {"expose": "declared"}}) == dict.fromkeys("abcd", "watch")


class Motor:
    tracked_channel_values: ClassVar = {"position": 1, "secret": 2, "current": 3}
    event_channels: ClassVar = ["alarm"]
    position: Annotated[float, expose]
    secret: Annotated[int, hide]
    current: Annotated[float, roles("operator")]
    alarm: Annotated[str, roles("chief")]

    def move(self) -> None: ...

    @roles("operator")
    def reset(self) -> None: ...


def test_each_role_has_its_surface() -> None:
    everybody = {"position": "get set delete watch", "move": "call"}
    operators = everybody | {"current": "get set delete watch", "reset": "call"}
    assert exposed(Motor()) == everybody
    assert exposed(Motor(), roles=["operator"]) == operators
    assert exposed(Motor(), roles=["operator", "chief"]) == operators | {"alarm": "get set delete watch"}


def test_settings_of_the_object_count(tmp_path: Path) -> None:
    settings = {"instance_configs": {"motor": {"interface": {"expose": "declared"}}}}
    assert exposed(Motor(), config=settings, name="motor") == {"position": "get set delete watch"}
    assert "move" in exposed(Motor(), config=settings, name="another")
    (tmp_path / "lab.yaml").write_text("interface: {expose: declared}")
    assert exposed(Motor(), config=tmp_path / "lab.yaml") == {"position": "get set delete watch"}
    with pytest.raises(ConfigError, match="expose"):
        exposed(Motor(), config={"interface": {"expose": "all"}})


def test_the_object_is_as_it_was() -> None:
    motor = Motor()
    motor.position = 5
    exposed(motor)
    assert type(motor) is Motor
    assert vars(motor) == {"position": 5}


async def test_an_object_that_is_served_is_left_alone() -> None:
    motor = Motor()
    served = ServedObject("motor", motor, Config(), asyncio.get_running_loop())
    with pytest.raises(ValueError, match="is being served"):
        exposed(motor)
    assert type(motor) is not Motor
    served.close()
