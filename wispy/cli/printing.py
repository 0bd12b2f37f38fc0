"""Values, descriptions and errors as a command shows them: as text for people, as JSON for programs.

Rules:
- JSON is one line, and as on the wire: NaN is `{"$float": "NaN"}`, never silently another value.
- As text, what a server sends cannot move the terminal's cursor or write commands to it.
- Nothing is cut: who wants less has `| head`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import msgspec

from wispy.protocol import errors, values
from wispy.protocol.errors import RPCError

WIDTH: Final = 80
"""Characters of a list or dict that still stands on one line: that of a narrow terminal."""

_HINTS: Final = {
    errors.NOT_FOUND.code: "`wispy describe` shows what there is",
    errors.INVALID_PARAMS.code: "`wispy describe {what}` shows what it takes",
    errors.NO_OWNER.code: "is its worker running?",
    errors.NOT_STARTED.code: "is its worker running, and not busy?",
    errors.UNAUTHENTICATED.code: "the server wants to know who asks",
}


def as_json(value: Any) -> str:
    """A value as one line of JSON."""
    return values.encode(value).decode()


def as_text(value: Any) -> str:
    """A value for people: a text as it is, everything else as JSON, over several lines where it is long."""
    if isinstance(value, str):
        return plain(value)
    text = values.encode(value)
    indent = 2 if len(text) > WIDTH and isinstance(value, list | dict) else 0
    return plain(msgspec.json.format(text, indent=indent).decode())


def plain(text: str) -> str:
    """The text with what would control a terminal made visible."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def problem(what: str, error: RPCError) -> str:
    """What went wrong, and what to do, on one line (an object's own traceback, where it came along, below it)."""
    name = errors.BY_CODE[error.code].name if error.code in errors.BY_CODE else str(error.code)
    outcome = {"no": "it did not run", "yes": "it ran", "maybe": "it may have run"}[error.executed]
    hint = _HINTS.get(error.code, "").replace("{what}", what)
    traceback = error.data.get("traceback")
    line = f"{what}: {' '.join(error.message.split())} ({name}, {outcome}){f'; {hint}' if hint else ''}"
    return plain(f"{line}\n{traceback}".rstrip() if isinstance(traceback, str) else line)


def problem_json(error: RPCError) -> str:
    """The same for programs: the JSON-RPC error object."""
    return error.to_json().decode()


def description(name: str, described: dict[str, Any], channels: Sequence[str]) -> str:
    """What `rpc.describe` says of an object, an attribute or a method, for people."""
    return plain("\n".join(_description(name, described, channels)))


def objects(interfaces: dict[str, list[str]]) -> str:
    """Objects, each with its members' names."""
    if not interfaces:
        return "no object is served"
    return plain(
        "\n".join(f"{name}: {', '.join(members) or 'nothing is accessible'}" for name, members in interfaces.items())
    )


def _description(name: str, described: dict[str, Any], channels: Sequence[str]) -> Iterator[str]:
    if described.get("kind") == "method":
        yield f"{name}{described['signature'].removeprefix(described['name'].rpartition('.')[2])}"
    else:
        kind = described.get("type") or described.get("kind")
        yield f"{name}: {kind}{'' if described.get('settable', True) else ', read-only'}"
    yield from _indented(described.get("doc", ""))
    members = _members(described)
    attributes = [each for each in members if each["kind"] != "method"]
    methods = [each for each in members if each["kind"] == "method"]
    if attributes:
        yield "\nAttributes"
        width = max(len(each["name"]) for each in attributes)
        for each in attributes:
            read_only = "" if each["settable"] or each["kind"] == "object" else ", read-only"
            yield f"  {each['name']:{width}}  {each['type'] or 'any type'}{read_only}"
            yield from _indented(each["doc"], by=width + 4)
    if methods:
        yield "\nMethods"
        for each in methods:
            yield f"  {each['signature']}"
            yield from _indented(each["doc"], by=6)
    if channels:
        yield f"\nChannels\n  {'  '.join(channels)}"


def _members(described: dict[str, Any]) -> list[dict[str, Any]]:
    return [*cast(list[Any], described.get("attributes", [])), *cast(list[Any], described.get("methods", []))]


def _indented(doc: str, by: int = 4) -> Iterator[str]:
    for line in doc.splitlines():
        yield (" " * by + line).rstrip()
