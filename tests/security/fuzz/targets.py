"""What is fuzzed: functions that take any bytes, and raise if a rule is broken. They know nothing of the fuzzer.

A target holds the code against another way to the same answer (the standard library's JSON, the same bytes in other
pieces) or against a rule (nothing secret comes out, nothing outside the folder is named). What the code refuses with
its own error is fine; any other exception is a find.
"""

import json
import math
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from tornado.httputil import HTTPHeaders, HTTPInputError, HTTPServerRequest, RequestStartLine

from tests.security.served import SECRET, Vault, state_of, touches
from wispy.config.schema import Config, InterfaceConfig, UploadRulesConfig
from wispy.frontend.auth.credentials import credentials_of
from wispy.frontend.compressed import accepts_gzip
from wispy.frontend.forwarded import Forwarded
from wispy.frontend.guard import Guard
from wispy.frontend.upload_rules import RefusedError, UploadFolder
from wispy.protocol import errors, jsonrpc, values
from wispy.protocol.frames import FrameParser, ProtocolError
from wispy.protocol.nesting import MAX_DEPTH
from wispy.protocol.paths import PathError, parse_path
from wispy.protocol.positions import parse_position
from wispy.protocol.relay import RelayedRequest
from wispy.protocol.room import Room
from wispy.worker.access import Access
from wispy.worker.requests import to_call

# --- JSON-RPC messages ------------------------------------------------------------------------------------------------

BATCH_LIMIT: Final = 8
DIGITS_LIMIT: Final = 20
LONG_NUMBER: Final = re.compile(rf"\d{{{DIGITS_LIMIT + 1}}}")


def message(data: bytes) -> None:
    """A message is read as Python's own JSON reads it, or refused by an answer that is JSON."""
    try:
        parsed = jsonrpc.parse(data, batch_limit=BATCH_LIMIT, digits_limit=DIGITS_LIMIT)
    except jsonrpc.InvalidMessageError as error:
        answer = json.loads(error.reply())
        assert answer["error"]["data"] == {"executed": "no", "retryable": False}
        return
    json.loads(data, parse_int=check_digits, parse_float=check_digits)
    reference = strictly(data)
    assert isinstance(parsed, list) is isinstance(reference, list)
    entries = parsed if isinstance(parsed, list) else [parsed]
    expected = reference if isinstance(reference, list) else [reference]
    assert len(entries) == len(expected) <= BATCH_LIMIT
    for entry, plain in zip(entries, expected, strict=True):
        if isinstance(entry, jsonrpc.InvalidMessageError):
            json.loads(entry.reply())
        else:
            check_request(entry, plain)


def check_digits(number: str) -> None:
    assert LONG_NUMBER.search(number) is None, number


def check_request(request: jsonrpc.Request, plain: dict[str, Any]) -> None:
    assert plain["jsonrpc"] == "2.0"
    assert request.method == plain["method"]
    assert (request.id is None) is ("id" not in plain)
    if request.id is not None:
        assert same(strictly(request.id), plain["id"])
        assert len(request.id) <= jsonrpc.MAX_ID_BYTES
    if request.params is not jsonrpc.NO_PARAMS:
        assert same(strictly(bytes(request.params)), plain["params"])
    try:
        call = to_call("session", RelayedRequest(1, 0, False, request.method, request.params), 0.0, None)
    except errors.RPCError as error:
        json.loads(error.to_json())
        return
    assert len(call.path) < 32
    for text in (call.params, call.kwargs):
        if text:
            strictly(text)


def strictly(data: bytes) -> Any:
    """What Python's own JSON reads, with no more than JSON allows."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(data.decode(), parse_constant=refuse, parse_int=_number, parse_float=float)


def _number(digits: str) -> Any:
    return int(digits) if len(digits) < 4000 else digits


# --- values -----------------------------------------------------------------------------------------------------------


def value(data: bytes) -> None:
    """What is decoded is encoded as a text that is decoded as the same; what has no tag is what Python reads."""
    try:
        decoded = values.decode(data)
    except values.DecodeError:
        return
    if b"$" not in data and b"\\" not in data:
        assert same(decoded, strictly(data))
    try:
        text = values.encode(decoded)
    except values.UnencodableError as error:
        assert "deep" in str(error), error  # tags take levels of their own
        return
    assert same(values.decode(text), decoded)
    assert b"NaN" not in text.replace(b'"NaN"', b"") or b"NaN" in data
    depth = max_depth(strictly(text))
    assert depth <= MAX_DEPTH


def max_depth(plain: Any) -> int:
    deepest, level = 0, [plain]
    while level := [item for item in level if isinstance(item, list | dict)]:
        deepest += 1
        level = [part for item in level for part in (item.values() if isinstance(item, dict) else item)]
    return deepest


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(other, str) and isinstance(one, int | float) and not isinstance(one, bool):
        return len(other) >= 4000  # `_number` leaves those
    return type(one) is type(other) and one == other


# --- websocket frames -------------------------------------------------------------------------------------------------

MESSAGE_LIMIT: Final = 5000


def frame(data: bytes) -> None:
    """Whatever the pieces in which frames come, the same messages come of them, or the same refusal."""
    whole = outcome([data])
    size = 1 + len(data) % 7
    assert outcome([data[start : start + size] for start in range(0, len(data), size)]) == whole
    text = FrameParser(MESSAGE_LIMIT, Room()).whole_text(data)
    if text is not None:
        assert whole == ([(1, text)], None, 0)


def outcome(pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], int | None, int]:
    """Messages and control frames, the code of the refusal, and how much is still to be taken."""
    parser = FrameParser(MESSAGE_LIMIT, Room())
    taken: list[tuple[int, bytes]] = []
    for piece in pieces:
        parser.feed(piece)
        try:
            while (event := parser.next()) is not None:
                if event[0] != 0:
                    assert len(event[1]) <= MESSAGE_LIMIT
                    taken.append(event)
        except ProtocolError as error:
            return taken, error.code, 0
    return taken, None, parser.pending


# --- paths into an object ---------------------------------------------------------------------------------------------

SETTINGS: Final = [
    InterfaceConfig(),
    InterfaceConfig(expose="declared"),
    InterfaceConfig(include_internals=True),
    InterfaceConfig(include_internals=True, include_dunders=True, max_interface_depth=8),
]
OPERATIONS: Final = ("get", "set", "delete", "resolve_call", "describe", "source")
HIDDEN: Final = frozenset({"publish", "tracked_channel_values", "event_channels", "wispy_name"})
ROLES: Final = (frozenset[str](), frozenset({"boss"}))
# What the author serves and an attacker may therefore reach, with the settings that open more.
OPENED: Final = {2: ("_x", "_pin", "_private", "_hidden_property", "_wire"), 3: ()}

_vaults: dict[int, tuple[Vault, Access]] = {}


def path(data: bytes) -> None:
    """A path ends at what is served, or in a refusal; nothing that is not served is touched, no class is changed.

    The first byte says which operation under which settings; then comes the path, and behind a line end a value.
    """
    if not data:
        return
    number = data[0] % len(SETTINGS)
    operation = OPERATIONS[data[0] // len(SETTINGS) % len(OPERATIONS)]
    roles = ROLES[data[0] >> 7]
    given, _, raw = data[1:].partition(b"\n")
    try:
        names = parse_path(values.decode(given) if given[:1] == b"[" else given.decode())
        value = values.decode(raw) if raw else None
    except (PathError, values.DecodeError, UnicodeDecodeError):
        return
    vault, access = _vaults.get(number) or _make(number)
    touches.clear()
    before = state_of(vault)
    arguments = (names, value, roles) if operation == "set" else (names, roles)
    try:
        result = getattr(access, operation)(*arguments)
        if operation == "resolve_call":
            result.bind(value if isinstance(value, list) else [], value if isinstance(value, dict) else {})
    except errors.RPCError as error:
        error.to_json()
        assert SECRET not in error.message
        result = None
    except AttributeError:
        assert operation == "delete"  # of what stands in the class alone: Python's own answer
        result = None
    if number < 2:
        assert touches == [], touches
        check_harmless(result)
    if operation in ("get", "resolve_call", "describe", "source"):
        assert state_of(vault) == before
    else:
        assert classes(state_of(vault)) == classes(before)
        _vaults.pop(number, None)


def _make(number: int) -> tuple[Vault, Access]:
    vault = Vault()
    _vaults[number] = vault, Access(vault, SETTINGS[number], hidden=HIDDEN)
    return _vaults[number]


def classes(state: str) -> str:
    """What belongs to all instances, and to the module."""
    return state.partition("; Vault: ")[2]


def check_harmless(result: Any) -> None:
    """What a page is given can be sent, and holds no secret; or it cannot be sent."""
    if hasattr(type(result), "bind"):
        return  # a method, ready to be called
    try:
        assert SECRET.encode() not in values.encode(result)
    except values.UnencodableError as error:
        assert SECRET not in str(error)


# --- paths of files ---------------------------------------------------------------------------------------------------

_outside: "tempfile.TemporaryDirectory[str] | None" = None


def file(data: bytes) -> None:
    """No path leads out of the folder, and no text of an answer names the folder."""
    inside = Path((_outside or _make_folders()).name, "uploads")
    rules = UploadRulesConfig(file_creation_whitelist=("*",), file_overwrite_whitelist=("*",))
    uploads = UploadFolder(inside, rules)
    name = data.decode("utf-8", "surrogateescape")
    try:
        target = uploads.target(name)
    except RefusedError as error:
        assert str(inside) not in error.text
    else:
        assert target.path.parent.resolve().is_relative_to(inside.resolve())
        assert "\0" not in str(target.path)
        assert not target.path.is_symlink()
        assert not target.path.name.startswith(".")
    try:
        assert "secret.txt" not in uploads.listing(name).names
    except RefusedError as error:
        assert str(inside) not in error.text


def _make_folders() -> "tempfile.TemporaryDirectory[str]":
    """They go with the process."""
    global _outside
    _outside = tempfile.TemporaryDirectory(prefix="wispy-fuzz-")
    outside = Path(_outside.name)
    inside = outside / "uploads"
    (inside / "inner").mkdir(parents=True)
    (outside / "secret.txt").write_text(SECRET)
    (inside / "outward").symlink_to(outside)
    (inside / "link.png").symlink_to(outside / "secret.txt")
    (inside / "x.png").write_text("x")
    return _outside


# --- headers ----------------------------------------------------------------------------------------------------------

_config = msgspec.structs.replace(
    Config(),
    allowed_hosts=("lab.example.org",),
    allowed_origins=("https://lab.example.org",),
    trusted_proxies=("10.0.0.0/8",),
)
_guard = Guard(_config)
_forwarded = Forwarded(_config)
_HOSTS: Final = ("localhost", "127.0.0.1", "::1", "lab.example.org")


def header(data: bytes) -> None:
    """Only the known hosts and origins pass, however they are written; nothing that a header holds raises."""
    lines = data.decode("latin-1").split("\n")
    names = ("Host", "Origin", "X-Forwarded-For", "X-Forwarded-Host", "Authorization", "Cookie", "Accept-Encoding")
    headers = HTTPHeaders()
    for name, line in zip(names, lines, strict=False):
        headers[name] = line.strip("\r\0")
    try:
        request = HTTPServerRequest(headers=headers, start_line=RequestStartLine("POST", "/rpc", "HTTP/1.1"))
    except HTTPInputError:
        return
    request.remote_ip = "10.0.0.1" if len(data) % 2 else "192.0.2.1"
    _forwarded.apply(request)
    host = request.host.lower()
    if not _guard.refuses_host(request):
        name = host.rpartition("@")[2]
        assert any(name.strip("[]").startswith(each) or f"[{each}]" in name for each in _HOSTS), host
    origin = headers.get("Origin")
    if origin is not None and not _guard.refuses_origin(request):
        assert origin.lower() in (f"http://{host}", f"https://{host}", "https://lab.example.org")
    assert len(credentials_of(request, "token", is_from_proxy=False).token or "") <= 16 << 10
    accepts_gzip(headers.get("Accept-Encoding", ""))
    try:
        epoch, offset = parse_position(lines[0])
    except ValueError:
        return
    assert epoch
    assert offset >= 0


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "message": message,
    "value": value,
    "frame": frame,
    "path": path,
    "file": file,
    "header": header,
}
