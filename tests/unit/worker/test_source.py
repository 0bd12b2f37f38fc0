"""Where served objects come from."""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wispy.config.checks import LONGEST_OBJECT_NAME
from wispy.errors import StartError
from wispy.worker.source import check_name, from_instances, from_specs, is_importing

MODULE = """
import functools

class Motor:
    built = 0
    def __init__(self, axis="x"):
        self.axis = axis
        Motor.built += 1

class Nested:
    sample = Motor("n")

sample = Motor("s")
make = lambda: Motor("m")
make_y = functools.partial(Motor, "y")
"""


def make_nothing() -> dict[str, int]:
    return {}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the package `wispylab` of somebody's modules."""
    package = tmp_path / "wispylab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "motor.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield package
    for name in [name for name in sys.modules if name.startswith("wispylab")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["sample", "Sample2", "messgerät", "x" * LONGEST_OBJECT_NAME])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "rpc", "_sample", "1sample", "my sample", "a.b", "a-b", "a:b", "x{y}", "x" * 101])
def test_names_that_no_object_may_have(name: str) -> None:
    with pytest.raises(StartError, match="object"):
        check_name(name)


def test_instances_are_served_as_they_are() -> None:
    sample = object()
    (source,) = from_instances({"sample": sample})
    assert (source.name, source.is_instance, source.build()) == ("sample", True, sample)


@pytest.mark.parametrize("factory", [dict, make_nothing, functools.partial(dict)])
def test_classes_and_factories_are_called_later(factory: object) -> None:
    (source,) = from_instances({"sample": factory})
    assert not source.is_instance
    assert source.build() == {}


def test_a_module_is_no_object() -> None:
    with pytest.raises(StartError, match="is a module"):
        from_instances({"sample": sys})


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    ("spec", "name", "is_instance", "axis"),
    [
        ("wispylab.motor:sample", "sample", True, "s"),
        ("wispylab.motor:Motor", "motor", False, "x"),
        ("wispylab.motor:make", "make", False, "m"),
        ("wispylab.motor:make_y", "make_y", False, "y"),
        ("wispylab.motor:Nested.sample", "sample", True, "n"),
        ("stage=wispylab.motor:Motor", "stage", False, "x"),
    ],
)
def test_specs(spec: str, name: str, is_instance: bool, axis: str) -> None:
    (source,) = from_specs([spec])
    assert (source.name, source.is_instance) == (name, is_instance)
    assert sys.modules["wispylab.motor"].Motor.built == 2, "nothing is made before the lease is acquired"
    assert source.build().axis == axis  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.usefixtures("lab")
def test_a_name_is_used_once() -> None:
    two = ["wispylab.motor:sample", "sample=wispylab.motor:Motor"]
    with pytest.raises(StartError, match=r"two objects are named 'sample'.*NAME=wispylab.motor:Motor$"):
        from_specs(two)
    assert len(from_specs([two[0], "other=wispylab.motor:Motor"])) == 2


@pytest.mark.parametrize(
    "spec", ["", "sample", "wispylab.motor", ":sample", "wispylab.motor:", "x=", "x=wispylab.motor"]
)
def test_what_is_no_spec(spec: str) -> None:
    with pytest.raises(StartError, match=r"is not \[NAME=\]MODULE:OBJECT"):
        from_specs([spec])


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("spec", ["=wispylab.motor:sample", "rpc=wispylab.motor:sample", "a=b=wispylab.motor:sample"])
def test_what_is_no_name(spec: str) -> None:
    with pytest.raises(StartError, match="object"):
        from_specs([spec])


def test_a_script_that_serves_its_object_is_imported_for_it_and_not_run(lab: Path) -> None:
    script = "from wispy import RPCWebApp\nsample = [1]\nRPCWebApp(sample=sample).run()\nis_read = True\n"
    (lab / "script.py").write_text(script)
    (source,) = from_specs(["wispylab.script:sample"])
    assert source.build() == [1]
    assert vars(sys.modules["wispylab.script"])["is_read"]
    assert not is_importing()


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    "spec",
    ["wispylab.moter:Motor", "wispylabs:Motor", "wispylab.motor:Moter", "wispylab.motor:Nested.x", "wispylab.motor:x."],
)
def test_what_is_not_there_is_said_in_one_line(spec: str) -> None:
    with pytest.raises(StartError, match="cannot be imported") as caught:
        from_specs([spec])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error"),
    [("1 / 0", "ZeroDivisionError"), ("import wispyla", "ModuleNotFoundError"), ("raise SystemExit(3)", "SystemExit")],
)
def test_a_module_that_fails_shows_where(lab: Path, text: str, error: str) -> None:
    (lab / "broken.py").write_text(f"def f():\n    {text}\nf()\n")
    with pytest.raises(StartError, match=f"cannot be imported: {error}") as caught:
        from_specs(["wispylab.broken:x"])
    assert "broken.py" in str(caught.value), "the person who wrote the module needs the traceback"


async def make_later() -> object:
    return object()


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(StartError, match="the object sample is None"):
        from_instances({"sample": None})
    with pytest.raises(StartError, match="the object sample is a plain str: nothing of it could be served"):
        from_instances({"sample": "config.yaml"})
    for factory, returned in ((print, "None"), (make_later, "a coroutine")):
        (source,) = from_instances({"sample": factory})
        with pytest.raises(StartError, match=f"the object sample cannot be served: its factory returned {returned}"):
            source.build()


@pytest.mark.parametrize("spec", ["wispylab/motor.py:Motor", "x=./wispylab/motor.py:Motor"])
def test_a_file_in_place_of_a_module_is_told(lab: Path, spec: str) -> None:
    with pytest.raises(StartError, match=r"names a file: name its module, wispylab\.motor:Motor"):
        from_specs([spec])
