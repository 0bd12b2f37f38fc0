"""`wispy watch`: the updates of channels, live, one on each line, until Ctrl-C.

Rules:
- What is missing is said, on standard error: messages of an event channel, and a connection that is lost.
- Each line is written at once, so that a program at the other end of a pipe is as live as a person.
"""

import argparse
import asyncio
import sys
import time
from datetime import datetime

from wispy.cli import printing
from wispy.cli.outcome import CommandError
from wispy.cli.using import asked
from wispy.cli.words import path_of
from wispy.client.channels import Gap
from wispy.client.proxies import Names
from wispy.client.rpc import Rpc


def watch(arguments: argparse.Namespace) -> int:
    """`wispy watch CHANNEL...`."""
    paths = [path_of(each, least=1) for each in arguments.channels]
    return asked(arguments, paths[0], lambda rpc: _Watch(arguments).run(rpc, paths))


class _Watch:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self._is_json: bool = arguments.json
        self._left: int | None = arguments.count

    async def run(self, rpc: Rpc, paths: list[Names]) -> None:
        """Follow until there is enough, or the connection is closed."""
        channels = [each for names in paths for each in await _channels(rpc, names)]
        stop_telling = rpc.on_state(self._tell_state)
        following = [asyncio.create_task(self._follow(rpc, each)) for each in dict.fromkeys(channels)]
        try:
            done, _ = await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stop_telling()
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    async def _follow(self, rpc: Rpc, channel: str) -> None:
        updates = rpc.subscribe(channel, on_gap=self._tell_gap)
        try:
            async for value, at in updates:
                if self._left == 0:
                    return
                self._show(channel, value, at)
                if self._left is not None:
                    self._left -= 1
                    if self._left == 0:
                        return
        finally:
            await updates.aclose()

    def _show(self, channel: str, value: object, at: str) -> None:
        if self._is_json:
            line = printing.as_json({"channel": channel, "value": value, "at": at, "time": time.time()})
        else:
            line = f"{datetime.now():%H:%M:%S.%f}"[:-3] + f"  {printing.plain(channel)}  {printing.as_text(value)}"
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def _tell_gap(self, gap: Gap) -> None:
        text = f"wispy: messages of {gap.channel} are missing, from {gap.first} to {gap.last}"
        sys.stderr.write(f"{printing.plain(text)}\n")

    def _tell_state(self, state: str, reason: str) -> None:
        if state == "closed":
            return
        sys.stderr.write(f"wispy: {state}{f': {printing.plain(reason)}' if reason else ''}\n")


async def _channels(rpc: Rpc, names: Names) -> list[str]:
    """The channel of this name; all of an object, where only that is named."""
    if len(names) != 1:
        return [".".join(names)]
    found = await rpc.list_channels(names[0])
    if not found:
        raise CommandError(f"{names[0]} has no channels")
    return [f"{names[0]}.{each}" for each in found]
