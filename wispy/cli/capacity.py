"""`wispy capacity`: how many processes a load takes, by what was measured."""

import argparse
import sys
from pathlib import Path

import msgspec

from wispy.capacity.measurements import Measurements, read
from wispy.capacity.model import Capacity, Load, plan
from wispy.cli.outcome import DONE, RAN_AND_FAILED, CommandError


def capacity(arguments: argparse.Namespace) -> int:
    """`wispy capacity --connections N --updates N --calls N ...`; the status says whether the load can be served."""
    load = Load(
        connections=arguments.connections,
        updates=arguments.updates,
        followers=arguments.followers,
        calls=arguments.calls,
        call_ms=arguments.call_ms,
        objects=arguments.objects,
        is_shared=arguments.shared,
    )
    if load.is_shared and load.updates:
        raise CommandError("a shared object has no channels, and publishes no updates: leave out --updates or --shared")
    measured = read(None if arguments.measured is None else Path(arguments.measured))
    found = plan(load, measured, arguments.utilisation)
    if arguments.json:
        sys.stdout.write(msgspec.json.encode({"load": load, **msgspec.to_builtins(found)}).decode() + "\n")
    else:
        sys.stdout.write(_text(load, found, measured))
    return RAN_AND_FAILED if found.problems else DONE


def _text(load: Load, found: Capacity, measured: Measurements) -> str:
    lines = [f"{load.calls:,.0f} calls/s, {load.deliveries:,.0f} deliveries/s, {load.connections:,} connections", ""]
    for part in found.parts:
        memory = "" if part.bytes is None else f", {part.bytes / (1 << 20):,.0f} MiB"
        lines.append(f"{part.name:9} {part.number:5,}   each takes {part.share:.0%} of a core{memory}")
    lines += ["", f"full first: {found.bottleneck}"]
    lines += [f"NOT ENOUGH: {problem}" for problem in found.problems]
    machine = ", ".join(f"{name} {value}" for name, value in measured.machine.items())
    lines += ["", f"by what was measured on: {machine}", ""]
    return "\n".join(lines)
