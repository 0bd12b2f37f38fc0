"""Static files: folders of the configuration, and wispyjs.

Tornado's handler does the paths, ranges and dates; here is what it leaves open:

- An ETag is the file's time and size, so that it costs nothing, and a page that is being written is never stale.
- Files are asked for again at each load (`no-cache`, answered by 304), unless the URL names a version (`?v=...`).
- Text leaves compressed where that pays (`compressed`).
- Names that start with a dot are not served, except `.well-known`: they are `.git`, `.env` and half-written uploads.
- What lies in an upload folder was written by somebody else: it is shown or played, but never runs as a part of this
  site (attachment, sandbox, and a type that no browser executes).
- Symbolic links are followed within the folder and never out of it.
"""

import logging
import os
import re
from collections.abc import Generator, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, cast

from tornado.web import HTTPError, StaticFileHandler

from wispy.config.schema import Config, StaticConfig
from wispy.frontend import media_types
from wispy.frontend.compressed import Compressed, Copy, accepts_gzip, etag_of
from wispy.frontend.core import Core
from wispy.frontend.folders import real_file
from wispy.frontend.handler import CHANGING_METHODS, Handler, finish
from wispy.frontend.landing import landing_page
from wispy.protocol import errors
from wispy.protocol.denials import Reason

log = logging.getLogger("wispy.frontend")

VERSIONED_S: Final = 365 * 86400
"""How long a file whose URL names a version may be kept: the longest time that caches take to mean for ever."""


class Shared:
    """What the file handlers of one frontend have in common.

    Args:
        upload_folders: whose content is not trusted.
    """

    def __init__(self, upload_folders: Iterable[Path] = ()) -> None:
        self.compressed = Compressed()
        self._untrusted = [os.path.realpath(folder) for folder in upload_folders]

    def is_uploaded(self, file: str) -> bool:
        """Whether the file, by its real path, lies in an upload folder."""
        return any(Path(file).is_relative_to(folder) for folder in self._untrusted)


class StaticFiles(Handler, StaticFileHandler):
    """A static folder."""

    kind = "page"

    _shared: Shared
    _copy: Copy | None = None
    """What leaves in place of the file."""

    def initialize(self, core: Core, path: str, shared: Shared, default_filename: str | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        Handler.initialize(self, core)
        StaticFileHandler.initialize(self, path, default_filename)
        self._shared = shared

    def denial(self, status: int) -> Reason | None:
        is_origin = self.request.method in CHANGING_METHODS and self._core.guard.refuses_origin(self.request)
        return "file" if status == HTTPStatus.FORBIDDEN and not is_origin else super().denial(status)

    async def get(self, path: str | None, include_body: bool = True) -> None:
        path = path or ""
        if any(part.startswith(".") and part != ".well-known" for part in re.split(r"[/\\]", path)) or "\0" in path:
            raise HTTPError(404)
        self._copy = await self._compressed(path)
        self._core.requests.files += 1  # a page that is loading when this process is to end gets its files whole
        try:
            await super().get(path, include_body)
        except OSError as error:
            # It was there a moment ago, or may not be read.
            log.warning("%s cannot be served: %s", self.request.path, error)
            raise HTTPError(404) from error
        finally:
            self._core.requests.files -= 1

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        if self.path.endswith(("/", os.sep)) and Path(absolute_path).is_file():
            raise HTTPError(404)  # links of that page would start from a folder that does not exist
        return super().validate_absolute_path(root, absolute_path)

    async def _compressed(self, path: str) -> Copy | None:
        headers = self.request.headers
        if "Range" in headers or not accepts_gzip(headers.get("Accept-Encoding", "")):
            return None
        file = real_file(self.root, f"{path}{self.default_filename or ''}" if path[-1:] in ("", "/") else path)
        if file is None or not media_types.is_text(media_types.media_type_of(file)):
            return None
        try:
            return await self._shared.compressed.of(file)
        except OSError:
            return None  # what is wrong with it is said below, once

    def get_content_type(self) -> str:
        file = cast(str, self.absolute_path)
        media_type = media_types.media_type_of(file)
        if self._shared.is_uploaded(file):
            media_type = media_types.passive(media_type)
        return media_types.content_type(media_type)

    def compute_etag(self) -> str | None:
        file: str | None = getattr(self, "absolute_path", None)
        if file is None:  # this answer is no file
            return None
        if self._copy is not None:
            return self._copy.etag
        stat = Path(file).stat()
        return etag_of(stat.st_mtime_ns, stat.st_size)

    def set_extra_headers(self, path: str) -> None:
        # Checked again at each load: a page that is being written is never stale.
        self.set_header("Cache-Control", "no-cache")
        if "v" in self.request.query_arguments:
            self.set_header("Cache-Control", f"public, max-age={VERSIONED_S}, immutable")
        file = cast(str, self.absolute_path)
        if media_types.is_text(media_types.media_type_of(file)):
            self.set_header("Vary", "Accept-Encoding")
        if self._copy is not None:
            self.set_header("Content-Encoding", "gzip")
        if self._shared.is_uploaded(file):
            self.set_header("Content-Disposition", "attachment")
            self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")
            self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self._check_range()

    def _check_range(self) -> None:
        """Who wants the rest of a file gets all of it if it is another one now (If-Range)."""
        condition = self.request.headers.get("If-Range")
        if condition and condition not in (self._headers.get("Etag"), self._headers.get("Last-Modified")):
            self.request.headers.pop("Range", None)

    def get_cache_time(self, path: str, modified: Any, mime_type: str) -> int:
        return 0  # `set_extra_headers` says it

    def get_content_size(self) -> int:
        return len(self._copy.content) if self._copy is not None else super().get_content_size()

    def get_content(  # pyright: ignore[reportIncompatibleMethodOverride] -- Tornado's cannot know of this answer's copy
        self, abspath: str, start: int | None = None, end: int | None = None
    ) -> bytes | Generator[bytes, None, None]:
        return self._copy.content if self._copy is not None else StaticFileHandler.get_content(abspath, start, end)


class Home(Handler):
    """`base_path` itself: leads to the homepage, or says what is served where none is there."""

    kind = "landing"

    async def get(self) -> None:
        config = self._core.config
        if has_homepage(config):
            query = f"?{self.request.query}" if self.request.query else ""
            self.redirect(f"{config.base_path}/{config.static.homepage.lstrip('/')}{query}")
            return
        finish(self, landing_page(await self._objects(), config))

    head = get

    async def _objects(self) -> list[str] | None:
        if self._core.gate is not None:
            return None
        try:
            return await self._core.methods.objects()
        except errors.RPCError:
            return []


def has_homepage(config: Config) -> bool:
    """Whether the homepage is there, or may be: one that is no static file is taken on trust."""
    homepage = config.static.homepage.lstrip("/")
    path = re.split(r"[?#]", homepage, maxsplit=1)[0]
    for route, folder in config.static.routes().items():
        if path.startswith(f"{route}/"):
            file = real_file(folder, path.removeprefix(f"{route}/"))
            return file is not None and Path(file).exists()
    return homepage != StaticConfig().homepage.lstrip("/")
