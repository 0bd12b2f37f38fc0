import os
import sys
from pathlib import Path

import pytest

from wispy.reload.files import Files, own_folders


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "page.html").write_text("1")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b.py").write_text("1")
    (tmp_path / "lab.yaml").write_text("1")
    files = Files()
    files.add([str(tmp_path), str(tmp_path / "lab.yaml")])
    return files


def names(files: Files) -> list[str]:
    return sorted(Path(each).name for each in files.look())


def test_what_changes_comes_and_goes_is_found_once(files: Files, tmp_path: Path) -> None:
    assert names(files) == []
    (tmp_path / "a.py").write_text("12")
    (tmp_path / "new.py").write_text("1")
    (tmp_path / "lab.yaml").unlink()
    assert names(files) == ["a.py", "lab.yaml", "new.py"]
    assert names(files) == []
    (tmp_path / "lab.yaml").write_text("1")
    assert names(files) == ["lab.yaml"]


def test_a_change_that_keeps_the_length_is_found(files: Files, tmp_path: Path) -> None:
    os.utime(tmp_path / "a.py", ns=(1, 1))
    assert names(files) == ["a.py"]


def test_pages_and_inner_folders_are_no_source(files: Files, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("12")
    (tmp_path / "inner" / "b.py").write_text("12")
    assert names(files) == []


def test_a_folder_that_is_added_counts_as_it_is(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("12")
    files.add([str(tmp_path / "inner"), str(tmp_path)])
    assert names(files) == ["a.py"], "what was there before is not forgotten"
    (tmp_path / "inner" / "b.py").write_text("12")
    assert names(files) == ["b.py"]


def test_a_folder_that_is_gone_is_no_trouble(files: Files, tmp_path: Path) -> None:
    files.add([str(tmp_path / "nowhere")])
    assert names(files) == []


def test_own_folders_are_those_of_the_programs_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_of_a_program.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("module_of_a_program")
    try:
        folders = own_folders()
    finally:
        del sys.modules["module_of_a_program"]
    assert str(tmp_path) in folders
    inside = [each for each in folders if "site-packages" in each or each.startswith(str(Path(os.__file__).parent))]
    assert inside == []
    assert [each for each in folders if Path(each).name == "reload" and "tests" not in each] == []
