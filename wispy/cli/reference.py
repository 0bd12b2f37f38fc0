"""The page docs/reference/commands.md: all commands, as `--help` tells of each, and their exit statuses."""

from collections.abc import Iterator

from wispy.cli.commands import COMMANDS, FRONTEND, WORKER
from wispy.cli.outcome import MEANINGS


def reference() -> str:
    """The text of the page."""
    return _REFERENCE_HEAD + "\n".join(_reference())


def _reference() -> Iterator[str]:
    yield "| exit status | meaning |\n| --- | --- |"
    yield from (f"| {status} | {meaning} |" for status, meaning in MEANINGS.items())
    for command in (*COMMANDS, FRONTEND, WORKER):
        yield f"\n## {command.name}\n\n```\n{command.parser().format_help().rstrip()}\n```"
    yield ""


_REFERENCE_HEAD = """\
# Commands

Made from the table in `wispy/cli/commands.py` by `make docs`; a test holds the two together.

`wispy call`, `get`, `set`, `delete`, `watch`, `top`, `describe` and `source` use an object that runs already, as a page
does: through a frontend, with the same promises and errors. What is asked for goes to standard output, all else to
standard error.

- **Values**: a word that is JSON is that value (`5`, `true`, `'[1, 2]'`), any other is a text. `NAME=VALUE` is an
  argument by name. Other values are written as [on the wire](protocol.md#values): `'{"$float": "NaN"}'`.
- **Output**: a text as it is, everything else as JSON, indented where it is long. With `--json` one line of JSON, an
  error as the JSON-RPC error object, on standard error.
- **Exit status**: it says whether a request ran, as [errors](errors.md) do. After 3 and 5 a script may try again;
  after 4 it has to look first, and after 6 it needs a token.

"""
