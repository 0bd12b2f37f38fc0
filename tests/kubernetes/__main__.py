"""Rolls, kills and starves pods on a real node while clients call and subscribe, and keeps the books.

    python -m tests.kubernetes [--keep] [--only-monitoring]

At the end the overlay `prometheus` takes the demo's place, and a Prometheus scrapes it. Needs root and the lab's
`k8s-node` (WISPY_LAB, or ../shared/lab). Fails where a call failed that was running in no killed worker, or where an
update was lost or came twice. `--keep` leaves the node up.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.kubernetes.lab import LAB, ROOT, kubectl, lab, rolled
from tests.kubernetes.load import BEGUN
from tests.kubernetes.monitoring import monitored
from tests.support.waiting import wait_until_blocking

BASE = "python:3.13-slim"
"""As the lab makes it: no image that has the digest in the Dockerfile."""

CALLS = 12
"""In flight at any time: `load.CLIENTS` times `load.CALLERS`."""

KILLS = 2
"""Of workers: by the kernel, and by SIGKILL."""

TAKE_OVER_S = 60.0


def pods(name: str) -> list[str]:
    return kubectl("get", "pods", "-l", f"app.kubernetes.io/name={name}", "-o", "name").replace("pod/", "").split()


def owner() -> str | None:
    """The pod that owns the object: it was the last one to say so. A container that starts again says nothing yet."""
    said = {pod: lab("k8s-node", "kubectl", "logs", "--timestamps", pod, check=False) for pod in pods("wispy-worker")}
    lines = [(line, pod) for pod, log in said.items() for line in log.splitlines() if "scope is served here" in line]
    return max(lines)[1] if lines else None


def ends(pod: str) -> str:
    """How often a pod's container was started again, and why it ended last."""
    state = ".status.containerStatuses[0]"
    return kubectl(
        "get", "pod", pod, "-o", f"jsonpath={{{state}.restartCount}} {{{state}.lastState.terminated.reason}}"
    )


def end_owner(how: Callable[[str], object], reason: str) -> None:
    """End the owner's container, and wait until the standby has taken over and the container runs again."""
    former = owner()
    assert former is not None, "nobody owns the object"
    how(former)
    wait_until_blocking(lambda: ends(former) == f"1 {reason}", lambda: f"{former} ends: {ends(former)}", TAKE_OVER_S)
    wait_until_blocking(lambda: owner() not in (None, former), "the standby has taken over", TAKE_OVER_S)
    rolled()


def kill(pod: str) -> None:
    os.kill(int(lab("k8s-node", "pid", pod, "worker")), signal.SIGKILL)


def starve(_pod: str) -> None:
    """Ask the owner for more memory than it may have; there is no answer."""
    asked = '{"jsonrpc": "2.0", "method": "scope.hog"}'
    header = "Content-Type: application/json"
    lab("k8s-node", "enter", "curl", "-s", "-H", header, "-d", asked, "http://wispy-frontend/rpc")


def start_node() -> None:
    lab("base-image", BASE)
    lab("podman-build", str(ROOT), "wispy:dev", "--", "--build-arg", f"PYTHON_IMAGE={BASE}")
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
    end_owner(kill, "Error")
    print("let the owner run out of memory", flush=True)
    end_owner(starve, "OOMKilled")


def run() -> tuple[str, dict[str, Any]]:
    """Disturb while clients call; how often pods were started again, and the books."""
    load = subprocess.Popen(
        [str(LAB / "k8s-node"), "enter", sys.executable, "-m", "tests.kubernetes.load", "http://wispy-frontend"],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    try:
        assert load.stdout is not None
        if load.stdout.readline().strip() != BEGUN:
            sys.exit("the clients do not call")
        disturb()
        state = ".status.containerStatuses[0]"
        columns = f"POD:.metadata.name,RESTARTS:{state}.restartCount,LAST:{state}.lastState.terminated.reason"
        restarts = kubectl("get", "pods", "-o", f"custom-columns={columns}")
        load.terminate()
        return restarts, json.loads(load.communicate(timeout=60)[0])
    finally:
        load.kill()


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
    parser.add_argument("--only-monitoring", action="store_true", help="do not disturb, look at what is monitored")
    arguments = parser.parse_args()
    start_node()
    found: list[str] = []
    try:
        if not arguments.only_monitoring:
            restarts, books = run()
            print(restarts, json.dumps(books, indent=2), sep="\n")
            found = problems(books)
            print("\n".join(found) or "no call failed, no update was lost")
        print(monitored())
    finally:
        if not arguments.keep:
            lab("k8s-node", "down")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
