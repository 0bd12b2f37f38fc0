"""Uploads from a page: by httpReq.js, by a plain form; and what an uploaded page may do, which is nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.browser.support import FOLDER, ROOT, OpenTab, Program, Start, Tab
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

# In the page: a file of this many MiB, and the upload of some, whose progress is collected.
TOOLS = """
window.fileOf = (name, mib) => new File([new Uint8Array(mib << 20).fill(7)], name);
window.progress = [];
window.upload = (files, options) =>
    httpReq.upload("/uploads/", files, {onProgress: (p) => window.progress.push(p), ...options});
0
"""


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def program(start: Start, uploads: Path, tmp_path: Path) -> Program:
    """The quickstart's page, with a folder that takes uploads and serves them again."""
    file = tmp_path / "config.yaml"
    file.write_text(
        f"""
static: {{folders: {{uploads: {uploads}, static: {ROOT}/examples/quickstart/static}}}}
upload:
  folders: {{uploads: {uploads}}}
  max_size: 30 MiB
  rules:
    accepted_filetypes: [png, html, js]
    file_creation_whitelist: ["*/uploads/*"]
"""
    )
    uploads.mkdir()
    return start("-m", "wispy", "serve", str(file), "--object", "sample=served:Sample", folder=FOLDER)


class Line:
    """What browsers reach the server by: a relay that may be as slow as a real line, so that there is a way to be told
    of, and to break off. (Only Chromium can be slowed down by itself.)"""

    READ_BYTES = 64 << 10

    def __init__(self, target: str) -> None:
        self._port = urlsplit(target).port
        self.url = ""
        self.bytes_per_s: int | None = None
        """Of what browsers send; None: as fast as it goes."""
        self._ends: set[asyncio.StreamWriter] = set()
        """Of what is being carried."""

    async def __aenter__(self) -> "Line":
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.READ_BYTES)  # else the kernel takes some MiB
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = await asyncio.start_server(self._carry, sock=listener, limit=self.READ_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Carry nothing any more: a program that is asked to end would wait for clients that nobody lets go."""
        self._server.close()
        for end in self._ends:
            end.transport.abort()
        await wait_until(lambda: not self._ends, "all connections have ended")

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, to_server}
        self._ends |= ends
        await asyncio.gather(self._forward(reader, to_server, is_up=True), self._forward(from_server, writer))
        self._ends -= ends

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_up: bool = False) -> None:
        try:
            while data := await reader.read(self.READ_BYTES):
                writer.write(data)
                await writer.drain()
                if is_up and self.bytes_per_s:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
        except ConnectionError:
            pass  # either end may break off
        finally:
            writer.close()


@pytest_asyncio.fixture(loop_scope="session")
async def line(program: Program) -> AsyncIterator[Line]:
    async with Line(program.url) as line:
        yield line


@pytest_asyncio.fixture(loop_scope="session")
async def tab(line: Line, open_in_each: OpenTab) -> Tab:
    tab = await open_in_each(f"{line.url}/")
    await tab.run(TOOLS)
    return tab


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_an_upload_tells_how_far_it_is(tab: Tab, line: Line, uploads: Path) -> None:
    line.bytes_per_s = 4 << 20  # two seconds, in which a busy browser tells more than twice how far it is
    answer = await tab.run("upload([fileOf('a.png', 8), fileOf('b.png', 1)])")
    assert answer == {
        "files": [
            {"name": "a.png", "size": 8 << 20, "created": True},
            {"name": "b.png", "size": 1 << 20, "created": True},
        ]
    }
    progress: list[dict[str, Any]] = await tab.run("progress")
    assert len(progress) > 2
    fractions = [each["fraction"] for each in progress]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.9
    assert fractions[-1] == 1
    assert progress[-1]["total"] > 9 << 20
    assert (uploads / "a.png").read_bytes() == b"\x07" * (8 << 20)
    assert await tab.run("httpReq.get('/uploads/')") == {"names": ["a.png", "b.png"], "complete": True}


async def test_the_page_reads_why_it_was_refused(tab: Tab, uploads: Path) -> None:
    refusal = "(e) => [e instanceof httpReq.HttpError, e.status, e.message]"
    text = "x.exe: files of this type are not accepted (upload.rules.accepted_filetypes: png, html, js)"
    assert await tab.run(f"upload(fileOf('x.exe', 1)).catch({refusal})") == [True, 415, text]
    text = "the upload is larger than 31457280 bytes (upload.max_size)"
    assert await tab.run(f"upload(fileOf('x.png', 40)).catch({refusal})") == [True, 413, text]
    await tab.run("upload(fileOf('x.png', 1))")
    text = "x.png may not be overwritten (upload.rules.file_overwrite_whitelist)"
    assert await tab.run(f"upload(new Blob(['x']), {{name: 'x.png'}}).catch({refusal})") == [True, 403, text]
    assert await tab.run("upload([]).catch((e) => e.message)") == "there is no file to upload"
    assert names(uploads) == ["x.png"]


async def test_an_upload_that_is_aborted_leaves_nothing(tab: Tab, line: Line, uploads: Path) -> None:
    line.bytes_per_s = 2 << 20
    await tab.run(
        """window.stop = new AbortController();
        window.outcome = upload(fileOf('x.png', 20), {signal: stop.signal}).catch((e) => String(e)); 0"""
    )
    await wait_until(lambda: names(uploads), "the upload has begun")
    await tab.run("stop.abort('no longer wanted')")
    assert await tab.run("outcome") == "no longer wanted"
    await wait_until(lambda: not names(uploads), lambda: f"nothing is left: {names(uploads)}")
    timed_out = await tab.run("upload(fileOf('x.png', 20), {timeout: 200}).catch((e) => e.name)")
    assert timed_out == "TimeoutError"
    await wait_until(lambda: not names(uploads), lambda: f"nothing is left: {names(uploads)}")


async def test_it_is_a_module_too(tab: Tab) -> None:
    script = "import('/wispyjs/httpReq.mjs').then((m) => [m.default === httpReq, m.upload === httpReq.upload])"
    assert await tab.run(script) == [True, True]


async def test_a_plain_form(tab: Tab, uploads: Path, tmp_path: Path) -> None:
    photo = tmp_path / "foto été.png"
    photo.write_bytes(b"photo")
    await tab.page.set_content(
        """<form method="post" action="/uploads/" enctype="multipart/form-data">
        <input type="text" name="comment" value="hello"><input type="file" name="f" multiple><button>send</button>
        </form>"""
    )
    await tab.page.locator("input[type=file]").set_input_files(photo)
    await tab.page.locator("button").click()
    await tab.page.wait_for_url("**/uploads/")
    assert '"foto été.png"' in await tab.page.content()
    assert (uploads / "foto été.png").read_bytes() == b"photo"


async def test_an_uploaded_page_does_not_run(tab: Tab, program: Program) -> None:
    """Opened, it is a download; as a frame, a script or a worker of the site it is nothing."""
    script = "parent.stolen = true; self.stolen = true"
    await tab.run(f"upload(new Blob(['<script>{script}</' + 'script>']), {{name: 'x.html'}})")
    await tab.run(f"upload(new Blob(['{script}']), {{name: 'x.js'}})")
    async with tab.page.expect_download() as download:
        await tab.run("void (location.href = '/uploads/x.html')")
    assert (await download.value).suggested_filename == "x.html"
    outcomes = await tab.run(
        """(async () => {
            const of = (element, patience) => new Promise((resolve) => {
                element.onload = () => resolve("loaded");
                element.onerror = () => resolve("refused");
                document.body.append(element);
                setTimeout(() => resolve("nothing"), patience);
            });
            const script = Object.assign(document.createElement("script"), {src: "/uploads/x.js"});
            const frame = Object.assign(document.createElement("iframe"), {src: "/uploads/x.html"});
            const worker = new Promise((resolve) => {
                new Worker("/uploads/x.js").onerror = () => resolve("refused");
                setTimeout(() => resolve("nothing"), 20_000);
            });
            const service = navigator.serviceWorker.register("/uploads/x.js").then(() => "there", () => "refused");
            const [ofScript, ofFrame] = [await of(script, 20_000), await of(frame, 2_000)];
            return [ofScript, ofFrame, await worker, await service, window.stolen ?? "kept"];
        })()"""
    )
    assert outcomes[0] == outcomes[2] == outcomes[3] == "refused", outcomes
    assert outcomes[4] == "kept", outcomes
    # What Firefox refuses, it tells as errors of the page.
    assert [text for text in tab.errors if "nosniff" not in text and "octet-stream" not in text] == []
    tab.errors.clear()
    assert program.is_running
