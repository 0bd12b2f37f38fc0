"""The rows of the attack suite, and what each of them must leave as it was.

A door has one file in `data/`, a list of rows. Every row has a `name`, a `why` (which attack it is) and what must be
answered. Long inputs are written by tags: `!repeat [text, times]`, `!join [...]`, `!nest [levels]`, `!batch [entry,
times]`, `!names [start, count]`, `!nested [levels]`, `!list [item, times]`, `!hex '00ff'`, `!json text`,
`!json-number [digit, times]`, `!jwt-header [text, times]`.
"""

import base64
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.security.served import SECRET
from wispy.protocol import errors

DATA = Path(__file__).with_name("data")

SESSION_SECRET = "a secret of frontends and workers, which nobody outside may learn"

LEAKS = re.compile(
    "|".join(
        (
            *("Traceback", 'File "', r"[/\\]\w+\.py\b", "site-packages", "object at 0x", r"<[a-z]\w* '"),
            *map(re.escape, (str(Path.home()), tempfile.gettempdir(), str(Path(__file__).parents[2]))),
            *(SECRET, SESSION_SECRET),
        )
    )
)
"""What no answer may hold: traces of code, paths of the server, representations of objects, secrets."""


class Loader(yaml.SafeLoader):
    """YAML with short forms for long inputs."""


def _tag(name: str, function: Any) -> None:
    def construct(loader: Any, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return function(loader.construct_scalar(node))
        return function(*loader.construct_sequence(node, deep=True))

    Loader.add_constructor(f"!{name}", construct)


class RawJson(str):
    """A text that goes into a message as it is."""


_tag("repeat", lambda text, times: text * times)
_tag("join", lambda *parts: "".join(parts))
_tag("nest", lambda levels: "[" * levels + "]" * levels)
_tag("batch", lambda entry, times: f"[{','.join([entry] * times)}]")
_tag("names", lambda start, count: [f"{start}{number}" for number in range(count)])
_tag("nested", lambda levels: json.loads("[" * levels + "]" * levels))
_tag("list", lambda item, times: [item] * times)
_tag("answers", lambda id, name, times: [[id, name]] * times)
_tag("json-number", lambda digit, times: RawJson(f"[{digit * times}]"))
_tag(
    "jwt-header",
    lambda text, times: f"{base64.urlsafe_b64encode((text * times).encode()).decode().rstrip('=')}.e30.e30",
)
_tag("hex", bytes.fromhex)
_tag("json", RawJson)


def rows(door: str) -> list[dict[str, Any]]:
    """The rows of a door."""
    text = (DATA / f"{door}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader)


def each(door: str) -> pytest.MarkDecorator:
    """A test of each row of a door."""
    return pytest.mark.parametrize("row", [pytest.param(row, id=row["name"]) for row in rows(door)])


def doors() -> list[str]:
    """The names of all doors."""
    return sorted(path.stem for path in DATA.glob("*.yaml"))


def message_of(method: str, params: Any = None, id: Any = 1) -> str:
    """The text of a request."""
    members = {"jsonrpc": "2.0", "id": id, "method": method}
    text = json.dumps(members)
    if params is None:
        return text
    return f'{text[:-1]}, "params": {params if isinstance(params, RawJson) else json.dumps(params)}}}'


CALL = message_of("vault.add", [1])
"""A call that does no harm."""

JSON = "Content-Type: application/json"


def operations(path: Any) -> dict[str, str]:
    """Everything that can be asked of a path."""
    asked = {
        "get": message_of("rpc.get", {"path": path}),
        "set": message_of("rpc.set", {"path": path, "value": 1}),
        "delete": message_of("rpc.delete", {"path": path}),
        "call": message_of("rpc.call", {"path": path}),
        "describe": message_of("rpc.describe", {"path": path}),
        "source": message_of("rpc.source", {"path": path}),
    }
    if isinstance(path, str):
        asked["method"] = message_of(path)
    return asked


def refusal(answer: Any, **data: bool) -> list[str]:
    """Name and message of an answer's error; an answer that is none fails the test.

    `data` is what the row says otherwise than the table of errors.
    """
    assert "error" in answer, f"this should have been refused: {str(answer)[:300]}"
    assert answer["jsonrpc"] == "2.0"
    return error_of(answer["error"], **data)


def error_of(error: Any, **data: bool) -> list[str]:
    """Name and message of an error object, which must have the shape of all of them."""
    assert error.keys() == {"code", "message", "data"}, error
    kind = errors.BY_CODE[error["code"]]
    assert error["data"] == {"executed": "no", "retryable": kind.retryable, **data}, error
    assert 0 < len(error["message"]) <= 1500
    return [kind.name, error["message"]]


def expected(name: str, says: str | None = None) -> list[str]:
    """The refusal of a name in the table of errors; where the row does not say how, with the table's own text."""
    kind: errors.ErrorType = getattr(errors, name)
    return [kind.name, kind.message if says is None else says]


def check_no_leak(answer: Any) -> None:
    """Nothing of the server's insides is in an answer."""
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    found = LEAKS.search(text)
    assert found is None, f"{found[0]!r} in {text[:500]}"
