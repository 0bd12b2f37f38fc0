"""Which server a command means: `--url`, else WISPY_URL, else the one that the configuration here would start."""

import argparse
import os
from collections.abc import Mapping
from typing import Final

from wispy.cli.outcome import CommandError
from wispy.config.load import load
from wispy.config.sources import CLIENT_URL

_ANY: Final = ("", "0.0.0.0", "::")  # noqa: S104 -- compared, not bound


def url_of(arguments: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> str:
    """The address of the server.

    Raises:
        CommandError: the configuration leaves it open.
        ConfigError: the configuration is wrong.
    """
    given = arguments.url or environ.get(CLIENT_URL)
    if given:
        return given
    config = load(arguments.config, environ=environ).config
    if config.port == 0:
        raise CommandError("the configuration says port 0, any free one: name the server with --url http://host:port")
    host = "127.0.0.1" if config.address in _ANY else config.address
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if config.tls.is_on else 'http'}://{host}:{config.port}{config.base_path}"
