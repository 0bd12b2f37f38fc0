"""The lab's node, as the runs on it use it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = Path(os.environ.get("WISPY_LAB", ROOT.parent / "shared" / "lab"))

ROLL_S = "180s"


def lab(*arguments: str, check: bool = True) -> str:
    done = subprocess.run([str(LAB / arguments[0]), *arguments[1:]], capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def kubectl(*arguments: str) -> str:
    return lab("k8s-node", "kubectl", *arguments)


def rolled() -> None:
    for each in ("wispy-frontend", "wispy-worker-scope"):
        kubectl("rollout", "status", f"deployment/{each}", f"--timeout={ROLL_S}")
