"""The suite itself: its rows, its page, and what the processes look like after all of it has come again and again."""

import re
from pathlib import Path

from tests.integration.stack.attacks import raw_request
from tests.security.attack import CALL, JSON, doors, message_of, operations, rows
from tests.security.conftest import Target

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "attack-suite.md"

LEAST = 300
"""Distinct inputs: what issue 5 asks for."""

ROUNDS = 4
GROWTH = 8 << 20
"""Bytes that three processes may hold more after two further rounds: allocators keep some of what they once had. Each
round sends a megabyte."""


LONGEST = 300_000
"""Characters: longer inputs come once, in `test_nothing_failed_on_the_way`."""


def test_there_are_enough_rows_and_each_is_one_of_its_own() -> None:
    inputs: set[str] = set()
    for door in doors():
        found = rows(door)
        assert len({row["name"] for row in found}) == len(found), door
        assert all(row["why"] for row in found), door
        inputs |= {
            door + repr({key: value for key, value in row.items() if key not in ("name", "why")}) for row in found
        }
    assert len(inputs) == sum(len(rows(door)) for door in doors()) >= LEAST


def test_the_page_counts_the_rows_of_each_door() -> None:
    page = PAGE.read_text(encoding="utf-8")
    counts = {door: len(rows(door)) for door in doors()}
    assert dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)) == {k: str(v) for k, v in counts.items()}
    assert f" {sum(counts.values())} rows over every door" in page


def messages() -> list[str | bytes]:
    """All that can come by POST: what is asked of paths in batches, to save time."""
    asked: list[str] = []
    for row in rows("paths"):
        asked += [text for name, text in operations(row["path"]).items() if name not in row.get("skip", ())]
    texts: list[str | bytes] = [f"[{','.join(asked[start : start + 64])}]" for start in range(0, len(asked), 64)]
    for door in ("arguments", "shapes", "messages", "batches"):
        texts += [row["raw"] if "raw" in row else message_of(row["method"], row.get("params")) for row in rows(door)]
    return texts


async def test_memory_stays_flat(target: Target) -> None:
    texts = [text for text in messages() if len(text) <= LONGEST]
    sizes: list[int] = []
    for _ in range(ROUNDS):
        for text in texts:
            assert target.post(text).status_code == 200
        for row in rows("static"):
            await raw_request(target.frontend.address, "GET", f"/pages/{row['path']}")
        for row in rows("origins"):
            await raw_request(target.frontend.address, "POST", "/rpc", CALL.encode(), JSON, f"Origin: {row['origin']}")
        sizes.append(target.memory())
    assert sizes[-1] - sizes[1] < GROWTH, sizes
    target.check_untouched()


def test_nothing_failed_on_the_way(target: Target) -> None:
    """What was refused is no fault of the server's: its log has no traceback, and no secret."""
    for text in messages():
        target.post(text)
    for service in target.stack.services:
        assert service.is_running
        assert "Traceback" not in service.output
        assert "ERROR" not in service.output
