"""Rolls, kills and starves pods on a real node while clients call and subscribe, and keeps the books.

    python -m tests.kubernetes [--keep]

Needs root and the lab's `k8s-node` (WISPY_LAB, or ../shared/lab). Fails where a call failed that was running in no
killed worker, or where an update was lost or came twice. `--keep` leaves the node up.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAB = Path(os.environ.get("WISPY_LAB", ROOT.parent / "shared" / "lab"))
CALLS = 12
"""In flight at any time: `load.CLIENTS` times `load.CALLERS`."""

KILLS = 2
"""Of workers: by the kernel, and by SIGKILL."""

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


def pods(name: str) -> list[str]:
    return kubectl("get", "pods", "-l", f"app.kubernetes.io/name={name}", "-o", "name").replace("pod/", "").split()


def owner() -> str:
    """The pod that owns the object: it was the last one to say so."""
    said = {pod: kubectl("logs", "--timestamps", pod) for pod in pods("wispy-worker")}
    lines = [(line, pod) for pod, log in said.items() for line in log.splitlines() if "scope is served here" in line]
    return max(lines)[1]


def start_node() -> None:
    lab("base-image", "python:3.13-slim")
    lab("podman-build", str(ROOT), "wispy:dev")
    lab("podman-build", str(ROOT / "tests/kubernetes"), "wispy-e2e:dev")
    lab("podman-build", str(ROOT / "tests/kubernetes/valkey"), "wispy-e2e-valkey")
    lab("k8s-node", "up")
    lab("k8s-node", "load", "localhost/wispy-e2e:dev")
    lab("k8s-node", "load", "localhost/wispy-e2e-valkey", "valkey/valkey:9")
    lab("k8s-node", "apply", str(ROOT / "tests/kubernetes/overlay"))
    rolled()


def disturb() -> None:
    """One thing after the other; each has passed before the next begins."""
    print("roll the frontends", flush=True)
    kubectl("rollout", "restart", "deployment/wispy-frontend")
    rolled()
    print("roll the workers", flush=True)
    kubectl("rollout", "restart", "deployment/wispy-worker-scope")
    rolled()
    print("kill a frontend", flush=True)
    kubectl("delete", "pod", pods("wispy-frontend")[0], "--grace-period=0", "--force")
    rolled()
    print("kill the owner", flush=True)
    os.kill(int(lab("k8s-node", "pid", owner(), "worker")), 9)
    time.sleep(5)  # the take-over; it is what clients see that is checked
    rolled()
    print("let the owner run out of memory", flush=True)
    asked = '{"jsonrpc": "2.0", "method": "scope.hog"}'
    lab(
        "k8s-node",
        "enter",
        "curl",
        "-s",
        "-H",
        "Content-Type: application/json",
        "-d",
        asked,
        "http://wispy-frontend/rpc",
    )
    time.sleep(5)
    rolled()


def problems(books: dict[str, Any]) -> list[str]:
    answers = books["answers"]
    found = [f"{answers[each]} calls are answered {each}" for each in answers if each not in ("ok", "maybe")]
    if answers.get("maybe", 0) > KILLS * CALLS:
        found.append(f"{answers['maybe']} calls are maybe, more than ran in killed workers")
    found += [f"{books[each]} {each}" for each in ("lost updates", "doubled updates", "refused but run") if books[each]]
    return found if answers.get("ok") else [*found, "no call was answered"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kubernetes")
    parser.add_argument("--keep", action="store_true", help="leave the node up")
    arguments = parser.parse_args()
    start_node()
    try:
        load = subprocess.Popen(
            [str(LAB / "k8s-node"), "enter", sys.executable, "-m", "tests.kubernetes.load", "http://wispy-frontend"],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        time.sleep(5)
        disturb()
        restarts = kubectl(
            "get",
            "pods",
            "-o",
            "custom-columns=POD:.metadata.name,RESTARTS:.status.containerStatuses[0].restartCount,LAST:.status.containerStatuses[0].lastState.terminated.reason",
        )
        load.terminate()
        books = json.loads(load.communicate(timeout=60)[0])
    finally:
        if not arguments.keep:
            lab("k8s-node", "down")
    print(restarts, json.dumps(books, indent=2), sep="\n")
    found = problems(books)
    print("\n".join(found) or "no call failed, no update was lost")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
