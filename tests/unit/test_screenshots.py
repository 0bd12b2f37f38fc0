"""What `python -m scripts.screenshots` says where it is asked for a picture that there is not."""

import subprocess
import sys
from pathlib import Path


def test_the_nearest_picture_is_named_and_none_is_taken() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "scripts.screenshots", "console", "live-plt"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    said = "there is no picture live-plt: did you mean live_plot? All: live_plot, quickstart, bindings, console\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", said)
