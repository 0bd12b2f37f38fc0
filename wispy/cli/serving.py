"""`serve`, `config`, and the commands of single processes: `wispy-frontend`, `wispy-worker`."""

import argparse
import logging
import sys

import msgspec

from wispy import log
from wispy.app import Parts, prepared, run_all_in_one, run_parts
from wispy.config.flags import overrides
from wispy.config.load import Loaded, load
from wispy.config.schema import Config
from wispy.config.show import render
from wispy.errors import StartError
from wispy.worker.source import from_specs

logger = logging.getLogger("wispy.app")


def serve(arguments: argparse.Namespace) -> None:
    """`wispy serve [CONFIG] [--object ...]`."""
    config = prepared(_load(arguments).config, restore=False)
    sources = from_specs(arguments.objects)
    if not sources:
        raise StartError("there is no object to serve: name one with --object [NAME=]MODULE:OBJECT")
    run_all_in_one(config, sources)


def show_config(arguments: argparse.Namespace) -> None:
    """`wispy config`."""
    sys.stdout.write(render(_load(arguments)))


def frontend(arguments: argparse.Namespace) -> None:
    """`wispy-frontend`."""
    config = _with_named_redis(prepared(_load(arguments).config, restore=True), "wispy-frontend")
    log.configure(config.logging_config)
    # There are no objects here that would need a process of their own beside.
    parts = Parts(msgspec.structs.replace(config, multiprocessed=False), (), has_web=True)
    run_parts(parts, lambda: logger.info("the frontend listens at %s", parts.url))


def worker(arguments: argparse.Namespace) -> None:
    """`wispy-worker`."""
    config = _with_named_redis(prepared(_load(arguments).config, restore=True), "wispy-worker")
    log.configure(config.logging_config)
    sources = from_specs(arguments.objects)
    names = ", ".join(source.name for source in sources)
    run_parts(
        Parts(config, sources, has_web=False), lambda: logger.info("the worker serves or stands by for %s", names)
    )


def _load(arguments: argparse.Namespace) -> Loaded:
    file = getattr(arguments, "file", None) or arguments.config
    return load(file, overrides=overrides(arguments))


def _with_named_redis(config: Config, command: str) -> Config:
    if config.redis.url is None:
        raise StartError(
            f"{command} needs a Redis server that the others use too: --redis URL, as in redis://localhost"
        )
    return config
