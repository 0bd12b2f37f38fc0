"""The commands: `wispy serve`, `wispy config`, `wispy-frontend`, `wispy-worker`.

A setting or an object that cannot be used ends a command with exit status 2 and one clear line.
"""

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence

import msgspec

from wispy import log
from wispy.app import Parts, prepared, run_all_in_one, run_parts
from wispy.config.flags import add_arguments, overrides
from wispy.config.load import Loaded, load
from wispy.config.schema import Config
from wispy.config.show import render
from wispy.errors import ConfigError, StartError
from wispy.version import __version__
from wispy.worker.source import from_specs

logger = logging.getLogger("wispy.app")

WEB_FLAGS = ("port", "address", "processes", "redis.url")
OBJECT_HELP = "an object to serve, [NAME=]MODULE:OBJECT: an instance, or a class or factory to call (repeatable)"


def main(argv: Sequence[str] | None = None) -> int:
    """The command `wispy`."""
    parser = argparse.ArgumentParser(prog="wispy", description="Live Python objects in every browser.")
    parser.add_argument("--version", action="version", version=f"wispy {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serving = commands.add_parser("serve", help="serve objects, all in one: frontends, worker and a private Redis")
    serving.add_argument("file", nargs="?", metavar="CONFIG", help="YAML file with the configuration")
    serving.add_argument("--object", action="append", default=[], dest="objects", help=OBJECT_HELP)
    add_arguments(serving, WEB_FLAGS)
    serving.set_defaults(run=_serve)

    showing = commands.add_parser("config", help="check the configuration, and print it with the source of each value")
    add_arguments(showing, WEB_FLAGS)
    showing.set_defaults(run=_show_config)
    return _guarded(parser.parse_args(argv))


def frontend(argv: Sequence[str] | None = None) -> int:
    """The command `wispy-frontend`."""
    parser = argparse.ArgumentParser(prog="wispy-frontend", description="Serve pages and relay calls to workers.")
    add_arguments(parser, WEB_FLAGS)
    parser.set_defaults(run=_frontend)
    return _guarded(parser.parse_args(argv))


def worker(argv: Sequence[str] | None = None) -> int:
    """The command `wispy-worker`."""
    parser = argparse.ArgumentParser(prog="wispy-worker", description="Own objects and run their code.")
    parser.add_argument("--object", action="append", default=[], dest="objects", required=True, help=OBJECT_HELP)
    add_arguments(parser, ("redis.url",))
    parser.set_defaults(run=_worker)
    return _guarded(parser.parse_args(argv))


def _guarded(arguments: argparse.Namespace) -> int:
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
    except (ConfigError, StartError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _load(arguments: argparse.Namespace) -> Loaded:
    file = getattr(arguments, "file", None) or arguments.config
    return load(file, overrides=overrides(arguments))


def _serve(arguments: argparse.Namespace) -> None:
    config = prepared(_load(arguments).config, is_all_in_one=True)
    sources = from_specs(arguments.objects)
    if not sources:
        raise StartError("there is no object to serve: name one with --object [NAME=]MODULE:OBJECT")
    run_all_in_one(config, sources)


def _show_config(arguments: argparse.Namespace) -> None:
    sys.stdout.write(render(_load(arguments)))


def _with_named_redis(config: Config, command: str) -> Config:
    if config.redis.url is None:
        raise StartError(
            f"{command} needs a Redis server that the others use too: --redis URL, as in redis://localhost"
        )
    return config


def _frontend(arguments: argparse.Namespace) -> None:
    config = _with_named_redis(prepared(_load(arguments).config, is_all_in_one=False), "wispy-frontend")
    log.configure(config.logging_config)
    # There are no objects here that would need a process of their own beside.
    parts = Parts(msgspec.structs.replace(config, multiprocessed=False), (), has_web=True)
    run_parts(parts, lambda: logger.info("the frontend listens at %s", parts.url))


def _worker(arguments: argparse.Namespace) -> None:
    config = _with_named_redis(prepared(_load(arguments).config, is_all_in_one=False), "wispy-worker")
    log.configure(config.logging_config)
    sources = from_specs(arguments.objects)
    names = ", ".join(source.name for source in sources)
    run_parts(
        Parts(config, sources, has_web=False), lambda: logger.info("the worker serves or stands by for %s", names)
    )
