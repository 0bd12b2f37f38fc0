"""Which files a program is made of, and whether one of them has changed.

Files are looked at again and again, instead of asking the kernel to tell: that works on network drives and in folders
that are mounted into containers, too, and costs a millisecond.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Final

MAX_FILES: Final = 5000
"""A program with more files of its own is none that someone edits by hand; each is looked at five times a second."""

Signatures = dict[str, tuple[int, int]]
"""File to time of change (ns) and size."""


def own_folders() -> list[str]:
    """The folders of the modules that this process has loaded; not Python's, installed packages', or wispy's own."""
    installed = {str(Path(path).resolve()) for path in sysconfig.get_paths().values()}
    installed.add(str(Path(__file__).parents[1]))
    folders: set[str] = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py"):
            folders.add(str(Path(file).resolve().parent))
    return sorted(each for each in folders if not _is_in(each, installed))


def _is_in(folder: str, places: Iterable[str]) -> bool:
    parts = Path(folder).parts
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    return any(folder == place or folder.startswith(place + os.sep) for place in places)


class Files:
    """The files that are watched: single ones, and all Python files of folders (not of folders in them)."""

    def __init__(self) -> None:
        self._places: set[str] = set()
        self._known: Signatures = {}

    def add(self, places: Iterable[str]) -> None:
        """Watch these files and folders, too; as they are now, they count as unchanged."""
        new = {each for each in places if each not in self._places}
        self._places |= new
        found = _signatures(new)
        self._known = {**found, **self._known}

    def look(self) -> list[str]:
        """The files that have changed, come or gone since the last look."""
        found = _signatures(self._places)
        changed = [each for each in {**found, **self._known} if found.get(each) != self._known.get(each)]
        self._known = found
        return changed


def _signatures(places: Iterable[str]) -> Signatures:
    found: Signatures = {}
    for place in places:
        for file in _files(place):
            if len(found) >= MAX_FILES:
                return found
            try:
                status = Path(file).stat()
            except OSError:  # an editor may be replacing it
                continue
            found[file] = (status.st_mtime_ns, status.st_size)
    return found


def _files(place: str) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return [each.path for each in entries if each.name.endswith(".py")]
    except NotADirectoryError:
        return [place]
    except OSError:  # it is gone, or not ours to read
        return []
