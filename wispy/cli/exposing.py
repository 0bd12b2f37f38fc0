"""`wispy describe MODULE:OBJECT`: what a caller could touch of an object that is not served yet."""

import argparse
import asyncio
import re
import traceback
from typing import Final

from wispy.cli import printing
from wispy.config.load import load
from wispy.errors import StartError
from wispy.testing import surface
from wispy.worker.source import ObjectSource, from_specs

_SPEC: Final = re.compile(r"(\w+=)?[\w.]+:[\w.]+")
"""`[NAME=]MODULE:OBJECT`; a path of a served object has a colon only in the key of a dict."""


def is_spec(path: str) -> bool:
    """Whether what is to be described is a place in a module rather than a path."""
    return _SPEC.fullmatch(path) is not None


def exposed_text(arguments: argparse.Namespace) -> str:
    """What a caller with the roles of `--as` could touch, a line for each name.

    Raises:
        ConfigError: the configuration is wrong.
        StartError: the object cannot be imported, made or served.
    """
    config = load(arguments.config).config
    (source,) = from_specs([arguments.path])

    async def look() -> dict[str, str]:
        return surface(_built(source), source.name, config, frozenset(arguments.roles))

    # A class may ask for the running loop when it is made, as it would find one in a worker.
    found = asyncio.run(look())
    if arguments.json:
        return printing.as_json(found)
    width = max(map(len, found), default=0)
    return printing.plain("\n".join(f"{name:{width}}  {how}" for name, how in found.items()) or "nothing is accessible")


def _built(source: ObjectSource) -> object:
    try:
        return source.build()
    except StartError:
        raise
    except (Exception, SystemExit) as error:
        # As where it cannot be imported: the traceback is for who wrote the class.
        detail = "".join(traceback.format_exception(error))
        raise StartError(f"{detail}the object {source.name} cannot be made: {type(error).__name__}: {error}") from error
