"""Sections on files: those that are served, and those that are uploaded."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from wispy.config import checks
from wispy.config.sections.base import Count, Section, about
from wispy.config.units import Bytes

# Uploads go to a disk; past this size a typing error is likelier than a wish.
_LARGEST_FILE_BYTES = 1 << 40

Folders = str | tuple[str, ...] | dict[str, str]


class StaticConfig(Section, frozen=True):
    """Static files."""

    homepage: Annotated[
        str, about("path, below `base_path`, to redirect to when `base_path` itself is loaded", checks.homepage)
    ] = "static/index.html"
    folders: Annotated[
        Folders,
        about(
            "folders to serve: one, a list (each under its own name), or a map of routes below `base_path` to folders",
            checks.folders,
        ),
    ] = msgspec.field(default_factory=lambda: {"static": "./static"})

    def routes(self) -> dict[str, str]:
        """The folders by route, however they were written."""
        return _routes(self.folders)


class UploadRulesConfig(Section, frozen=True):
    """What may be uploaded."""

    accepted_filetypes: Annotated[
        Literal["all"] | tuple[str, ...],
        about("`all`, or a list of the endings of names that may be uploaded: `[png, tar.gz]`", checks.filetypes),
    ] = "all"
    get_names_allowed: Annotated[bool, about("whether the names of the files in an upload folder may be asked for")] = (
        True
    )
    file_creation_whitelist: Annotated[
        tuple[str, ...],
        about(
            "patterns of absolute paths that may be created: `*/server/uploads/*.png`; `*` also matches `/`",
            checks.path_patterns,
        ),
    ] = ()
    file_overwrite_whitelist: Annotated[
        tuple[str, ...],
        about("patterns, of the same kind, of absolute paths that may be overwritten", checks.path_patterns),
    ] = ()


class UploadConfig(Section, frozen=True):
    """Uploads; without a folder there are none."""

    folders: Annotated[
        Folders,
        about(
            "folders that take uploads: one, a list, or a map of routes below `base_path` to folders", checks.folders
        ),
    ] = msgspec.field(default_factory=dict[str, str])
    roles: Annotated[
        tuple[str, ...] | None,
        about("roles of which a caller needs one to upload, and to read the names; null: whoever may come in may"),
    ] = None
    # Room for a long video; whoever expects more says so, and how much disk there is.
    max_size: Annotated[
        Annotated[Bytes, Meta(ge=1, le=_LARGEST_FILE_BYTES)],
        about("largest body of one upload: a file, or a form with its files"),
    ] = Bytes(1 << 30)
    # Each holds some 512 KiB of memory, a file and a connection.
    at_once: Annotated[Count, about("uploads that one frontend process takes at the same time")] = 32
    rules: UploadRulesConfig = UploadRulesConfig()

    def routes(self) -> dict[str, str]:
        """The folders by route, however they were written."""
        return _routes(self.folders)


def _routes(folders: Folders) -> dict[str, str]:
    if isinstance(folders, dict):
        return dict(folders)
    listed = (folders,) if isinstance(folders, str) else folders
    return {checks.folder_route(folder): folder for folder in listed}
