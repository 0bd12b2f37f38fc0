"""What of a configuration depends on the program that uses it, and on where that runs."""

import sys
from pathlib import Path

import msgspec

from wispy.config.schema import Config, StaticConfig
from wispy.config.units import Seconds
from wispy.surroundings import working_folder


def prepared(config: Config, *, is_all_in_one: bool) -> Config:
    """The configuration with what depends on the kind of program: whether to restore, whether there is a console
    and metrics, and where folders are.

    Raises:
        StartError: a folder would be in the working directory, which has been removed.
    """
    lease = config.lease
    if lease.restore is None:
        lease = msgspec.structs.replace(lease, restore=not is_all_in_one)
    # A frontend by itself listens on loopback too: behind a proxy, for all the world.
    has_console = config.has_console if is_all_in_one or config.console != "auto" else config.debug
    has_metrics = config.has_metrics if is_all_in_one or config.metrics != "auto" else config.debug
    located = {route: _located(folder) for route, folder in config.static.routes().items()}
    is_default = config.static.folders == StaticConfig().folders
    # The default folder need not exist; one that was asked for is missed in the log.
    folders = {route: str(path) for route, path in located.items() if path.is_dir() or not is_default}
    static = msgspec.structs.replace(config.static, folders=folders)
    uploading = {route: str(_located(folder)) for route, folder in config.upload.routes().items()}
    upload = msgspec.structs.replace(config.upload, folders=uploading)
    return msgspec.structs.replace(
        config, lease=lease, static=static, upload=upload, console=has_console, metrics=has_metrics
    )


def _located(folder: str) -> Path:
    """A relative folder is looked for in the working directory, then beside the program's main file."""
    path = Path(folder)
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    if not path.is_dir() and main_file is not None:
        beside = Path(main_file).parent / folder
        if beside.is_dir():
            return beside.resolve()
    return path if path.is_absolute() else working_folder() / path


def with_redis_url(config: Config, url: str) -> Config:
    """The configuration with this server."""
    return msgspec.structs.replace(config, redis=msgspec.structs.replace(config.redis, url=url))


def without_draining(config: Config) -> Config:
    """The configuration where nobody else serves: clients have nowhere to go, and need not be waited for."""
    return msgspec.structs.replace(config, websocket=msgspec.structs.replace(config.websocket, drain=Seconds(0)))
