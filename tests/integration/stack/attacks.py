"""Paths and names that attackers try (the rows of tests/security/data), and a client that sends them as they are."""

import asyncio
from contextlib import suppress

from tests.security.attack import rows

SECRET = "what nobody outside may read"

FORGED_PATHS: list[str] = [row["path"] for row in rows("static")]
FORGED_NAMES: list[str] = [row["file"] for row in rows("uploads")]

ANSWER_S = 10.0


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server ends the connection, in whichever way: it may not have read all it was sent."""
    received = b""
    with suppress(ConnectionResetError):
        while part := await asyncio.wait_for(reader.read(1 << 16), ANSWER_S):
            received += part
    return received


async def raw_request(address: str, method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """The whole answer to a request whose path no client library has tidied up; empty if the connection was closed."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    lines = [f"{method} {path} HTTP/1.1", f"Host: {address}", "Connection: close", f"Content-Length: {len(body)}"]
    try:
        writer.write("\r\n".join([*lines, *headers, "", ""]).encode("utf-8", "surrogateescape") + body)
        return await read_to_end(reader)
    finally:
        writer.close()
        await writer.wait_closed()
