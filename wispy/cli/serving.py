"""`serve`, `config`, and the commands of single processes: `wispy-frontend`, `wispy-worker`."""

import argparse
import logging
import sys
from pathlib import Path

import msgspec

from wispy import log
from wispy.app import run_all_in_one
from wispy.cli.exposing import is_spec
from wispy.cli.outcome import CommandError
from wispy.config.flags import overrides
from wispy.config.load import Loaded, load
from wispy.config.prepare import prepared
from wispy.config.schema import Config
from wispy.config.show import render
from wispy.errors import StartError
from wispy.parts import Parts, run_parts
from wispy.reload.files import own_folders
from wispy.reload.handover import Handover
from wispy.reload.watcher import enter
from wispy.surroundings import outlive_readers, working_folder
from wispy.worker.source import ObjectSource, from_specs

logger = logging.getLogger("wispy.app")


def serve(arguments: argparse.Namespace) -> None:
    """`wispy serve [CONFIG] [--object ...]`."""
    file = arguments.file
    if file is not None and arguments.config is not None:
        raise CommandError(f"two configuration files are given: {file} and --config {arguments.config}")
    if file is not None and is_spec(file) and not Path(file).exists():
        raise CommandError(f"there is no configuration file {file}; an object is named with --object {file}")
    if file is not None and file.endswith(".py"):
        raise CommandError(
            f"{file} is a program, and no configuration: run it with python {file}, or name an object in it with "
            f"--object {Path(file).stem}:OBJECT"
        )
    config = prepared(_load(arguments).config, is_all_in_one=True)
    if not arguments.objects:
        raise StartError("there is no object to serve: name one with --object [NAME=]MODULE:OBJECT")
    handover = enter(config, [working_folder()])  # before an object is imported, which may fail
    run_all_in_one(config, _sources(arguments, handover), handover)


def show_config(arguments: argparse.Namespace) -> None:
    """`wispy config`."""
    sys.stdout.write(render(_load(arguments)))


def frontend(arguments: argparse.Namespace) -> None:
    """`wispy-frontend`."""
    config = _with_named_redis(prepared(_load(arguments).config, is_all_in_one=False), "wispy-frontend")
    outlive_readers()
    log.configure(config.logging_config, config.audit)
    # There are no objects here that would need a process of their own beside.
    parts = Parts(msgspec.structs.replace(config, multiprocessed=False), (), has_web=True)
    run_parts(parts, lambda: logger.info("the frontend listens at %s", parts.url))


def worker(arguments: argparse.Namespace) -> None:
    """`wispy-worker`."""
    config = _with_named_redis(prepared(_load(arguments).config, is_all_in_one=False), "wispy-worker")
    outlive_readers()
    log.configure(config.logging_config, config.audit)
    handover = enter(config, [working_folder()])
    sources = _sources(arguments, handover)
    names = ", ".join(source.name for source in sources)
    parts = Parts(config, sources, has_web=False, handover=handover)
    run_parts(parts, lambda: logger.info("the worker serves or stands by for %s", names))


def _sources(arguments: argparse.Namespace, handover: Handover | None) -> list[ObjectSource]:
    """The objects; where one cannot be imported, a watcher still learns what was, to know what may mend it."""
    try:
        return from_specs(arguments.objects)
    finally:
        if handover is not None:
            handover.tell_folders(own_folders())


def _load(arguments: argparse.Namespace) -> Loaded:
    file = getattr(arguments, "file", None) or arguments.config
    return load(file, overrides=overrides(arguments))


def _with_named_redis(config: Config, command: str) -> Config:
    if config.redis.url is None:
        raise StartError(
            f"{command} needs a Redis server that the others use too: --redis URL, as in redis://localhost"
        )
    return config
