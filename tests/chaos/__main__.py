"""`python -m tests.chaos [--seconds N] [--seed N]`: prints the accounting; status 1 if a promise was broken."""

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.run import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of faults (default: 60)")
    parser.add_argument("--seed", type=int, default=None, help="of all that is drawn by lot (default: a new one)")
    parser.add_argument("--keep", action="store_true", help="keep the logs, and say where they are")
    parser.add_argument("--report", type=Path, help="also write the accounting to this file")
    arguments = parser.parse_args()
    seed = secrets.randbelow(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="wispy-chaos-"))
    report, violations = asyncio.run(run(arguments.seconds, seed, folder, _say))
    print(report)
    if arguments.report is not None:
        arguments.report.write_text(report + "\n")
    if arguments.keep or violations:
        print(f"the logs are in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if violations else 0


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
