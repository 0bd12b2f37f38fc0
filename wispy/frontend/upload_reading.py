"""From the body of an upload to files: a body that is the file, or a form that holds some.

Every file is checked when it begins, and all get their names together, when the body has ended.
"""

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
    """Takes the body of one upload, and makes files of it."""

    def __init__(self, folder: UploadFolder) -> None:
        self._folder = folder
        self.files: list[IncomingFile] = []

    async def feed(self, data: bytes) -> None:
        """Take the next bytes.

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

    def open(self, path: str) -> IncomingFile:
        """Begin a file."""
        target = self._folder.target(path)
        if any(file.target.path == target.path for file in self.files):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"{target.name} is there twice")
        file = IncomingFile(target)
        self.files.append(file)
        return file

    async def publish(self) -> list[dict[str, Any]]:
        """Give all files their names; what is told of them.

        Raises:
            RefusedError: one came meanwhile that may not be overwritten.
            OSError: the disk does not take it.
        """
        for file in self.files:
            await file.complete()
        told: list[dict[str, Any]] = []
        for file in self.files:
            target = file.target
            overwrites = is_there(target.path)
            self._folder.check(target, is_there=overwrites)
            try:
                file.publish(overwrites=overwrites)
            except FileExistsError:  # it came within this moment
                self._folder.check(target, is_there=is_there(target.path))
                file.publish(overwrites=True)
            told.append({"name": target.name, "size": file.size, "created": not overwrites})
        return told


class PlainReading(Reading):
    """The body is the file."""

    def __init__(self, folder: UploadFolder, path: str) -> None:
        super().__init__(folder)
        self._file = self.open(path)

    async def feed(self, data: bytes) -> None:
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
                    self._file = self.open(self._start + event.filename) if event.filename else None
                elif event is not None and self._file is not None:
                    await self._file.write(event)
        except MultipartError as error:
            raise _not_a_form(error) from error

    def end(self) -> None:
        try:
            self._parser.close()
        except MultipartError as error:
            raise _not_a_form(error) from error
        if not self.files:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "there is no file in the form")


def _not_a_form(error: MultipartError) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, f"the body is no form (multipart/form-data): {error.args[0]}")
