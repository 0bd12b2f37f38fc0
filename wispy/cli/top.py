"""`wispy top`: what the whole service does, live: objects, their owners and queues, frontends and sessions.

Rules:
- Rates come from two looks at the totals of one owner, or of one frontend; a new one begins anew.
- On a terminal the table is drawn over the former one, and cut to the screen; elsewhere one follows the other, whole.
- A server that does not answer for a while is waited for on a terminal; a script is told.
"""

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from wispy.cli import printing
from wispy.cli.outcome import DONE, RAN_AND_FAILED
from wispy.cli.target import url_of
from wispy.cli.using import asked
from wispy.client.rpc import Rpc
from wispy.protocol import errors

ANSWER_S: Final = 5.0
"""How long an answer may take, unless the command says otherwise: the server itself needs less than half a second."""

# What a terminal is told. Its own screen, so that what was there before comes back.
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_CLEAR_LINE: Final = "\x1b[K"
_CLEAR_BELOW: Final = "\x1b[J"

Row = dict[str, Any]


def top(arguments: argparse.Namespace) -> int:
    """`wispy top`."""
    looking = _Top(arguments, url_of(arguments))
    status = asked(arguments, (), looking.run)
    return status or (looking.status if arguments.once else DONE)


class _Top:
    def __init__(self, arguments: argparse.Namespace, url: str) -> None:
        self.status = DONE
        """Whether all is well, as an exit status."""
        self._url = url
        self._is_once: bool = arguments.once
        self._is_json: bool = arguments.json
        self._interval_s: float = arguments.interval
        self._timeout_s: float = arguments.timeout or ANSWER_S
        self._is_drawn = sys.stdout.isatty() and not self._is_json and not self._is_once

    async def run(self, rpc: Rpc) -> None:
        """Look, and show what has changed since the look before, until there is enough."""
        if self._is_drawn:
            self._write(_ENTER)
        try:
            former = await self._look(rpc)
            if not self._is_once:
                self._show(with_rates(former, None))
            while True:
                await asyncio.sleep(self._interval_s)
                try:
                    sample = await self._look(rpc)
                except errors.RPCError as error:
                    if not self._is_drawn:
                        raise
                    self._draw([f"{self._url} does not answer: {printing.plain(error.message)}; waiting"])
                    continue
                self._show(with_rates(sample, former))
                if self._is_once:
                    return
                former = sample
        finally:
            if self._is_drawn:
                self._write(_LEAVE)

    async def _look(self, rpc: Rpc) -> Row:
        try:
            sample: Row = await rpc.status(timeout_s=self._timeout_s)
        except errors.RPCError as error:
            if error.code == errors.METHOD_NOT_FOUND.code:
                text = "the server does not tell its status: its configuration has to say `console: true`"
                raise errors.METHOD_NOT_FOUND(text) from error
            raise
        self.status = DONE if all(each["owner"] for each in sample["objects"]) else RAN_AND_FAILED
        return sample

    def _show(self, sample: Row) -> None:
        if self._is_json:
            self._write(f"{printing.as_json(sample)}\n")
            return
        lines = [self._title(sample), *tables(sample)]
        if self._is_drawn:
            self._draw(lines)
        else:
            self._write("\n".join([*lines, "", ""]))

    def _title(self, sample: Row) -> str:
        counts = f"objects: {len(sample['objects'])}, connections: {sample['sessions_total']}"
        hint = "   (Ctrl-C ends it)" if self._is_drawn else ""
        return f"{self._url}   {datetime.now():%H:%M:%S}   {counts}{hint}"

    def _draw(self, lines: Sequence[str]) -> None:
        width, height = shutil.get_terminal_size()
        shown = [f"{line[:width]}{_CLEAR_LINE}" for line in lines[:height]]
        self._write(f"{_HOME}{f'{os.linesep}'.join(shown)}{_CLEAR_BELOW}")

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


# --- rates ----------------------------------------------------------------------------------------------------------


def with_rates(sample: Row, former: Row | None) -> Row:
    """The sample, each object and frontend with `rates`: its counts by the second since the former sample, or null.

    An object's has `busy`, too: the share of the time in which its code ran.
    """
    elapsed_s = (sample["clock_ms"] - former["clock_ms"]) / 1000 if former else 0.0
    before = {} if former is None else {_identity(each): each for each in _counted(former)}

    def rated(row: Row) -> Row:
        known = before.get(_identity(row))
        if known is None or elapsed_s <= 0:
            return {**row, "rates": None}
        rates = {name: round((count - known["counts"][name]) / elapsed_s, 2) for name, count in row["counts"].items()}
        if "busy_ms" in row:
            rates["busy"] = round((row["busy_ms"] - known["busy_ms"]) / 1000 / elapsed_s, 3)
        return {**row, "rates": rates}

    return {
        **sample,
        "objects": [rated(each) for each in sample["objects"]],
        "frontends": [rated(each) for each in sample["frontends"]],
    }


def _counted(sample: Row) -> list[Row]:
    return [*sample["objects"], *sample["frontends"]]


def _identity(row: Row) -> tuple[str, str]:
    """Whose totals these are: another owner begins at 0, and so do other workers."""
    if "name" not in row:
        return "", row["id"]
    owner = row["owner"]
    # A worker of a shared object that joins or goes takes its counts along.
    return row["name"], f"{owner['id']} {row['workers']}" if owner else ""


# --- tables ---------------------------------------------------------------------------------------------------------

_REQUESTS: Final = ("calls", "gets", "sets", "deletes")


def tables(sample: Row) -> Iterator[str]:
    """The lines of a sample with rates: objects, frontends, sessions, and the newest denials if there are some."""
    now = sample["clock_ms"]
    yield from _table(
        (
            "OBJECT",
            "OWNER",
            "SINCE",
            "QUEUE",
            "OLDEST",
            "RUNNING",
            "BUSY",
            "REQUESTS/S",
            "ERRORS/S",
            "DENIED",
            "UPDATES/S",
        ),
        [_object(each, now) for each in sample["objects"]],
    )
    yield from _table(
        ("FRONTEND", "PROCESS", "SINCE", "CONNECTIONS", "SESSIONS", "REQUESTS/S", "DELIVERIES/S", "DENIED"),
        [_frontend(each, now) for each in sample["frontends"]],
    )
    yield from _table(
        ("SESSION", "FRONTEND", "SINCE", "IN FLIGHT", "CHANNELS", "ADDRESS", "USER"),
        [_session(each, now) for each in sample["sessions"]],
    )
    hidden = sample["sessions_total"] - len(sample["sessions"])
    if hidden > 0:
        yield f"and {hidden} older sessions"
    if sample["denials"]:
        yield from _table(
            ("DENIED", "REASON", "USER", "ADDRESS", "OPERATION", "WHAT"),
            [_denial(each) for each in sample["denials"]],
        )


def _object(row: Row, now: int) -> tuple[Any, ...]:
    owner, queue, rates = row["owner"], row["queue"], row["rates"]
    return (
        row["name"],
        _owner(row),
        _since(owner, now) if owner else "-",
        queue["length"],
        "-" if queue["oldest_ms"] is None else _age(queue["oldest_ms"] / 1000),
        row["running"],
        "-" if rates is None else f"{100 * rates['busy']:.0f} %",
        "-" if rates is None else _rate(sum(rates[name] for name in _REQUESTS)),
        "-" if rates is None else _rate(rates["errors"] + rates["refused"]),
        row["counts"]["denied"],
        "-" if rates is None else _rate(rates["updates"]),
    )


def _owner(row: Row) -> str:
    if row["owner"] is None:
        return "NO OWNER"
    workers = row["workers"]
    if workers:
        return f"{workers} worker{'s' if workers > 1 else ''}"
    return f"{row['owner']['host']} pid {row['owner']['pid']}"


def _frontend(row: Row, now: int) -> tuple[Any, ...]:
    rates = row["rates"]
    return (
        row["id"],
        f"{row['host']} pid {row['pid']}",
        _since(row, now),
        row["connections"],
        row["sessions"],
        *(_rate(rates[name]) if rates else "-" for name in ("requests", "deliveries")),
        row["counts"]["denied"],
    )


def _session(row: Row, now: int) -> tuple[Any, ...]:
    return (
        row["id"],
        row["frontend"],
        _since(row, now),
        row["in_flight"],
        row["subscriptions"],
        row["address"],
        row["user"] or "-",
    )


def _denial(row: Row) -> tuple[Any, ...]:
    what = ".".join(part for part in (row["object"], row["path"]) if part)
    return (
        f"{datetime.fromisoformat(row['time']).astimezone():%H:%M:%S}",
        row["reason"],
        row["user"] or "-",
        row["address"] or "-",
        row["operation"],
        what or row["detail"] or "-",
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    texts = [head, *([printing.plain(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    yield ""
    for row in texts:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    if not rows:
        yield "none"


def _since(row: Row, now: int) -> str:
    return _age(max(0, now - row["since_ms"]) / 1000)


def _age(seconds: float) -> str:
    """A time in its largest unit, as people say it."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds * 1000:.0f} ms"


def _rate(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"
