"""From the body of an upload to files: a body that is the file, or a form that holds some.

Every file is checked when it begins, and all get their names together, when the body has ended.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from multipart import (  # pyright: ignore[reportMissingTypeStubs] -- its annotations are in its code
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)

from wispy.frontend.incoming import IncomingFile
from wispy.frontend.upload_rules import RefusedError, UploadFolder, is_there

FILES_PER_FORM: Final = 100
"""Parts of one form: each holds a file open until the form has ended."""


class Reading:
    """Takes the body of one upload, and makes files of it.

    What asks the disk runs in threads: a disk that is busy with large files may take a second to make one more.
    """

    def __init__(self, folder: UploadFolder) -> None:
        self._folder = folder
        self._files: list[IncomingFile] = []
        self._is_discarded = False

    async def begin(self) -> None:
        """Check what can be checked before there is a body.

        Raises:
            RefusedError: by one of the rules.
            OSError: the disk takes no file.
        """

    async def feed(self, data: bytes) -> None:
        """Take the next bytes; returns when more may come.

        Raises:
            RefusedError: by one of the rules.
            OSError: the disk does not take them.
        """
        raise NotImplementedError

    def end(self) -> None:
        """The body has ended.

        Raises:
            RefusedError: it is not whole.
        """

    async def publish(self) -> list[dict[str, Any]]:
        """Give all files their names; what is told of them.

        Raises:
            RefusedError: one came meanwhile that may not be overwritten.
            OSError: the disk does not take it.
        """
        for file in self._files:
            await file.complete()
        return [await asyncio.to_thread(self._publish, file) for file in self._files]

    def discard(self) -> None:
        """Remove what was not published."""
        self._is_discarded = True
        for file in self._files:
            file.discard()

    async def open(self, path: str) -> IncomingFile:
        """Begin a file."""
        return await asyncio.to_thread(self._open, path)

    def _open(self, path: str) -> IncomingFile:
        target = self._folder.target(path)
        if any(file.target.path == target.path for file in self._files):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"{target.name} is there twice")
        file = IncomingFile(target)
        self._files.append(file)
        if self._is_discarded:  # the connection was lost meanwhile
            file.discard()
        return file

    def _publish(self, file: IncomingFile) -> dict[str, Any]:
        target = file.target
        overwrites = is_there(target.path)
        self._folder.check(target, is_there=overwrites)
        try:
            file.publish(overwrites=overwrites)
        except FileExistsError:  # it came within this moment
            self._folder.check(target, is_there=is_there(target.path))
            file.publish(overwrites=True)
        return {"name": target.name, "size": file.size, "created": not overwrites}


class PlainReading(Reading):
    """The body is the file."""

    def __init__(self, folder: UploadFolder, path: str) -> None:
        super().__init__(folder)
        self._path = path
        self._file: IncomingFile | None = None

    async def begin(self) -> None:
        self._file = await self.open(self._path)

    async def feed(self, data: bytes) -> None:
        assert self._file is not None
        await self._file.write(data)


class FormReading(Reading):
    """The body is a form with files; its other fields are not ours."""

    def __init__(self, folder: UploadFolder, path: str, boundary: str) -> None:
        super().__init__(folder)
        self._start = path if path.endswith("/") or not path else f"{path}/"
        self._file: IncomingFile | None = None
        try:
            # Not strict: that would refuse the line end after the last boundary where it comes in a packet of its own.
            self._parser = PushMultipartParser(boundary, max_segment_count=FILES_PER_FORM)
        except MultipartError as error:
            raise _not_a_form(error) from error

    async def feed(self, data: bytes) -> None:
        try:
            for event in self._parser.parse(data):
                if isinstance(event, MultipartSegment):
                    # A file input in which nothing was chosen sends an empty name.
                    self._file = await self.open(self._start + event.filename) if event.filename else None
                elif event is not None and self._file is not None:
                    await self._file.write(event)
        except MultipartError as error:
            raise _not_a_form(error) from error

    def end(self) -> None:
        try:
            self._parser.close()
        except MultipartError as error:
            raise _not_a_form(error) from error
        if not self._files:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "there is no file in the form")


def _not_a_form(error: MultipartError) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, f"the body is no form (multipart/form-data): {error.args[0]}")
