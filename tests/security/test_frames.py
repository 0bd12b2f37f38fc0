"""Raw websocket frames, on the frontend of each shell."""

from typing import Any

import pytest

from tests.integration.websocket.wire import connect, encode_all, upgrade_request
from tests.security.attack import check_no_leak, rows
from tests.security.conftest import SHELLS, Target

CASES = [
    pytest.param(shell, row, id=f"{shell}-{row['name']}")
    for row in rows("frames")
    for shell in SHELLS
    if row.get("only", shell) == shell
]


@pytest.mark.parametrize(("shell", "row"), CASES)
async def test_frames(shell: str, row: dict[str, Any], untouched: Target) -> None:
    frontend = untouched.frontends[shell]
    async with connect(int(frontend.address.rpartition(":")[2])) as client:
        client.writer.write(upgrade_request().replace(b"GET / ", b"GET /ws ", 1))
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        data = encode_all(row["send"])
        await client.send_chopped(data, 1 << 20)
        frames = await client.receive_all()
    answer = [(frame.kind, frame.code) for frame in frames]
    for frame in frames:
        check_no_leak(frame.payload[2:].decode())
    closes = row.get("tornado", row["closes"]) if shell == "tornado" else row["closes"]
    assert answer == ([] if closes == "dropped" else [("close", closes)])
    assert frontend.post("watch.look")["result"][0] == []
