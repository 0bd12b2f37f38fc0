"""`python -m benchmarks`: what to measure (everything, unless said), how long, and where to write it."""

import argparse
import os
import platform
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.capacity import run_capacity, run_checks, run_memory_checks, table
from benchmarks.harness import Plan, Results, run_all, run_checked, run_comparison
from benchmarks.loadgen import raise_file_limit
from benchmarks.profile import profile
from benchmarks.report import markdown, text
from benchmarks.scenarios import contests
from benchmarks.systems import ROOT, BenchmarkError
from benchmarks.targets import judge
from wispy.capacity.measurements import read

SCENARIOS = ["calls", "fanout", "idle", "fairness", "rate", "slow", "shared"]
FULL = Plan(rounds=5, seconds=3, warmup_s=1)
QUICK = Plan(rounds=1, seconds=1, warmup_s=0.5)
CAPACITY = Plan(rounds=3, seconds=3, warmup_s=1)
MEASURED = ROOT / "wispy" / "capacity" / "measured.json"
COMPARISON = Plan(rounds=15, seconds=1, warmup_s=0.5)
"""Many short windows: neighbours in time are alike, also on a machine that others use."""


def main() -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().parse_args(sys.argv[1:] or ["all"])
    signal.signal(signal.SIGTERM, _end)
    raise_file_limit()
    try:
        if arguments.command == "profile":
            profile(_plan(arguments), arguments.role, arguments.top, arguments.flamegraph)
            return 0
        if arguments.command == "capacity":
            _capacity(arguments)
            return 0
        if arguments.command == "compare":
            _compare(arguments)
            return 0
        if arguments.command == "checks":
            return _check(arguments)
        return _measure(arguments)
    except KeyboardInterrupt:
        return 130
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1


def _end(signum: int, _frame: object) -> None:
    """End by an exception, so that the servers are ended too."""
    sys.exit(128 + signum)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="wispy beside bare Tornado")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in [*SCENARIOS, "all"]:
        command = commands.add_parser(name)
        _add_plan(command)
        command.add_argument("--match", default="", help="only entries whose titles contain this")
        command.add_argument("--tornado-on-uvloop", action="store_true", help="a baseline that few people run")
        command.add_argument("--json", type=Path, metavar="FILE", help="write every measure of every round")
        command.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables for the docs")
        command.add_argument("--check", action="store_true", help="exit status 1 if a target is missed")
    sizing = commands.add_parser("capacity", help="measure what `wispy capacity` calculates with, and check it")
    _add_plan(sizing)
    sizing.add_argument("--write", action="store_true", help=f"measure anew, into {MEASURED.relative_to(ROOT)}")
    sizing.add_argument("--check", action="store_true", help="compare the model with two loads of everything at once")
    comparing = commands.add_parser("compare", help="a call here beside one in another tree of the project, in turns")
    _add_plan(comparing)
    comparing.add_argument("tree", type=Path, help="a work tree in which `make setup` was run")
    comparing.add_argument("--json", type=Path, metavar="FILE", help="write every measure of every round")
    checking = commands.add_parser("checks", help="a call of a user with a role beside one without any check, in turns")
    _add_plan(checking)
    checking.add_argument("--json", type=Path, metavar="FILE", help="write every measure of every round")
    checking.add_argument("--check", action="store_true", help="exit status 1 if the target is missed")
    profiling = commands.add_parser(
        "profile", help="where the time of one process goes, at 64 connections with 8 in flight"
    )
    _add_plan(profiling)
    profiling.add_argument("role", choices=["frontend", "worker", "valkey"])
    profiling.add_argument("--top", type=int, default=30, help="how many functions to list")
    profiling.add_argument("--flamegraph", type=Path, metavar="SVG", help="draw a flame graph instead")
    return parser


def _add_plan(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quick", action="store_true", help="one short round: a look, not a measurement")
    command.add_argument("--rounds", type=int)
    command.add_argument("--seconds", type=float, help="of each measured window")
    command.add_argument("--no-pin", action="store_true", help="do not bind the servers to one core")


def _plan(arguments: argparse.Namespace, full: Plan = FULL) -> Plan:
    plan = QUICK if arguments.quick else full
    return msgspec.structs.replace(
        plan,
        rounds=arguments.rounds or plan.rounds,
        seconds=arguments.seconds or plan.seconds,
        match=getattr(arguments, "match", ""),
        pin=not arguments.no_pin,
        tornado_on_uvloop=getattr(arguments, "tornado_on_uvloop", False),
    )


def _capacity(arguments: argparse.Namespace) -> None:
    plan = _plan(arguments, CAPACITY)
    if arguments.write or not arguments.check:
        measured = run_capacity(plan, _machine(), _progress)
        data = msgspec.json.format(msgspec.json.encode(measured)) + b"\n"
        if arguments.write:
            MEASURED.write_bytes(data)
        else:
            print(data.decode(), end="")
    if arguments.check:
        measured = read()
        print(table([*run_checks(plan, measured, _progress), *run_memory_checks(plan, measured, _progress)]))


def _compare(arguments: argparse.Namespace) -> None:
    machine = _machine()
    results = run_comparison(_plan(arguments, COMPARISON), machine, arguments.tree.resolve(), _progress)
    machine["load average"] += f" at the start, {_load_average()} at the end"
    print(text(results))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))


def _check(arguments: argparse.Namespace) -> int:
    machine = _machine()
    results = run_checked(_plan(arguments, COMPARISON), machine, _progress)
    machine["load average"] += f" at the start, {_load_average()} at the end"
    return _tell(results, arguments)


def _measure(arguments: argparse.Namespace) -> int:
    everything = arguments.command == "all"
    chosen = [contest for contest in contests() if everything or contest.scenario == arguments.command]
    machine = _machine()
    results = run_all(
        _plan(arguments),
        machine,
        chosen,
        idle=everything or arguments.command == "idle",
        slow=everything or arguments.command == "slow",
        shared=everything or arguments.command == "shared",
        progress=_progress,
    )
    machine["load average"] += f" at the start, {_load_average()} at the end"
    if arguments.markdown:
        arguments.markdown.write_text(markdown(results))
    return _tell(results, arguments)


def _tell(results: Results, arguments: argparse.Namespace) -> int:
    """Print the tables; the exit status."""
    print(text(results))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    missed = [verdict for verdict in judge(results) if not verdict.is_met]
    return 1 if arguments.check and missed else 0


def _progress(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr)


def _machine() -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
        "Tornado": version("tornado"),
        "date": time.strftime("%Y-%m-%d"),
        "load average": _load_average(),
    }


def _load_average() -> str:
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())
