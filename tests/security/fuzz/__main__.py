"""`make fuzz` (SECONDS=600): fuzzes every target for its share of the time, and keeps the inputs that lead to new code.

It needs atheris, which `make fuzz` installs and `make setup` does not: it has wheels for few systems, and the
tests replay the kept inputs without it. Status 1: a rule was broken; the input that breaks it is in `finds/`.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.security.fuzz import corpus
from tests.security.fuzz.targets import TARGETS

FOLDER = Path(__file__).parent
FINDS = FOLDER / "finds"

MAX_INPUT = 1024
"""Bytes of an input: what is longer finds its way through the same code, slower."""

# A target takes microseconds; an input that takes this long is a find.
SLOW_S = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together (default: 600)")
    parser.add_argument("--target", choices=TARGETS, action="append", help="only these (default: all)")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not there: `make fuzz` installs it (Linux, Python 3.11 to 3.13)")
        return 2
    targets = arguments.target or list(TARGETS)
    results = [_fuzz(target, max(1, arguments.seconds // len(targets))) for target in targets]
    return 0 if all(results) else 1


def _fuzz(target: str, seconds: int) -> bool:
    """Whether a target kept its rules all the time."""
    with tempfile.TemporaryDirectory(prefix="wispy-fuzz-") as temporary:
        known, minimal, program = Path(temporary, "known"), Path(temporary, "minimal"), Path(temporary, "program")
        known.mkdir()
        minimal.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.security.fuzz.run {target} "$@"\n')
        program.chmod(0o700)
        for number, data in enumerate(corpus.load(target)):
            (known / str(number)).write_bytes(data)
        FINDS.mkdir(exist_ok=True)
        options = [f"-max_total_time={seconds}", f"-max_len={MAX_INPUT}", f"-timeout={SLOW_S}", "-rss_limit_mb=1024"]
        options += [f"-artifact_prefix={FINDS}/{target}-", f"-dict={FOLDER / 'words.dict'}", "-print_final_stats=1"]
        found = _run(program, *options, str(known))
        executions = re.search(r"number_of_executed_units: (\d+)", found.stdout)
        merged = _run(program, "-merge=1", f"-max_len={MAX_INPUT}", str(minimal), str(known))
        inputs = [path.read_bytes() for path in minimal.iterdir()]
        if not inputs:
            raise SystemExit(f"the inputs of {target} cannot be merged: {merged.stdout[-2000:]}")
        corpus.save(target, inputs)
    number = executions[1] if executions else "?"
    print(
        f"{target}: {number} executions in {seconds} s, {len(inputs)} inputs kept, status {found.returncode}",
        flush=True,
    )
    if found.returncode:
        print(found.stdout[-6000:], flush=True)
    return found.returncode == 0


def _run(program: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program, *options],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "FUZZ_PROGRAM": str(program)},
    )


if __name__ == "__main__":
    sys.exit(main())
