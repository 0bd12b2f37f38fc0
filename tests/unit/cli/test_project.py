from pathlib import Path

import pytest

from wispy.cli import main
from wispy.cli.outcome import CommandError
from wispy.cli.project import module_name


@pytest.mark.parametrize(
    "name", ["json", "redis", "class", "wispy", "rpc", "get", "Lab", "1st", "_x", "a b", "", ".", "a.b", "é"]
)
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(CommandError, match="cannot be a project's name"):
        module_name(name)


def test_a_dash_is_an_underscore() -> None:
    assert module_name("my-lab") == "my_lab"


def test_no_name_of_the_template_is_left(tmp_path: Path) -> None:
    assert main(["new", str(tmp_path / "deep" / "my-lab")]) == 0
    files = [each for each in (tmp_path / "deep" / "my-lab").rglob("*") if each.is_file()]
    assert {"my_lab.py", "test_my_lab.py", "Dockerfile", ".dockerignore", "requirements.txt"} <= {x.name for x in files}
    assert [each for each in files if "PROJECT_" in each.name + each.read_text() or each.suffix == ".txt.txt"] == []
    assert "class MyLab:" in (tmp_path / "deep" / "my-lab" / "my_lab.py").read_text()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "mine").write_text("mine")
    assert main(["new", str(tmp_path / "lab")]) == 2
    assert "is there already" in capsys.readouterr().err
    assert [each.name for each in (tmp_path / "lab").iterdir()] == ["mine"]


def test_what_the_dockerfile_copies_is_there(tmp_path: Path) -> None:
    main(["new", str(tmp_path / "lab")])
    lines = (tmp_path / "lab" / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1] for line in lines if line.startswith("COPY")]
    started = next(line for line in lines if line.startswith("CMD"))
    assert "lab.py" in started
    assert all((tmp_path / "lab" / each).exists() for each in [*copied, "lab.py"])
