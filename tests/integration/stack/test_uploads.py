"""Uploads as programs, forms and attackers send them."""

import asyncio
import os
import shutil
import signal
import unicodedata
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from tests.integration.stack.attacks import FORGED_NAMES, FORGED_PATHS, SECRET, raw_request
from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.inbox import LIMIT, Inbox
from tests.support.stack import Frontend
from tests.support.waiting import wait_until


@pytest.fixture
def inbox(shared_inbox: Inbox) -> Iterator[Inbox]:
    """Found and left with nothing uploaded."""
    before = shared_inbox.everything()
    yield shared_inbox
    for path in shared_inbox.everything() - before:
        (shared_inbox.folder / path).unlink(missing_ok=True)
    assert "Traceback" not in shared_inbox.frontend.output


# --- what is taken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_body_is_a_file(inbox: Inbox, method: str) -> None:
    content = os.urandom(700_000)
    response = inbox.request(method, "uploads/x.png", content=content)
    assert response.status_code == 201
    assert response.json() == {"files": [{"name": "x.png", "size": 700_000, "created": True}]}
    assert (inbox.uploads / "x.png").read_bytes() == content
    again = inbox.request(method, "uploads/x.png", content=b"")
    assert (again.status_code, again.json()["files"][0]["created"]) == (200, False)
    assert (inbox.uploads / "x.png").read_bytes() == b""
    assert inbox.partial() == []


def test_a_form_holds_several_files(inbox: Inbox) -> None:
    big = os.urandom(600_000)
    files = [("f", ("a.png", big)), ("f", ("b \u00e9.txt", b"b")), ("g", ("", b""))]
    response = inbox.request("POST", "uploads/", files=files, data={"comment": "not a file"})
    assert response.status_code == 201, response.text
    assert [file["name"] for file in response.json()["files"]] == ["a.png", "b \u00e9.txt"]
    assert (inbox.uploads / "a.png").read_bytes() == big
    assert (inbox.uploads / "b \u00e9.txt").read_bytes() == b"b"
    for path in ("uploads", "uploads/inner", "uploads/inner/"):
        assert inbox.request("POST", path, files={"f": ("c.png", b"c")}).status_code in (200, 201), path
    assert (inbox.uploads / "inner" / "c.png").read_bytes() == b"c"


def test_a_body_in_chunks(inbox: Inbox) -> None:
    response = inbox.request("PUT", "uploads/inner/x.tar.gz", content=iter([b"one ", b"two"]))
    assert response.json()["files"] == [{"name": "inner/x.tar.gz", "size": 7, "created": True}]
    assert (inbox.uploads / "inner" / "x.tar.gz").read_bytes() == b"one two"


def test_a_folder_that_is_missing_is_made(inbox: Inbox) -> None:
    assert inbox.put("made/x.png").status_code == 201
    assert (inbox.folder / "made" / "x.png").is_file()


def test_names_are_composed(inbox: Inbox) -> None:
    name = unicodedata.normalize("NFD", "\u00e9t\u00e9.png")
    assert inbox.put(f"uploads/{quote(name)}").json()["files"][0]["name"] == "\u00e9t\u00e9.png"


def test_names_are_listed(inbox: Inbox) -> None:
    for name in ("uploads/b.png", "uploads/a.txt"):
        inbox.put(name)
    listing = inbox.request("GET", "uploads/")
    assert listing.json() == {"names": ["a.txt", "b.png", "inner/"], "complete": True}
    assert inbox.request("GET", "uploads").json() == listing.json()
    assert inbox.request("GET", "uploads/inner/").json() == {"names": [], "complete": True}
    for path in ("uploads/outward/", "uploads/absent/"):
        response = inbox.request("GET", path)
        assert response.status_code in (400, 404), path
        assert "secret.txt" not in response.text


# --- what is not active -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["uploads", "all/uploads"])
def test_uploaded_files_are_no_part_of_the_site(inbox: Inbox, route: str) -> None:
    for name in ("x.html", "x.js", "x.svg", "x.png", "x.txt"):
        inbox.put(f"uploads/{name}", b"<script>steal()</script>")
        response = inbox.request("GET", f"{route}/{name}")
        assert response.status_code == 200
        assert response.headers["Content-Disposition"] == "attachment"
        assert response.headers["Content-Security-Policy"].startswith("sandbox;")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        media_type = response.headers["Content-Type"].partition(";")[0]
        usual = {"x.png": "image/png", "x.svg": "image/svg+xml", "x.txt": "text/plain"}
        assert media_type == usual.get(name, "application/octet-stream"), name


def test_files_are_served_only_where_static_folders_say_so(inbox: Inbox) -> None:
    inbox.put("made/x.png")
    response = inbox.request("GET", "made/x.png")
    assert response.status_code == 404
    assert "not served" in response.json()["error"]


# --- what is refused ----------------------------------------------------------------------------------------------


def refused(inbox: Inbox, response: httpx.Response, status: int, said: str) -> None:
    assert (response.status_code, said in response.json()["error"]) == (status, True), response.text
    assert str(inbox.folder) not in response.text
    assert inbox.partial() == []


def test_whitelists_are_asked(inbox: Inbox) -> None:
    refused(inbox, inbox.put("closed/x.png"), 403, "may not be created (upload.rules.file_creation_whitelist)")
    assert inbox.put("uploads/x.txt", b"first").status_code == 201
    refused(inbox, inbox.put("uploads/x.txt", b"other"), 403, "may not be overwritten (upload.rules.file_overwrite")
    assert (inbox.uploads / "x.txt").read_bytes() == b"first"


def test_file_types_are_asked(inbox: Inbox) -> None:
    for name in ("x.exe", "x.png.py", "png", "x.gz"):
        refused(inbox, inbox.put(f"uploads/{name}"), 415, "accepted_filetypes: png, html")
    assert inbox.put("uploads/X.PNG").status_code == 201


@pytest.mark.parametrize("is_chunked", [False, True])
def test_the_size_is_limited_and_the_sender_reads_why(inbox: Inbox, is_chunked: bool) -> None:
    body = b"x" * (3 * LIMIT)
    content = iter([body[:LIMIT], body[LIMIT:]]) if is_chunked else body
    refused(inbox, inbox.request("PUT", "uploads/x.png", content=content), 413, f"larger than {LIMIT} bytes")
    refused(inbox, inbox.request("POST", "uploads/", files={"f": ("x.png", body)}), 413, f"larger than {LIMIT} bytes")
    assert inbox.put("uploads/x.png", b"x" * LIMIT).status_code == 201


async def test_who_asks_first_is_told_at_once(inbox: Inbox) -> None:
    digits = "9" * 5000
    for name, length, status in (
        ("x.png", 10 * LIMIT, b"413"),
        ("x.png", digits, b"413"),
        ("x.exe", 10, b"415"),
        ("x.png", 10, b"100"),
    ):
        reader, writer = await asyncio.open_connection(*inbox.frontend.address.split(":"))
        lines = [f"PUT /uploads/{name} HTTP/1.1", f"Host: {inbox.frontend.address}", f"Content-Length: {length}"]
        writer.write("\r\n".join([*lines, "Expect: 100-continue", "", ""]).encode())
        assert status in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        await writer.wait_closed()
    await wait_until(lambda: not inbox.partial(), lambda: f"what was begun is gone: {inbox.partial()}")


def test_what_is_no_upload_is_refused(inbox: Inbox) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for body, said in [
        (b"", "no form"),
        (b"--x\r\n", "no form"),
        (b"nonsense", "no form"),
        (b"--x--\r\n", "no file in the form"),
        (b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\ncut off', "no form"),
        (b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\nvalue\r\n--x--\r\n', "no file in the form"),
        (b"--x\r\nX: y\r\n\r\nvalue\r\n--x--\r\n", "no form"),
        (b"--x\r\n" + b"A" * 10_000, "no form"),
    ]:
        refused(inbox, inbox.request("POST", "uploads/", content=body, headers=form), 400, said)
    twice = [("f", ("a.png", b"1")), ("f", ("a.png", b"2"))]
    refused(inbox, inbox.request("POST", "uploads/", files=twice), 400, "twice")
    many = [("f", (f"{number}.png", b"")) for number in range(101)]
    refused(inbox, inbox.request("POST", "uploads/", files=many), 400, "no form")
    refused(inbox, inbox.request("POST", "uploads/", content=b"x"), 400, "PUT a file to its own path")
    refused(inbox, inbox.request("PUT", "uploads/"), 400, "PUT a file to its own path")
    zipped = inbox.request("PUT", "uploads/x.png", content=b"x", headers={"Content-Encoding": "gzip"})
    refused(inbox, zipped, 415, "Content-Encoding")
    part = inbox.request("PUT", "uploads/x.png", content=b"part", headers={"Content-Range": "bytes 4-7/20"})
    refused(inbox, part, 400, "whole file")
    mixed = [("f", ("a.png", b"1")), ("f", ("a.exe", b"2"))]
    refused(inbox, inbox.request("POST", "uploads/", files=mixed), 415, "a.exe")
    assert not (inbox.uploads / "a.png").exists(), "no file of a refused form stays"


def test_foreign_pages_may_not_upload(inbox: Inbox) -> None:
    for origin in ("http://evil.example", "null"):
        for method in ("PUT", "POST"):
            response = inbox.request(method, "uploads/x.png", content=b"x", headers={"Origin": origin})
            assert response.status_code == 403
            assert "allowed_origins" in response.text
    assert inbox.request("PUT", "uploads/x.png", content=b"x", headers={"Host": "evil.example"}).status_code == 421
    own = inbox.request("PUT", "uploads/x.png", content=b"x", headers={"Origin": inbox.frontend.url})
    assert own.status_code == 201


# --- attacks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORGED_NAMES)
async def test_forged_names_write_nothing(inbox: Inbox, name: str) -> None:
    before = inbox.everything()
    escaped = name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
    part = f'--x\r\nContent-Disposition: form-data; name="f"; filename="{escaped}"\r\n\r\nevil\r\n--x--\r\n'
    form = "Content-Type: multipart/form-data; boundary=x"
    address = inbox.frontend.address
    answers = [
        await raw_request(address, "PUT", f"/uploads/{quote(name, safe='')}", b"evil"),
        await raw_request(address, "POST", f"/uploads/{quote(name, safe='/.:')}", b"evil"),
        await raw_request(address, "POST", "/uploads/", part.encode(), form),
    ]
    for answer in answers:
        status = int(answer.split(maxsplit=2)[1])
        # Where old browsers send the whole path, the form's parser takes the name at its end.
        is_shortened = status == 201 and b'"name":"x.png"' in answer
        assert 400 <= status < 500 or is_shortened, answer
        assert b"X-Evil" not in answer.partition(b"\r\n\r\n")[0]
        assert str(inbox.folder).encode() not in answer
    new = inbox.everything() - before
    assert new <= {"server/uploads/x.png"}, new


@pytest.mark.parametrize("path", FORGED_PATHS)
async def test_forged_paths_write_and_read_nothing(inbox: Inbox, path: str) -> None:
    before = inbox.everything()
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        body = b"evil" if method.startswith("P") else b""
        answer = await raw_request(inbox.frontend.address, method, f"/uploads/{path}", body)
        # `index.html` is a name like any other here.
        if path.startswith("index.html") or answer[9:12] != b"201":
            assert SECRET.encode() not in answer
            assert 300 <= int(answer.split(maxsplit=2)[1]) < 500, answer
    new = inbox.everything() - before
    assert all(each.startswith("server/uploads/") for each in new), new
    assert (inbox.outside / "secret.txt").read_text() == SECRET


# --- what breaks ----------------------------------------------------------------------------------------------------


async def half_an_upload(frontend: Frontend, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*frontend.address.split(":"))
    head = f"PUT /uploads/{name} HTTP/1.1\r\nHost: {frontend.address}\r\nContent-Length: 600000\r\n\r\n"
    writer.write(head.encode() + b"x" * 300_000)
    await writer.drain()
    return reader, writer


async def test_a_broken_upload_leaves_nothing(inbox: Inbox) -> None:
    (inbox.uploads / "x.png").write_bytes(b"old")
    _, writer = await half_an_upload(inbox.frontend, "x.png")
    await wait_until(lambda: inbox.partial(), "the upload has begun")
    assert (inbox.uploads / "x.png").read_bytes() == b"old"
    assert inbox.request("GET", "uploads/").json()["names"] == ["inner/", "x.png"], "a partial file is not listed"
    partial = Path(inbox.partial()[0]).name
    assert inbox.request("GET", f"uploads/{partial}").status_code == 404
    writer.transport.abort()
    await wait_until(lambda: not inbox.partial(), lambda: f"nothing is left: {inbox.partial()}")
    assert (inbox.uploads / "x.png").read_bytes() == b"old"


async def test_who_goes_before_the_answer_leaves_a_whole_file_or_none_and_no_error(inbox: Inbox) -> None:
    for number in range(20):
        _, writer = await half_an_upload(inbox.frontend, f"{number}.png")
        writer.write(b"x" * 300_000)
        await writer.drain()
        writer.transport.abort()
    await wait_until(lambda: not inbox.partial(), lambda: f"nothing is left: {inbox.partial()}")
    assert {(path.stat().st_size) for path in inbox.uploads.glob("[0-9]*.png")} <= {600_000}
    assert inbox.put("uploads/y.png").status_code == 201, "there is room for others"
    assert "ERROR" not in inbox.frontend.output


async def test_a_frontend_that_drains_finishes_its_uploads(make_stack: MakeStack, inbox: Inbox) -> None:
    frontend = make_stack().frontend(**inbox.config)
    reader, writer = await half_an_upload(frontend, "x.png")
    await wait_until(lambda: inbox.partial(), "the upload has begun")
    frontend.send(signal.SIGTERM)
    await wait_until(lambda: frontend.readiness()[0] != 200, "it drains")
    writer.write(b"x" * 300_000)
    assert b"201" in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    await writer.wait_closed()
    assert (inbox.uploads / "x.png").stat().st_size == 600_000
    assert frontend.wait() == 0


async def test_two_who_create_the_same_file(inbox: Inbox) -> None:
    """What may be created but not overwritten is never overwritten, also by who began before."""
    reader, writer = await half_an_upload(inbox.frontend, "x.txt")
    await wait_until(lambda: inbox.partial(), "the upload has begun")
    assert inbox.put("uploads/x.txt", b"first").status_code == 201
    writer.write(b"x" * 300_000)
    assert b"403" in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    await writer.wait_closed()
    assert (inbox.uploads / "x.txt").read_bytes() == b"first"
    assert inbox.partial() == []


async def test_uploads_at_once_are_bounded(make_stack: MakeStack, inbox: Inbox) -> None:
    frontend = make_stack().frontend(**{**inbox.config, "upload.at_once": 1})
    _, writer = await half_an_upload(frontend, "x.png")
    await wait_until(lambda: inbox.partial(), "the upload has begun")
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as client:
        response = await client.put(f"{frontend.url}/uploads/y.png", content=b"y")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        writer.transport.abort()

        async def has_room() -> bool:
            return (await client.put(f"{frontend.url}/uploads/y.png", content=b"y")).is_success

        await wait_until(has_room, "there is room again")


async def test_a_killed_frontend_leaves_nothing_for_long(make_stack: MakeStack, inbox: Inbox) -> None:
    frontend = make_stack().frontend(**inbox.config)
    _, writer = await half_an_upload(frontend, "x.png")
    await wait_until(lambda: inbox.partial(), "the upload has begun")
    frontend.kill()
    writer.close()
    partial = inbox.folder / inbox.partial()[0]
    make_stack().frontend(**inbox.config)
    assert partial.exists(), "it may be another frontend's, which is at work"
    hours_ago = partial.stat().st_mtime - 2 * 3600
    os.utime(partial, (hours_ago, hours_ago))
    make_stack().frontend(**inbox.config)
    assert not partial.exists()


@pytest.mark.parametrize(("size", "at_once"), [(1 << 30, 1), (25 << 20, 20)])
async def test_memory_does_not_grow_with_what_is_uploaded(
    make_stack: MakeStack, tmp_path: Path, size: int, at_once: int
) -> None:
    """One large file; and twenty at once, each larger than what the process may grow by."""
    folder = tmp_path / "uploads"
    config: dict[str, Any] = {
        "upload.folders": f"{{uploads: {folder}}}",
        "upload.rules.file_creation_whitelist": "['*']",
        "upload.max_size": "1 GiB",
    }
    frontend = make_stack().frontend(**config)
    chunk = b"x" * (256 << 10)
    process = psutil.Process(frontend.pid)
    before = process.memory_info().rss
    most = before

    async def body() -> AsyncIterator[bytes]:
        nonlocal most
        for _ in range(size // len(chunk)):
            yield chunk
            most = max(most, process.memory_info().rss)

    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=50) as client:
        uploads = [client.put(f"{frontend.url}/uploads/{number}", content=body()) for number in range(at_once)]
        responses = await asyncio.gather(*uploads)
    assert [response.status_code for response in responses] == [201] * at_once
    assert {path.stat().st_size for path in folder.iterdir()} == {size}
    shutil.rmtree(folder)  # pytest keeps the folders of some runs
    grown = (most - before) >> 20
    assert grown < 24, f"{grown} MiB for {at_once} uploads of {size >> 20} MiB"


def test_names_are_not_told_where_that_is_off(make_stack: MakeStack, tmp_path: Path) -> None:
    config: dict[str, Any] = {"upload.folders": str(tmp_path / "in"), "upload.rules.get_names_allowed": "false"}
    frontend = make_stack().frontend(**config)
    response = httpx.get(f"{frontend.url}/in/", trust_env=False, verify=False, timeout=30)
    assert response.status_code == 403
    assert "upload.rules.get_names_allowed" in response.json()["error"]
