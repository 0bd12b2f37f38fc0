from pathlib import Path

import pytest

from wispy.cli import main

MODULE = """
class Motor:
    position = 0

    def __init__(self, fails=False):
        if fails:
            raise RuntimeError("no motor at port 3")

def broken():
    return Motor(fails=True)

def nothing():
    pass
"""


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab_to_describe.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_what_could_be_touched_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "lab_to_describe:Motor"]) == 0
    assert capsys.readouterr().out == "position  get set delete\n"


def test_what_cannot_be_imported_is_named_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "lab_to_describe:Moter"]) == 2
    assert capsys.readouterr().err.startswith("the object 'lab_to_describe:Moter' cannot be imported: AttributeError: ")


def test_an_object_that_cannot_be_made_is_an_error_of_whoever_wrote_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "lab_to_describe:broken"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "Traceback (most recent call last):"
    assert told[-1] == "the object broken cannot be made: RuntimeError: no motor at port 3"
    assert main(["describe", "lab_to_describe:nothing"]) == 2
    assert capsys.readouterr().err == "the object nothing cannot be served: its factory returned None\n"
