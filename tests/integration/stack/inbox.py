"""A frontend that takes uploads, with folders around it that must stay as they are."""

from pathlib import Path
from typing import Any

import httpx

from tests.integration.stack.attacks import SECRET
from tests.support.files import files_below
from tests.support.stack import Stack

LIMIT = 1_000_000


class Inbox:
    """A frontend that takes uploads, and its folders."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.folder = folder
        self.server = folder / "server"
        self.uploads = self.server / "uploads"
        self.closed = folder / "closed"
        self.outside = folder / "outside"
        for each in (self.uploads / "inner", self.closed, self.outside):
            each.mkdir(parents=True)
        (self.outside / "secret.txt").write_text(SECRET)
        (self.uploads / "outward").symlink_to(self.outside)
        (self.uploads / "link.png").symlink_to(self.outside / "x.png")
        self.config: dict[str, Any] = {
            "upload.folders": f"{{uploads: {self.uploads}, closed: {self.closed}, made: {folder}/made}}",
            "static.folders": f"{{uploads: {self.uploads}, all: {folder / 'server'}}}",
            "upload.max_size": LIMIT,
            "upload.rules.accepted_filetypes": "[png, html, js, svg, TXT, tar.gz]",
            "upload.rules.file_creation_whitelist": "['*/server/uploads/*', '*/made/*']",
            "upload.rules.file_overwrite_whitelist": "['*/server/uploads/*.png']",
        }
        self.frontend = stack.frontend(**self.config)

    def request(self, method: str, path: str, **options: object) -> httpx.Response:
        with httpx.Client(trust_env=False, verify=False, timeout=30) as client:
            return client.request(method, f"{self.frontend.url}/{path}", **options)  # pyright: ignore[reportArgumentType]

    def put(self, path: str, content: bytes = b"content") -> httpx.Response:
        return self.request("PUT", path, content=content)

    def everything(self) -> set[str]:
        """Every file and link below the common folder."""
        return files_below(self.folder)

    def partial(self) -> list[str]:
        return [path for path in self.everything() if ".wispy-upload" in path]
