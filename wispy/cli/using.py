"""A running object from a terminal: `call`, `get`, `set`, `delete`, `describe`, `source`.

Each is one connection and one request (`describe` of an object: two). A call's result that is None is not shown, as in
Python's own prompt.
"""

import argparse
import asyncio
import os
import sys
import textwrap
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from wispy.cli import printing
from wispy.cli.exposing import exposed_text, is_spec
from wispy.cli.outcome import NO_SERVER, NOT_LET_IN, OF_EXECUTED, CommandError
from wispy.cli.target import url_of
from wispy.cli.words import arguments_of, path_of, text_of, value_of
from wispy.client.proxies import Names
from wispy.client.rpc import Rpc, connect
from wispy.config.sources import CLIENT_TOKEN
from wispy.protocol import errors
from wispy.protocol.errors import RPCError

CONNECT_S: Final = 3.0
"""How long a server may take to let a command in: a person waits. It includes one that is just being started."""

Work = Callable[[Rpc], Awaitable[None]]


def call(arguments: argparse.Namespace) -> int:
    """`wispy call PATH [ARGUMENT...]`."""
    names = path_of(arguments.path)
    args, kwargs = arguments_of(arguments.words)

    async def work(rpc: Rpc) -> None:
        result = await rpc.invoke(names, args, kwargs)
        if result is not None or arguments.json:
            _show(arguments, result)

    return asked(arguments, names, work)


def get(arguments: argparse.Namespace) -> int:
    """`wispy get PATH`."""
    names = path_of(arguments.path)

    async def work(rpc: Rpc) -> None:
        _show(arguments, await rpc.get(names))

    return asked(arguments, names, work)


def set_(arguments: argparse.Namespace) -> int:
    """`wispy set PATH VALUE`."""
    names = path_of(arguments.path)
    value = value_of(arguments.value)
    return asked(arguments, names, lambda rpc: rpc.set(names, value))


def delete(arguments: argparse.Namespace) -> int:
    """`wispy delete PATH`."""
    names = path_of(arguments.path)
    return asked(arguments, names, lambda rpc: rpc.delete(names))


def describe(arguments: argparse.Namespace) -> int:
    """`wispy describe [PATH]`, or `wispy describe MODULE:OBJECT [--as ROLE]...`."""
    if arguments.path is not None and is_spec(arguments.path):
        _write(exposed_text(arguments))
        return 0
    if arguments.roles:
        raise CommandError("--as is for MODULE:OBJECT; of a served object is shown what the caller himself may touch")
    if arguments.path is None:
        return asked(arguments, (), lambda rpc: _list_objects(arguments, rpc))
    names = path_of(arguments.path, least=1)

    async def work(rpc: Rpc) -> None:
        described = await rpc.describe(names)
        channels = await rpc.list_channels(names[0]) if len(names) == 1 else []
        if arguments.json:
            _show(arguments, described | {"channels": channels} if len(names) == 1 else described)
        else:
            _write(printing.description(".".join(names), described, channels))

    return asked(arguments, names, work)


async def _list_objects(arguments: argparse.Namespace, rpc: Rpc) -> None:
    document = await rpc.discover()
    attributes = cast(dict[str, list[dict[str, Any]]], document["x-wispy"]["attributes"])
    found = {name: [each["name"] for each in members] for name, members in attributes.items()}
    for method in document["methods"]:
        name, _, member = method["name"].partition(".")
        found.setdefault(name, []).append(f"{member}()")
    _write(printing.as_json(found) if arguments.json else printing.objects(found))


def source(arguments: argparse.Namespace) -> int:
    """`wispy source PATH`."""
    names = path_of(arguments.path)

    async def work(rpc: Rpc) -> None:
        text = await rpc.source(names)
        _show(arguments, text if arguments.json else textwrap.dedent(text).rstrip("\n"))

    return asked(arguments, names, work)


def asked(arguments: argparse.Namespace, names: Names, work: Work) -> int:
    """Connect, do the work, and say how it went; the exit status.

    Args:
        arguments: of the command.
        names: what it is about, for its errors.
        work: what to do with the connection.

    Raises:
        CommandError: the server's address is none.
    """
    return asyncio.run(_asked(arguments, url_of(arguments), names, work))


async def _asked(arguments: argparse.Namespace, url: str, names: Names, work: Work) -> int:
    try:
        token = text_of(arguments.token or os.environ.get(CLIENT_TOKEN) or "") or None
        rpc = connect(url, connect_timeout_s=CONNECT_S, timeout_s=arguments.timeout, token=token)
    except ValueError as error:
        raise CommandError(f"{error}") from error
    try:
        await rpc.open()
    except RPCError as error:
        status, text = _kept_out(error, has_token=token is not None)
        _complain(arguments, error, f"wispy: {text}")
        return status
    try:
        await work(rpc)
    except RPCError as error:
        _complain(arguments, error, printing.problem(".".join(names) or "wispy", error))
        return OF_EXECUTED[error.executed]
    finally:
        await rpc.close()
    return 0


def _kept_out(error: RPCError, *, has_token: bool) -> tuple[int, str]:
    """Why there is no connection: the exit status, and what to do about it."""
    if error.code == errors.UNAUTHENTICATED.code:
        known = (
            "the server does not take this token: show another one"
            if has_token
            else "the server wants a token: show it"
        )
        return NOT_LET_IN, f"{known} with --token or WISPY_TOKEN"
    if not error.retryable:
        return NOT_LET_IN, f"{error.message}; is its address right? (--url http://host:port)"
    return NO_SERVER, f"{error.message}; start one with `wispy serve`, or name its address with --url http://host:port"


def _complain(arguments: argparse.Namespace, error: RPCError, text: str) -> None:
    sys.stderr.write(f"{printing.problem_json(error) if arguments.json else printing.plain(text)}\n")


def _show(arguments: argparse.Namespace, value: Any) -> None:
    _write(printing.as_json(value) if arguments.json else printing.as_text(value))


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
