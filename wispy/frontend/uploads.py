"""Uploads: `PUT` of one file to its path, or `POST` of a form with files to a folder; `GET` of a folder's names.

Rules:
- A body is streamed to disk; the number of uploads at the same time is bounded, and so is the memory of each.
- Who is refused is told at once, and nothing more of his is stored (`bodies`).
- Every file of a form is checked when it begins, and all are published together when the form has ended.
- An upload that is slower than `SLOWEST` is ended: it would keep others out.
- Files are read only where `static.folders` serves the same route, and never as active content (`static`).
"""

import asyncio
import errno
import logging
from email.message import Message
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders

from wispy.config.schema import UploadConfig
from wispy.frontend.bodies import BodyHandler, announced_size
from wispy.frontend.core import Core
from wispy.frontend.handler import CHANGING_METHODS, JSON, finish
from wispy.frontend.static import Shared, StaticFiles
from wispy.frontend.upload_reading import FormReading, PlainReading, Reading
from wispy.frontend.upload_rules import RefusedError, UploadFolder
from wispy.protocol.denials import Reason
from wispy.protocol.surface import admits

log = logging.getLogger("wispy.frontend")

UNHURRIED_S: Final = 7 * 86400.0
"""An accepted body may take as long as it is fast enough; Tornado wants a number."""

GRACE_S: Final = 30.0
"""Seconds in which an upload need not be fast: a lost packet, a disk that is busy."""

SLOWEST: Final = 8 << 10
"""Bytes per second, on average after the grace: a weak mobile connection is ten times as fast."""

LOOK_EVERY_S: Final = 5.0
"""How often the speed is looked at."""


class Place:
    """The room for uploads of one frontend process.

    Args:
        config: its bounds.
    """

    def __init__(self, config: UploadConfig) -> None:
        self.max_size = config.max_size
        self._at_once = config.at_once
        self._taken = 0

    def take(self) -> None:
        """Begin an upload.

        Raises:
            RefusedError: there are as many as there may be.
        """
        if self._taken >= self._at_once:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many uploads at once (upload.at_once); try again")
        self._taken += 1

    def give_back(self) -> None:
        """An upload has ended."""
        self._taken -= 1


class Uploads(BodyHandler, StaticFiles):
    """An upload folder at its route; with the files of the static folder at the same route, if there is one."""

    body_methods = ("POST", "PUT")

    def initialize(self, core: Core, folder: UploadFolder, static: str | None, place: Place, shared: Shared) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        StaticFiles.initialize(self, core, static or str(folder.folder), shared)
        self._folder = folder
        self._is_read = static is not None
        self._place = place
        self._reading: Reading | None = None
        self._received = 0
        self._started = 0.0
        self._watch: asyncio.TimerHandle | None = None
        """Runs as long as this upload has a place."""

    def denial(self, status: int) -> Reason | None:
        return "file" if status == HTTPStatus.BAD_REQUEST else super().denial(status)

    @property
    def changes_files(self) -> bool:
        return self.request.method in CHANGING_METHODS

    # --- reading -------------------------------------------------------------------------------------------------

    async def get(self, path: str | None, include_body: bool = True) -> None:
        if path and not path.endswith("/"):
            if not self._is_read:
                raise RefusedError(HTTPStatus.NOT_FOUND, "uploads are not served here; PUT stores a file")
            await super().get(path, include_body)
            return
        self._check_caller()
        listing = await asyncio.to_thread(self._folder.listing, path or "")
        self.set_header("Cache-Control", "no-cache")
        self.reply_json(msgspec.json.encode({"names": listing.names, "complete": listing.complete}))

    # --- writing -------------------------------------------------------------------------------------------------

    put = BodyHandler.post

    async def begin(self) -> None:
        cast("HTTP1Connection", self.request.connection).set_body_timeout(UNHURRIED_S)
        self._check_caller()
        try:
            self._reading = self._begin(self.path_args[0] or "")
            await self._reading.begin()
        except OSError as error:
            raise _as_refusal(error) from error

    def _begin(self, path: str) -> Reading:
        headers = self.request.headers
        self._check_size(announced_size(headers))
        if "Content-Encoding" in headers:
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the file as it is, without Content-Encoding")
        if "Content-Range" in headers:  # else the part would be stored as the whole
            raise RefusedError(HTTPStatus.BAD_REQUEST, "send the whole file: no part of one (Content-Range) is taken")
        self._place.take()
        self._core.requests.posts += 1
        loop = asyncio.get_running_loop()
        self._started = loop.time()
        self._watch = loop.call_later(LOOK_EVERY_S, self._look)
        boundary = _boundary(headers) if self.request.method == "POST" else None
        if boundary is not None:
            return FormReading(self._folder, path, boundary)
        if path:
            return PlainReading(self._folder, path)
        text = "PUT a file to its own path, or POST a form (multipart/form-data) with files to the folder"
        raise RefusedError(HTTPStatus.BAD_REQUEST, text)

    async def feed(self, chunk: bytes) -> None:
        if self._reading is None:
            return
        self._received += len(chunk)
        self._check_size(self._received)
        try:
            await self._reading.feed(chunk)
        except OSError as error:
            raise _as_refusal(error) from error

    async def respond(self) -> None:
        reading = self._reading
        assert reading is not None
        try:
            reading.end()
            told = await reading.publish()
        except OSError as error:
            if self._reading is not reading:  # the client has gone meanwhile, and with it the file
                self._auto_finish = False  # as of one that goes sooner, nothing is said of it
                return
            raise _as_refusal(error) from error
        self.set_status(HTTPStatus.CREATED if any(file["created"] for file in told) else HTTPStatus.OK)
        names = ", ".join(f"{file['name']} ({file['size']} bytes)" for file in told)
        log.info("%s has uploaded %s", self.request.remote_ip, names)
        self.reply_json(msgspec.json.encode({"files": told}))

    def _check_caller(self) -> None:
        if not self.is_known:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "log in first (Authorization: Bearer ...)")
        if not admits(self._core.config.upload.roles, self.identity.roles):
            raise RefusedError(HTTPStatus.FORBIDDEN, "uploads take a role that you do not have (upload.roles)")

    def _check_size(self, size: int) -> None:
        if size > self._place.max_size:
            text = f"the upload is larger than {self._place.max_size:d} bytes (upload.max_size)"
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)

    def _look(self) -> None:
        """Whether the upload comes fast enough."""
        loop = asyncio.get_running_loop()
        if self.is_over or self._received >= (loop.time() - self._started - GRACE_S) * SLOWEST:
            self._watch = loop.call_later(LOOK_EVERY_S, self._look)
            return
        self.refuse(RefusedError(HTTPStatus.REQUEST_TIMEOUT, "the upload comes too slowly"))
        self.cut_off()

    def release(self) -> None:
        """Give back all that this upload holds; what was not published is gone."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
            self._place.give_back()
            self._core.requests.posts -= 1
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.discard()

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if isinstance(value, RefusedError):
            log.info("refused %s %s of %s: %s", self.request.method, self.request.path, self.request.remote_ip, value)
        else:
            super().log_exception(typ, value, tb)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        self.release()  # before anybody reads the answer
        value = kwargs.get("exc_info", (None, None))[1]
        super().send_error(value.status if isinstance(value, RefusedError) else status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        value = kwargs.get("exc_info", (None, None))[1]
        if isinstance(value, RefusedError):
            text = value.text
            if value.status == HTTPStatus.SERVICE_UNAVAILABLE:
                self.set_header("Retry-After", "5")
        else:
            text = self._reason
            self.set_ways_out(status_code, kwargs)
        self.set_header("Content-Type", JSON)
        finish(self, msgspec.json.encode({"error": text}))


def _boundary(headers: HTTPHeaders) -> str | None:
    """What divides the parts of a form; None if the body is none."""
    message = Message()
    message["Content-Type"] = headers.get("Content-Type", "")
    return message.get_boundary("") if message.get_content_type() == "multipart/form-data" else None


def _as_refusal(error: OSError) -> RefusedError:
    """What a client is told of a disk that does not take a file; the log has the rest."""
    log.error("an upload cannot be stored: %s", error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RefusedError(HTTPStatus.INSUFFICIENT_STORAGE, "there is no room for the file on the server")
    if error.errno == errno.EXDEV:
        text = "the file cannot be stored: its folder is another file system than the upload folder"
        return RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, text)
    return RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "the file cannot be stored")
