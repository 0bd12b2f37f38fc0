"""What of a configuration depends on the kind of program."""

from typing import Any

import pytest

from wispy.config.load import load
from wispy.config.prepare import prepared


@pytest.mark.parametrize(
    ("keys", "all_in_one", "alone"),
    [
        ({}, True, False),
        ({"address": "::1"}, True, False),
        ({"address": ""}, False, False),
        ({"address": "10.0.0.7"}, False, False),
        ({"debug": True, "address": ""}, True, True),
        ({"console": True, "address": ""}, True, True),
        ({"console": False, "debug": True}, False, False),
    ],
)
def test_where_there_is_a_console(keys: dict[str, Any], all_in_one: bool, alone: bool) -> None:
    config = load(data=keys, environ={}).config
    assert prepared(config, is_all_in_one=True).has_console is all_in_one
    assert prepared(config, is_all_in_one=False).has_console is alone


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("true", True), ("no", False)])
def test_the_console_is_set_by_the_environment(text: str, value: object) -> None:
    assert load(data={}, environ={"WISPY_CONSOLE": text}).config.console == value
