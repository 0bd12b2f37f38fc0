"""The flags of the commands that set configuration: some with names of their own, `--set KEY=VALUE` for all."""

import argparse
from collections.abc import Collection
from typing import Any

from wispy.config import fields
from wispy.config.sources import FLAGS, Given, from_flag

_PLACEHOLDERS = {"redis.url": "URL", "port": "N", "address": "A", "processes": "N", "health_port": "N"}


def add_arguments(parser: argparse.ArgumentParser, keys: Collection[str] = ()) -> None:
    """Add `--config FILE`, `--set KEY=VALUE` and the named flags of some keys.

    Args:
        parser: of one command.
        keys: the dotted keys that this command has a named flag for, of those in `wispy.config.sources.FLAGS`.
    """
    settings = {".".join(path): setting for path, setting in fields.walk(fields.root())}
    parser.add_argument("--config", metavar="FILE", help="YAML file with the configuration")
    for key in keys:
        is_switch = settings[key].bare == (bool,)
        how: dict[str, Any] = (
            {"action": "store_const", "const": "true"} if is_switch else {"metavar": _PLACEHOLDERS[key]}
        )
        # argparse takes % as its own.
        parser.add_argument(FLAGS[key], dest=key, default=None, help=settings[key].meaning.replace("%", "%%"), **how)
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        type=_key_and_value,
        metavar="KEY=VALUE",
        help="set any key of the configuration by its dotted path, such as redis.prefix=lab: (may be repeated)",
    )


def overrides(arguments: argparse.Namespace) -> list[Given]:
    """What the flags that `add_arguments` added say, the weakest first: a named flag wins over `--set`."""
    given = [from_flag(f"--set {key}", key, text) for key, text in arguments.settings]
    named = ((key, flag, getattr(arguments, key, None)) for key, flag in FLAGS.items())
    return given + [from_flag(flag, key, text) for key, flag, text in named if text is not None]


def _key_and_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE")
    return key.strip(), value
