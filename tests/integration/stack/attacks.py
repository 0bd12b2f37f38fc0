"""Paths and names that attackers try, and a client that sends them as they are."""

import asyncio
import json
from pathlib import Path

SECRET = "what nobody outside may read"

_LISTS = json.loads((Path(__file__).parent / "attacks.json").read_text())
FORGED_PATHS: list[str] = _LISTS["paths"]
FORGED_NAMES: list[str] = [*_LISTS["names"], "\u0391" * 126 + ".png", "a/" * 100 + "x.png"]

ANSWER_S = 10.0


async def raw_request(address: str, method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """The whole answer to a request whose path no client library has tidied up; empty if the connection was closed."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    lines = [f"{method} {path} HTTP/1.1", f"Host: {address}", "Connection: close", f"Content-Length: {len(body)}"]
    try:
        writer.write("\r\n".join([*lines, *headers, "", ""]).encode("utf-8", "surrogateescape") + body)
        return await asyncio.wait_for(reader.read(), ANSWER_S)
    finally:
        writer.close()
        await writer.wait_closed()
