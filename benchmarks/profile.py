"""Where the time of one server process goes while calls saturate it, as sampled by py-spy (from PyPI)."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from benchmarks.harness import Plan, measure, running
from benchmarks.jobs import CallLoad, Group
from benchmarks.systems import BenchmarkError, Wispy

LOAD = CallLoad("hello", [Group(64, 8)])
SAMPLES_PER_S = 500
# The load goes on for so much longer than the sampling: py-spy reads symbols before it begins.
MARGIN_S = 3


def profile(plan: Plan, role: str, top: int, flamegraph: Path | None) -> None:
    """Sample the process of a role; print its functions by their own and by their whole time, or draw a flame graph."""
    spy = _find_spy()
    wispy = Wispy()
    longer = msgspec.structs.replace(plan, seconds=plan.seconds + MARGIN_S)
    with running(plan.server_cpus, wispy), tempfile.TemporaryDirectory() as folder:
        pid = wispy.watch[role][-1]
        output = flamegraph or Path(folder) / "samples"
        command = [spy, "record", "--native", "--threads", "--function", "--rate", str(SAMPLES_PER_S)]
        command += ["--duration", str(max(1, round(plan.seconds))), "--pid", str(pid)]
        command += ["--format", "flamegraph" if flamegraph else "raw", "--output", str(output)]
        with ThreadPoolExecutor() as threads:
            load = threads.submit(measure, longer, LOAD, wispy)
            time.sleep(plan.warmup_s)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            load.result()
        if done.returncode != 0:
            raise BenchmarkError(f"py-spy failed: {done.stderr}")
        if flamegraph is None:
            print(summary(output.read_text(), top))


def _find_spy() -> str:
    beside = Path(sys.executable).parent / "py-spy"
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise BenchmarkError("profiling needs py-spy: pip install py-spy")
    return found


def summary(samples: str, top: int) -> str:
    """Sum up py-spy's raw output: one stack a line, outermost function first, then how often it was seen."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in samples.splitlines():
        stack, _, count = line.rpartition(" ")
        functions = stack.split(";")
        own[functions[-1]] += int(count)
        whole.update(dict.fromkeys(functions, int(count)))
    total = sum(own.values()) or 1
    for function in [function for function, count in whole.items() if count == total]:
        del whole[function]  # the frames that start the program are in every stack
    lines = [f"{total} samples"]
    for title, counter in (("own time", own), ("with what it calls", whole)):
        lines += ["", title, *(f"{count / total:7.1%}  {function}" for function, count in counter.most_common(top))]
    return "\n".join(lines)
