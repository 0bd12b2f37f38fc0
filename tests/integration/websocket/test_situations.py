"""The Autobahn suite's situations over raw sockets, from `situations.json`, against both shells.

Each line: the suite's case, what it is about, the frames that the client sends (see `wire`; in one write, or chopped),
the frames that must come back, and the code of the Close that must follow. Without one the client closes, with 1000.
`only` names the shell for which the situation holds. What Tornado does differently there:

- 6.4.*: it looks at a text only when all of it is there.
- 7.1.6: it drops what is not written yet when the peer closes.
- 7.3.2, own.1: it lets a Close of one byte and unmasked frames pass.
- own.7: it adds the size of a ping to that of the message around it.
- own.8: pongs overtake the messages of the same turn.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.websocket.servers import NotingHandler, echo, serve
from tests.integration.websocket.wire import encode_all, expected, open_websocket
from wispy.frontend.websocket.seam import WebSocketSettings

SITUATIONS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("situations.json").read_text())

_VIOLATIONS = (1002, 1007)


def _cases() -> Iterator[Any]:
    for shell in ("detached", "tornado"):
        for situation in SITUATIONS:
            if situation.get("only", shell) == shell:
                yield pytest.param(shell, situation, id=f"{shell}-{situation['case']}")


@pytest.mark.parametrize(("shell", "situation"), list(_cases()))
async def test_situation(situation: dict[str, Any], settings: WebSocketSettings) -> None:
    closes = situation.get("closes")
    sent = encode_all(situation["send"])
    answers = [expected(answer) for answer in situation["answers"]]
    async with serve(settings, lambda: NotingHandler(echo)) as server, open_websocket(server.port) as client:
        await client.send_chopped(sent, situation.get("chop", len(sent)))
        if closes is None:
            assert [await client.receive() for _ in answers] == answers
            answers = []
            client.send("close=03e8")
        frames = await client.receive_all()
        if settings.shell == "tornado" and closes in _VIOLATIONS and (not frames or frames[-1].kind != "close"):
            # Tornado drops the connection where we close it, with what this turn had to say.
            assert frames == answers[: len(frames)]
            return
        assert frames[:-1] == answers
        assert frames[-1].kind == "close"
        assert frames[-1].code == (closes or 1000)
    code, _ = server.handlers[0].lost[0]
    assert code == (closes or 1000)


def test_the_table_is_long_enough() -> None:
    assert len({situation["case"] for situation in SITUATIONS}) == len(SITUATIONS) >= 100
