"""What the Linux kernel says of a process: CPU time, memory, children; and how much of the cores it may use."""

import os
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.jobs import Watch

# Linux numbers the CPU clock of another process by its id and this (clock_getcpuclockid(3) does the same). It counts
# all threads, ended ones too, in nanoseconds; /proc/<pid>/stat knows only hundredths of a second.
_CPUCLOCK_SCHED = 2
PAGE_BYTES = os.sysconf("SC_PAGESIZE")

CGROUPS = Path("/sys/fs/cgroup")
QUOTA_PERIOD_US = 20_000  # short beside a measured window, long beside a turn of a loop


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, user and system, all threads."""
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def resident_bytes(pid: int) -> int:
    """Resident memory that a process has to itself: no pages of files (libraries), and its part of what is shared."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no Pss_Anon in /proc/{pid}/smaps_rollup")


def descendants(pid: int) -> list[int]:
    """The process and all that it started, itself first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent = _parent(entry)
            if parent is not None:
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for process in found:
        found.extend(sorted(children.get(process, [])))
    return found


def _parent(process: Path) -> int | None:
    try:
        text = (process / "stat").read_text()
    except OSError:
        return None  # it ended while we looked
    return int(text.rpartition(")")[2].split()[1])


def cpu_of(watch: Watch) -> dict[str, list[float]]:
    """CPU seconds of all watched processes so far."""
    return {role: [cpu_seconds(pid) for pid in pids] for role, pids in watch.items()}


def cpu_since(watch: Watch, before: dict[str, list[float]]) -> dict[str, list[float]]:
    """CPU seconds of all watched processes since `before` was taken by `cpu_of`."""
    now = cpu_of(watch)
    return {role: [end - start for start, end in zip(before[role], now[role], strict=True)] for role in watch}


def resident_of(watch: Watch) -> dict[str, int]:
    """Resident bytes by role."""
    return {role: sum(resident_bytes(pid) for pid in pids) for role, pids in watch.items()}


@contextmanager
def placed_on(cpus: list[int]) -> Generator[None]:
    """Run on some cores for a while; processes started meanwhile stay there. An empty list leaves all as it is."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def capped(pids: Sequence[int], share: float) -> Generator[bool]:
    """Give each of these processes at most a part of one core for a while; False where the system does not let us."""
    with ExitStack() as groups:
        try:
            for pid in pids:
                groups.enter_context(_cgroup(pid, share))
        except OSError:  # not root, or no cpu controller here
            groups.close()
            yield False
        else:
            yield True


@contextmanager
def _cgroup(pid: int, share: float) -> Generator[None]:
    quota = round(QUOTA_PERIOD_US * share)
    # Version 1 of control groups has a tree for each controller, version 2 one tree for all.
    is_first = (CGROUPS / "cpu").is_dir()
    root = CGROUPS / "cpu" if is_first else CGROUPS
    group = root / f"wispy-bench-{pid}"
    group.mkdir()
    try:
        if is_first:
            (group / "cpu.cfs_period_us").write_text(str(QUOTA_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {QUOTA_PERIOD_US}")
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        with suppress(OSError):  # the process has ended
            (root / "cgroup.procs").write_text(str(pid))
        group.rmdir()
