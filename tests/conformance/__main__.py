"""Runs the Autobahn test suite against the echo server in both shells, and says how each did.

    python -m tests.conformance [--performance] [--compression] [--report FOLDER]

Fails if a case failed. (Tornado alone fails nine: it echoes Close codes that nobody may send.)
The cases of performance (9.*) take some minutes, those of compression (12.*, 13.*) many; both are left out by default.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.suite import wstest

_SHELLS = ("detached", "tornado")

_PERFORMANCE = "9.*"
_COMPRESSION = ("12.*", "13.*")

_FAILED = frozenset({"FAILED", "UNCLEAN", "WRONG CODE", "FAILED BY CLIENT"})


@contextmanager
def echo_server(shell: str, *, compression: bool) -> Iterator[str]:
    """Start the echo server as a process; yields its address."""
    command = [sys.executable, "-m", "wispy.frontend.websocket.echo", "--port", "0", "--shell", shell]
    if compression:
        command.append("--compression")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip().rstrip("/")
        finally:
            server.terminate()


def run_suite(shell: str, folder: Path, *, performance: bool, compression: bool) -> dict[str, str]:
    """Run the suite against one shell; returns the outcome of each case."""
    folder.mkdir(parents=True, exist_ok=True)
    # Only Tornado's shell compresses.
    compression = compression and shell == "tornado"
    excluded = ([] if performance else [_PERFORMANCE]) + ([] if compression else list(_COMPRESSION))
    with echo_server(shell, compression=compression) as address:
        specification = {
            "outdir": str(folder / "report"),
            "servers": [{"agent": shell, "url": address}],
            "cases": ["*"],
            "exclude-cases": excluded,
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(specification))
        with (folder / "wstest.log").open("w") as log:
            subprocess.run(
                [wstest(), "-m", "fuzzingclient", "-s", folder / "spec.json"],
                check=True,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
    index = json.loads((folder / "report" / "index.json").read_text())
    # A wrong way to close fails a case that was right until then.
    return {
        case: result["behaviorClose"] if result["behaviorClose"] in _FAILED else result["behavior"]
        for case, result in index[shell].items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--performance", action="store_true")
    parser.add_argument("--compression", action="store_true")
    parser.add_argument("--report", type=Path, help="keep the suite's report in this folder")
    options = parser.parse_args()
    wrong = False
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.report or Path(scratch)
        for shell in _SHELLS:
            outcomes = run_suite(
                shell, folder / shell, performance=options.performance, compression=options.compression
            )
            failed = sorted(case for case, outcome in outcomes.items() if outcome in _FAILED)
            counts = ", ".join(f"{number} {outcome}" for outcome, number in Counter(outcomes.values()).most_common())
            print(f"{shell}: {len(outcomes)} cases: {counts}")
            if failed:
                print(f"  failed: {' '.join(failed)}")
            wrong = wrong or bool(failed) or not outcomes
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
