"""What may be uploaded, and where it goes: names, folders and whitelists.

Rules:
- Decide by the rules before anything is written, and say which one refused. An answer names no path of the server's.
- A name is one that every system can hold and nobody can mistake: no separators, no control characters, nothing hidden.
- A path goes through folders that are there. A symbolic link among them counts only if it stays in the upload folder.
- Whitelists see the target's absolute path, as configured and in POSIX form; what none of them matches is refused.
"""

import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import Final

from wispy.config.schema import UploadRulesConfig
from wispy.frontend.folders import real_file

LONGEST_NAME: Final = 255
"""Bytes in a name: what file systems take."""

DEEPEST: Final = 16
"""Folders in a path: more is rather an attack than an order."""

LISTED: Final = 10_000
"""Names in one listing: some 300 KB, and 10 ms of a thread."""

# What a name may not hold: separators, what Windows has a meaning for, and quotes.
_FORBIDDEN: Final = frozenset('/\\:*?"<>|')
# Control characters, surrogates, line ends.
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They turn the order of what is read: `gnp.exe` shows as `exe.png`.
_TURNING: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# These alone of the characters that do not show have a meaning in names: in Persian and Indic words, and in emoji.
_JOINERS: Final = frozenset("\u200c\u200d")
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\.|$)", re.IGNORECASE)


class RefusedError(Exception):
    """An upload, or a question about uploads, that is refused.

    Args:
        status: of the answer.
        text: what is wrong and what would be right, for the client.
    """

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upload goes.

    Attributes:
        name: the path below the route, for people.
        path: the file, in a folder that is really there.
        shown: its absolute path as whitelists see it.
        partial_folder: where it grows until it is whole.
    """

    name: str
    path: Path
    shown: str
    partial_folder: Path


@dataclass(frozen=True, slots=True)
class Listing:
    """The names in a folder; those of folders end with a slash."""

    names: list[str]
    complete: bool


class UploadFolder:
    """One upload folder and its rules.

    Args:
        folder: as configured, absolute.
        rules: of all uploads.
    """

    def __init__(self, folder: Path, rules: UploadRulesConfig) -> None:
        self.folder = folder
        self._rules = rules
        self._endings = (
            None
            if rules.accepted_filetypes == "all"
            else tuple("." + ending.lower().removeprefix(".") for ending in rules.accepted_filetypes)
        )

    def target(self, path: str) -> Target:
        """Where an upload to this path, below the route, goes.

        Raises:
            RefusedError: by one of the rules.
        """
        *folders, name = checked_path(path)
        if self._endings is not None and not name.lower().endswith(self._endings):
            kinds = ", ".join(ending[1:] for ending in self._endings)
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"{name}: files of this type are not accepted (upload.rules.accepted_filetypes: {kinds})",
            )
        real_folder = self._real_folder(folders)
        shown = self.folder.joinpath(real_folder.relative_to(os.path.realpath(self.folder)), name).as_posix()
        target = Target("/".join((*folders, name)), real_folder / name, shown, Path(os.path.realpath(self.folder)))
        self.check(target, is_there=is_there(target.path))
        return target

    def check(self, target: Target, *, is_there: bool) -> None:
        """Ask the whitelists.

        Raises:
            RefusedError: the file may not be created, or not overwritten.
        """
        if is_there:
            verb, key, patterns = "overwritten", "file_overwrite_whitelist", self._rules.file_overwrite_whitelist
        else:
            verb, key, patterns = "created", "file_creation_whitelist", self._rules.file_creation_whitelist
        if not any(fnmatchcase(target.shown, pattern) for pattern in patterns):
            raise RefusedError(HTTPStatus.FORBIDDEN, f"{target.name} may not be {verb} (upload.rules.{key})")

    def listing(self, path: str) -> Listing:
        """The names in a folder, sorted; hidden files and links are left out.

        Raises:
            RefusedError: names may not be asked for, or there is no such folder.
        """
        if not self._rules.get_names_allowed:
            raise RefusedError(HTTPStatus.FORBIDDEN, "names may not be asked for (upload.rules.get_names_allowed)")
        folders = checked_path(path.rstrip("/")) if path.strip("/") else []
        names: list[str] = []
        with os.scandir(self._real_folder(folders)) as entries:
            for entry in entries:
                if len(names) == LISTED:
                    return Listing(sorted(names), complete=False)
                if entry.name.startswith(".") or not _is_text(entry.name):
                    continue
                if entry.is_file(follow_symlinks=False):
                    names.append(entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    names.append(f"{entry.name}/")
        return Listing(sorted(names), complete=True)

    def _real_folder(self, folders: list[str]) -> Path:
        real = real_file(str(self.folder), "/".join(folders))
        if real is None or not Path(real).is_dir():
            name = "/".join(folders)
            text = f"there is no folder {name} here" if name else "the folder for uploads is not there"
            raise RefusedError(HTTPStatus.NOT_FOUND, text)
        return Path(real)


def is_there(path: Path) -> bool:
    """Whether a file is there.

    Raises:
        RefusedError: something is there that is no plain file, such as a folder or a link.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the name cannot be a file's here") from error
    if not stat.S_ISREG(mode):
        raise RefusedError(HTTPStatus.CONFLICT, f"{path.name} is there, and is no plain file")
    return True


def checked_path(path: str) -> list[str]:
    """The names in a path, each as it is to be written.

    Raises:
        RefusedError: one of them is no name, or there are too many.
    """
    names = path.split("/")
    if len(names) > DEEPEST:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the path has more than {DEEPEST} parts")
    return [checked_name(name) for name in names]


def checked_name(name: str) -> str:
    """A name as it is to be written: composed (NFC), since some systems send it decomposed.

    Raises:
        RefusedError: it is none that every system can hold and nobody can mistake.
    """
    name = unicodedata.normalize("NFC", name)
    reason = _why_no_name(name)
    if reason is not None:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"not the name of a file: {reason}")
    return name


def _why_no_name(name: str) -> str | None:
    if not name:
        return "it is empty"
    if not _is_text(name) or any(unicodedata.category(char) in _FORBIDDEN_CATEGORIES for char in name):
        return "it holds control characters"
    if not _FORBIDDEN.isdisjoint(name):
        return f"it holds one of {' '.join(sorted(_FORBIDDEN))}"
    if not _TURNING.isdisjoint(name):
        return "it holds characters that turn the direction of text"
    if any(unicodedata.category(char) == "Cf" and char not in _JOINERS for char in name):
        return "it holds characters that do not show"
    if name.startswith("."):
        return "it starts with a dot"
    if name[-1] in " ." or name[0] == " ":
        return "it starts or ends with a space, or ends with a dot"
    if _DEVICE.match(name):
        return "it is a device's on Windows"
    if len(name.encode()) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} bytes"
    return None


def _is_text(name: str) -> bool:
    """Whether the name is text; what a disk holds may be any bytes."""
    return not any("\ud800" <= char <= "\udfff" for char in name)
