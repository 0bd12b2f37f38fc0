"""The table of all commands: what each is called, takes, and says of itself.

The parsers, `--help` and docs/reference/commands.md (`wispy.cli.reference`) are made from it.
"""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from wispy.cli.outcome import MEANINGS
from wispy.config.flags import add_arguments

WEB_FLAGS: Final = ("port", "address", "processes", "redis.url")
OBJECT_HELP: Final = "an object to serve, [NAME=]MODULE:OBJECT: an instance, or a class or factory to call (repeatable)"

NumberT = TypeVar("NumberT", int, float)

NEGATIVE_NUMBER: Final = re.compile(r"-\.?\d")
"""How a word begins that is a value in spite of its dash."""

HELP_WIDTH: Final = 100
"""Columns of a help text: what most terminals have, so that it is the same in the documentation."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: what is typed.
        summary: one line without a full stop.
        place: the function that carries it out, `module:function`; it is imported when it is needed.
        add: adds the command's own arguments to its parser.
        examples: commands to type, each with what it does.
        details: more than the summary.
    """

    name: str
    summary: str
    place: str
    add: Callable[[argparse.ArgumentParser], None]
    examples: tuple[tuple[str, str], ...]
    details: str = ""

    def parser(self) -> argparse.ArgumentParser:
        """What reads its arguments."""
        width = max(len(command) for command, _ in self.examples)
        examples = "\n".join(f"  {command:{width}}  {meaning}" for command, meaning in self.examples)
        parser = argparse.ArgumentParser(
            prog=self.name,
            description=f"{self.summary}.{f' {self.details}' if self.details else ''}",
            epilog=f"examples:\n{examples}",
            formatter_class=partial(_Formatter, width=HELP_WIDTH),
            allow_abbrev=False,  # an option that comes later would change what a script means
        )
        # Python before 3.14 takes -1e-6 for an option that it does not know.
        parser._negative_number_matcher = NEGATIVE_NUMBER
        self.add(parser)
        return parser


class _Formatter(argparse.HelpFormatter):
    """Wraps the description; leaves the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return text
        return super()._fill_text(text, width, indent)


def _number(
    kind: Callable[[str], NumberT], is_good: Callable[[NumberT], bool], meaning: str
) -> Callable[[str], NumberT]:
    """What reads a number of an option, and says what it should have been."""

    def read(text: str) -> NumberT:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not is_good(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {meaning}")
        return value

    return read


_seconds: Final = _number(float, lambda value: 0 < value <= 365 * 86400, "a time in seconds, above 0")
# A frontend asks the others no more often.
_interval: Final = _number(float, lambda value: 0.5 <= value <= 365 * 86400, "a time in seconds, from 0.5")
_count: Final = _number(int, lambda value: value >= 1, "a whole number from 1")
_amount: Final = _number(float, lambda value: 0 <= value <= 1e9, "a number from 0 to a thousand million")
_part: Final = _number(float, lambda value: 0 < value <= 1, "a part above 0 and at most 1")


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="CONFIG", help="YAML file with the configuration")
    parser.add_argument("--object", action="append", default=[], dest="objects", metavar="OBJECT", help=OBJECT_HELP)
    add_arguments(parser, (*WEB_FLAGS, "autoreload"))


def _config(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser, WEB_FLAGS)


def _frontend(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser, WEB_FLAGS)


def _worker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--object", action="append", default=[], dest="objects", metavar="OBJECT", required=True, help=OBJECT_HELP
    )
    add_arguments(parser, ("redis.url", "health_port", "shared", "autoreload"))


def _capacity(parser: argparse.ArgumentParser) -> None:
    def add(name: str, kind: Callable[[str], object], default: object, meaning: str) -> None:
        parser.add_argument(name, type=kind, default=default, metavar="N", help=meaning)

    add("--connections", _count, 0, "open websockets")
    add("--updates", _amount, 0.0, "updates that all objects publish in a second")
    add("--followers", _count, None, "connections that get each update; else all of them")
    add("--calls", _amount, 0.0, "calls in a second")
    add("--call-ms", _amount, 0.0, "milliseconds for which a call holds its object's thread; else none")
    add("--objects", _count, 1, "objects that calls and updates are spread over; else one")
    parser.add_argument("--shared", action="store_true", help="objects are served by several workers (--shared)")
    parser.add_argument(
        "--utilisation",
        type=_part,
        default=0.6,
        metavar="PART",
        help="for which part of the time a process may be busy; else 0.6",
    )
    parser.add_argument("--measured", metavar="FILE", help="measurements of another machine (benchmarks capacity)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _connection(parser: argparse.ArgumentParser) -> None:
    """The options of every command that uses a server."""
    parser.add_argument(
        "--url",
        help="the server: http://host:port, with its base path. Without it: WISPY_URL, else the address, port and "
        "base path of the configuration, by default http://127.0.0.1:5000",
    )
    parser.add_argument("--config", metavar="FILE", help="YAML file with the configuration, to find the server by")
    parser.add_argument(
        "--token",
        help="says who you are, where the server wants to know; WISPY_TOKEN does so without other users of the machine "
        "seeing it",
    )
    parser.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="how long a request may take; else the server's own limit"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, as on the wire; an error too")


def _path(parser: argparse.ArgumentParser, what: str, *, is_optional: bool = False) -> None:
    parser.add_argument(
        "path",
        metavar="PATH",
        nargs="?" if is_optional else None,
        help=f"{what}: sample.a, or a JSON array of names where one holds a dot",
    )


def _call(parser: argparse.ArgumentParser) -> None:
    _path(parser, "the method")
    parser.add_argument(
        "words", metavar="ARGUMENT", nargs="*", help="JSON, else a text; NAME=VALUE is an argument by name"
    )
    _connection(parser)


def _get(parser: argparse.ArgumentParser) -> None:
    _path(parser, "the attribute")
    _connection(parser)


def _set(parser: argparse.ArgumentParser) -> None:
    _path(parser, "the attribute")
    parser.add_argument("value", metavar="VALUE", help="JSON, else a text")
    _connection(parser)


def _describe(parser: argparse.ArgumentParser) -> None:
    _path(parser, "an object or a part of it; without it, all objects are listed", is_optional=True)
    parser.add_argument(
        "--as",
        action="append",
        default=[],
        dest="roles",
        metavar="ROLE",
        help="of MODULE:OBJECT: for whom (repeatable)",
    )
    _connection(parser)


def _source(parser: argparse.ArgumentParser) -> None:
    _path(parser, "the method or property")
    _connection(parser)


def _watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "channels", metavar="CHANNEL", nargs="+", help="a channel, sample.a; or an object, for all of its channels"
    )
    parser.add_argument("--count", type=_count, metavar="N", help="end after N updates")
    _connection(parser)


def _top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="look once, for as long as the rates take, and end")
    parser.add_argument(
        "--interval", type=_interval, default=2.0, metavar="SECONDS", help="between two looks, from 0.5; 2 if not given"
    )
    _connection(parser)


def _token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="USER", help="whose token it is")
    parser.add_argument("--role", action="append", default=[], dest="roles", metavar="ROLE", help="a role (repeatable)")


def _new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the project, its folder and its object: my_lab, or my-lab")


COMMANDS: Final = (
    Command(
        "wispy serve",
        "Serve objects, all in one: frontends, worker and a private Redis",
        "wispy.cli.serving:serve",
        _serve,
        (
            ("wispy serve --object thermostat:Thermostat", "the class in thermostat.py, at http://127.0.0.1:5000"),
            ("wispy serve lab.yaml --object lab.motor:Motor --port 8000", "with a configuration"),
            ("wispy serve --autoreload --object thermostat:Thermostat", "start again whenever a source file changes"),
        ),
    ),
    Command(
        "wispy new",
        "Write a small project: an object, its page, configuration, test and Dockerfile",
        "wispy.cli.project:new",
        _new,
        (("wispy new my_lab", "then: cd my_lab, python my_lab.py"),),
    ),
    Command(
        "wispy call",
        "Call a method",
        "wispy.cli.using:call",
        _call,
        (
            ("wispy call sample.test_sum 4 5", "prints 9"),
            ("wispy call motor.move speed=2.5 to='[1, 2]'", "arguments by name, and a list"),
            ("wispy call sample.greet '\"5\"'", "the text 5, not the number"),
            ("wispy call sample.greet -- --hello", "behind -- nothing is an option"),
        ),
        "An argument that is JSON is that value, any other is a text. None, as a result, is not shown.",
    ),
    Command(
        "wispy get",
        "Read an attribute",
        "wispy.cli.using:get",
        _get,
        (
            ("wispy get sample.a", ""),
            ("wispy get sample.table.row --json", "as JSON, for jq and scripts"),
            ('wispy get \'["sample", "table", "dotted.key"]\'', "a name that holds a dot"),
        ),
    ),
    Command(
        "wispy set",
        "Set an attribute",
        "wispy.cli.using:set_",
        _set,
        (("wispy set sample.a 5", ""), ("wispy set sample.c '[2, 3]'", "a list"), ("wispy set sample.b on", "a text")),
    ),
    Command("wispy delete", "Delete an attribute", "wispy.cli.using:delete", _get, (("wispy delete sample.a", ""),)),
    Command(
        "wispy watch",
        "Show the updates of channels, live, until Ctrl-C",
        "wispy.cli.watching:watch",
        _watch,
        (
            ("wispy watch sample.a", "the current value, and each new one"),
            ("wispy watch sample", "all channels of the object"),
            ("wispy watch sample.a --json --count 10 | jq .value", "ten updates, for a program"),
        ),
    ),
    Command(
        "wispy top",
        "Show objects, owners, queues, rates and sessions, live, until Ctrl-C",
        "wispy.cli.top:top",
        _top,
        (
            ("wispy top", ""),
            ("wispy top --once", "for a script: the exit status is 1 where an object has no owner"),
            ("wispy top --json --interval 10", "a line of JSON every ten seconds"),
        ),
        "The server answers where its console is on: see the setting `console`.",
    ),
    Command(
        "wispy describe",
        "Show what there is: objects, or the attributes, methods and channels of one",
        "wispy.cli.using:describe",
        _describe,
        (
            ("wispy describe", "the objects"),
            ("wispy describe sample", "its attributes, methods and channels"),
            ("wispy describe sample.test_sum", "a method's signature and documentation"),
            ("wispy describe lab.motor:Motor --as operator", "what an operator could touch; nothing is served"),
        ),
        "MODULE:OBJECT is imported, and a class is called, as a worker would; each name is shown with what such a "
        "caller may do: call, get, set, delete, and watch its channel.",
    ),
    Command(
        "wispy source",
        "Show the Python source of a method or property, where `interface.source_access` is on",
        "wispy.cli.using:source",
        _source,
        (("wispy source sample.test_sum", ""),),
    ),
    Command(
        "wispy token",
        "Make a token for a user, and the entry of the file `auth.tokens` that lets it in",
        "wispy.cli.tokens:token",
        _token,
        (("wispy token alice --role operator >> tokens.yaml", "the token itself is shown once, on standard error"),),
        "The file keeps a hash: who reads it cannot log in by it.",
    ),
    Command(
        "wispy capacity",
        "Calculate how many frontends, workers and Redis servers a load takes, and which of them is full first",
        "wispy.cli.capacity:capacity",
        _capacity,
        (
            ("wispy capacity --connections 20000 --updates 10 --calls 500", "each update goes to all"),
            ("wispy capacity --connections 5000 --updates 200 --followers 50 --objects 40", "to 50 of them"),
            ("wispy capacity --calls 300 --call-ms 20 --shared", "how many workers share it"),
        ),
        "It calculates with what the benchmarks have measured; docs/how-to/scale.md tells how well. "
        "The exit status is 1 where no number of processes is enough.",
    ),
    Command(
        "wispy config",
        "Check the configuration, and print it with the source of each value",
        "wispy.cli.serving:show_config",
        _config,
        (("wispy config --config lab.yaml", ""), ("WISPY_PORT=80 wispy config", "the environment counts, too")),
    ),
)
"""Of the program `wispy`, in the order in which they are shown."""

FRONTEND: Final = Command(
    "wispy-frontend",
    "Serve pages and relay calls to workers",
    "wispy.cli.serving:frontend",
    _frontend,
    (("wispy-frontend --redis redis://redis.example --port 5000 --processes 2", ""),),
)

WORKER: Final = Command(
    "wispy-worker",
    "Own objects and run their code",
    "wispy.cli.serving:worker",
    _worker,
    (
        ("wispy-worker --redis redis://redis.example --object thermostat:Thermostat", ""),
        ("wispy-worker --health-port 8081 --object thermostat:Thermostat", "with probes and metrics"),
        ("wispy-worker --shared --object model:Model", "one of many workers of a stateless object"),
    ),
)


def overview() -> str:
    """What `wispy --help` says."""
    width = max(len(each.name) for each in COMMANDS)
    rows = (f"  {each.name:{width}}  {each.summary}\n" for each in COMMANDS)
    statuses = (f"  {status:<3}  {meaning}\n" for status, meaning in MEANINGS.items())
    return (
        "usage: wispy COMMAND ...\n\nLive Python objects in every browser.\n\ncommands:\n"
        + "".join(rows)
        + "\noptions:\n  --help     this text, or `wispy COMMAND --help` with examples\n  --version  the version\n"
        + "\nexit status:\n"
        + "".join(statuses)
    )
