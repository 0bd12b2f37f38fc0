"""The commands of docs/how-to/secure.md, as they are typed, on the object that it shows."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.support.stack import command
from wispy.config.load import load

PAGE = (Path(__file__).parents[3] / "docs/how-to/secure.md").read_text()
LAB = "interface:\n  expose: declared\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's files."""
    python = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (motor,) = [text for text in python if "class Motor" in text]
    (test,) = [text for text in python if "def test_surface" in text]
    (tmp_path / "motor.py").write_text(motor)
    (tmp_path / "test_motor.py").write_text(test)
    assert LAB in PAGE
    (tmp_path / "lab.yaml").write_text(LAB)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "shown"),
    re.findall(r"\$ wispy (describe motor:Motor.*--config .*)\n((?:\w.*\n)+)", PAGE),
)
def test_it_shows_what_the_page_says(folder: Path, words: str, shown: str) -> None:
    run = subprocess.run([command("wispy"), *words.split()], cwd=folder, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, shown.partition("$ ")[0]), run.stderr


@pytest.mark.parametrize("settings", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_its_settings_are_settings(settings: str) -> None:
    assert load(data=msgspec.yaml.decode(settings))


def test_as_is_for_a_place_in_a_module(folder: Path) -> None:
    run = subprocess.run(
        [command("wispy"), "describe", "motor", "--as", "operator"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "--as is for MODULE:OBJECT" in run.stderr


def test_the_pages_own_test_passes(folder: Path) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_motor.py"]
    run = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
