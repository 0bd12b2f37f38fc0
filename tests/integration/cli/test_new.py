"""The project that `wispy new` writes: its own test passes. (tests/browser/test_new_project.py opens its page.)"""

import os
import subprocess
import sys
from pathlib import Path

from wispy.cli import main


def test_its_own_test_passes_and_can_fail(tmp_path: Path) -> None:
    assert main(["new", str(tmp_path / "my-lab")]) == 0
    result = run_unittest(tmp_path / "my-lab")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Ran 1 test" in result.stderr
    module = tmp_path / "my-lab" / "my_lab.py"
    module.write_text(module.read_text().replace("+= by", "+= 2 * by"))
    assert run_unittest(tmp_path / "my-lab").returncode == 1


def run_unittest(folder: Path) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if not name.startswith("WISPY_")}
    return subprocess.run(
        [sys.executable, "-m", "unittest"], check=False, cwd=folder, env=env, capture_output=True, text=True, timeout=50
    )
