"""What is started: reads the command line, runs the command, and turns errors into one line and an exit status."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from wispy.cli.commands import COMMANDS, FRONTEND, NEGATIVE_NUMBER, WORKER, Command, overview
from wispy.cli.outcome import DONE, INTERRUPTED, MISUSED, READER_GONE, CommandError
from wispy.errors import ConfigError, StartError
from wispy.surroundings import escape_output, open_standard_streams
from wispy.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """The command `wispy`."""
    return _ended(lambda: _wispy(list(sys.argv[1:] if argv is None else argv)))


def frontend(argv: Sequence[str] | None = None) -> int:
    """The command `wispy-frontend`."""
    return _ended(lambda: _run(FRONTEND, argv))


def worker(argv: Sequence[str] | None = None) -> int:
    """The command `wispy-worker`."""
    return _ended(lambda: _run(WORKER, argv))


def _ended(run: Callable[[], int]) -> int:
    """Run to the end, whatever that is; the exit status."""
    open_standard_streams()
    escape_output()
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()  # also where argparse has shown a help text, and ends the program
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it closes the streams at its end.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return READER_GONE


def _wispy(words: list[str]) -> int:
    name = words[0] if words else ""
    if name in ("-h", "--help", "help"):
        if len(words) == 1:
            sys.stdout.write(overview())
            return DONE
        name, words = words[1], [words[1], "--help"]  # `wispy help call`
    if name == "--version":
        sys.stdout.write(f"wispy {__version__}\n")
        return DONE
    command = {each.name.removeprefix("wispy "): each for each in COMMANDS}.get(name)
    if command is None:
        problem = f"there is no command {name!r}" if name else "a command is missing"
        sys.stderr.write(f"wispy: {problem}; `wispy --help` lists them\n")
        return MISUSED
    return _run(command, words[1:])


def _run(command: Command, argv: Sequence[str] | None) -> int:
    arguments = _parsed(command, argv)
    module, _, function = command.place.partition(":")
    try:
        run: Callable[[argparse.Namespace], int | None] = getattr(import_module(module), function)
        return run(arguments) or DONE
    except (CommandError, ConfigError, StartError) as error:
        sys.stderr.write(f"{error}\n")
        return MISUSED


def _parsed(command: Command, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; those of a call may stand behind options."""
    parser = command.parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and not (hasattr(arguments, "words") and all(_is_argument(word) for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.words += rest
    return arguments


def _is_argument(word: str) -> bool:
    return not word.startswith("-") or NEGATIVE_NUMBER.match(word) is not None
