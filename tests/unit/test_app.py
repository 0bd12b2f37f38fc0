"""RPCWebApp, as far as it can be had without running it."""

from typing import Any

import pytest

from wispy import RPCWebApp
from wispy.errors import StartError


class Sample:
    a = 1


@pytest.mark.parametrize("objects", [{"port": 8000}, {"config": "lab.yaml"}, {"config": {"redis": {"password": "x"}}}])
def test_a_setting_in_the_place_of_an_object_is_refused(objects: dict[str, Any]) -> None:
    """A configuration that is served as an object would show its secrets to pages."""
    with pytest.raises(StartError, match=r"would be an object; settings come first"):
        RPCWebApp(sample=Sample(), **objects)


def test_an_object_without_a_name_is_refused() -> None:
    nameless: Any = Sample()
    with pytest.raises(
        StartError, match=r"not an instance of Sample; an object has a name: RPCWebApp\(sample=sample\)"
    ):
        RPCWebApp(nameless)


def test_objects_may_be_named_as_settings_are() -> None:
    RPCWebApp(config=Sample(), port=Sample(), interface={"a": 1})
