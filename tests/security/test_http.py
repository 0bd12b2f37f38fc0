"""What comes over HTTP: whole requests, hosts, origins, paths of files and names of uploads."""

import json
import re
from typing import Any
from urllib.parse import quote

from tests.integration.stack.attacks import raw_request, read_to_end
from tests.integration.websocket.wire import connect, upgrade_request
from tests.security.attack import CALL, JSON, check_no_leak, each
from tests.security.conftest import SHELLS, Target


def taken_apart(answer: bytes) -> tuple[int, str]:
    """Status and body of a whole answer, after the looks that every one of them gets."""
    head, _, body = answer.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    check_no_leak(text)
    check_no_leak(body.decode())
    assert "evil" not in text, text
    assert "Access-Control-Allow" not in text
    return int(text.split()[1]), body.decode()


async def ask(target: Target, data: bytes, shell: str = "detached") -> bytes:
    """The whole of what comes for these bytes, to the end of the connection."""
    async with connect(int(target.frontends[shell].address.rpartition(":")[2])) as client:
        client.writer.write(data)
        return await read_to_end(client.reader)


async def handshake(target: Target, shell: str, name: str, value: str) -> tuple[int, str]:
    """The answer to a handshake with this header."""
    address = target.frontends[shell].address
    host = {} if name == "host" else {"host": address}
    request = upgrade_request(**host, **{name: value}).replace(b"GET / ", b"GET /ws ", 1)
    async with connect(int(address.rpartition(":")[2])) as client:
        client.writer.write(request)
        head = await client.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        body = await client.reader.readexactly(int(length[1])) if length else b""
    return taken_apart(head + body)


@each("hosts")
async def test_hosts(row: dict[str, Any], untouched: Target) -> None:
    port = untouched.frontend.address.rpartition(":")[2]
    host = row["host"].replace("{port}", port)
    lines = f"Host: {host}\r\n{JSON}\r\nContent-Length: {len(CALL)}\r\nConnection: close\r\n\r\n"
    status = row.get("status", 421)
    wanted = status, "" if status == 400 else "421 This server does not answer to this host name (allowed_hosts)\n"
    post = await ask(untouched, f"POST /rpc HTTP/1.1\r\n{lines}".encode() + CALL.encode())
    get = await ask(untouched, f"GET /pages/index.html HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert [taken_apart(post), taken_apart(get)] == [wanted, wanted]
    wanted = status, "" if status == 400 else "this server does not answer to this host name (allowed_hosts)\n"
    assert [await handshake(untouched, shell, "host", host) for shell in SHELLS] == [wanted, wanted]


@each("origins")
async def test_origins(row: dict[str, Any], untouched: Target) -> None:
    for shell in SHELLS:
        host = untouched.frontends[shell].address
        origin = row["origin"].replace("{host}", host).replace("{port}", host.rpartition(":")[2])
        assert await handshake(untouched, shell, "origin", origin) == (
            403,
            "this origin may not connect (allowed_origins)\n",
        )
        post = await raw_request(host, "POST", "/rpc", CALL.encode(), JSON, f"Origin: {origin}")
        assert taken_apart(post) == (403, "403 This origin may not post here (allowed_origins)\n")
        before = untouched.files.everything()
        put = await raw_request(host, "PUT", "/uploads/x.png", b"evil", f"Origin: {origin}")
        assert taken_apart(put) == (403, '{"error":"This origin may not post here (allowed_origins)"}')
        assert untouched.files.everything() == before


@each("static")
async def test_static(row: dict[str, Any], untouched: Target) -> None:
    answer = await raw_request(untouched.frontend.address, "GET", f"/pages/{row['path']}")
    status, body = taken_apart(answer)
    reasons = {400: "Bad Request", 403: "Forbidden", 404: "Not Found"}
    wanted = row.get("status", 404)
    assert (status, body) == (wanted, f"{wanted} {reasons[wanted]}\n")


@each("uploads")
async def test_uploads(row: dict[str, Any], untouched: Target) -> None:
    files, host = untouched.files, untouched.frontend.address
    before = files.everything()
    put = await raw_request(host, "PUT", f"/uploads/{quote(row['file'], safe='')}", b"evil")
    name = row["file"].replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
    part = f'--x\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\nevil\r\n--x--\r\n'
    form = await raw_request(host, "POST", "/uploads/", part.encode(), "Content-Type: multipart/form-data; boundary=x")
    found = {}
    for way, answer in (("put", put), ("form", form)):
        status, body = taken_apart(answer)
        found[way] = "stored" if status == 201 else [status, json.loads(body)["error"]]
    new = files.everything() - before
    for path in new:
        (files.folder / path).unlink()
    wanted = [row.get("status", 400), row["says"]]
    assert found == {"put": wanted, "form": row.get("form", wanted)}
    assert new == ({"server/uploads/x.png"} if "stored" in found.values() else set())


@each("requests")
async def test_requests(row: dict[str, Any], untouched: Target) -> None:
    host = untouched.frontend.address
    if "head" in row:
        data = row["head"].replace("{host}", host).encode("latin-1")
    else:
        body = row.get("body", CALL).encode()
        headers = {"Host": host, "Content-Type": "application/json", "Connection": "close"}
        if "Content-Length" not in row.get("headers", {}) and "Transfer-Encoding" not in row.get("headers", {}):
            headers["Content-Length"] = str(len(body))
        lines = [f"{name}: {value}" for name, value in (headers | row.get("headers", {})).items()]
        start = f"{row.get('method', 'POST')} {row.get('path', '/rpc')} HTTP/1.1"
        data = "\r\n".join([start, *lines, "", ""]).encode() + body
    answer = await ask(untouched, data)
    assert len(re.findall(rb"HTTP/1\.1 ", answer)) <= 1
    if row["status"] == "dropped":
        assert answer == b""
        return
    status, text = taken_apart(answer)
    assert status == row["status"]
    assert text == row.get("says", "")
