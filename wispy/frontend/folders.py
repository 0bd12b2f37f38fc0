"""The configuration's folders, and where a path below one really is."""

import logging
import os
from pathlib import Path

from wispy.config.schema import Config

log = logging.getLogger("wispy.frontend")


def static_folders(config: Config) -> dict[str, Path]:
    """Route to folder, of the static folders that exist; the others are named in the log."""
    found: dict[str, Path] = {}
    for route, folder in config.static.routes().items():
        path = Path(folder).absolute()
        if path.is_dir():
            found[route] = path
        else:
            log.warning("static.folders: there is no folder %s", path)
    return found


def upload_folders(config: Config) -> dict[str, Path]:
    """Route to folder, of the folders that take uploads. One that is not there is made."""
    found: dict[str, Path] = {}
    for route, folder in config.upload.routes().items():
        path = found[route] = Path(folder).absolute()
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            log.warning("upload.folders: the folder %s cannot be made: %s", path, error)
    return found


def real_file(root: str, path: str) -> str | None:
    """Where a path below a folder really is, symbolic links followed; None if that is outside, or cannot be."""
    try:
        real_root = os.path.realpath(root)
        real = os.path.realpath(Path(real_root, path))
    except (OSError, ValueError):  # a NUL
        return None
    return real if Path(real).is_relative_to(real_root) else None
