"""What a page asks of objects: names, arguments, the forms of params, channels, whole messages and batches."""

from typing import Any

from tests.security.attack import each, error_of, expected, message_of, operations, refusal
from tests.security.conftest import Target, by_post, by_websocket
from tests.support.rpc_client import Client


@each("paths")
async def test_paths(row: dict[str, Any], client: Client, untouched: Target) -> None:
    asked = {name: text for name, text in operations(row["path"]).items() if name not in row.get("skip", ())}
    refusals = {name: refusal(await by_websocket(client, text)) for name, text in asked.items()}
    assert refusals == dict.fromkeys(asked, expected("NOT_FOUND"))


async def ask(row: dict[str, Any], client: Client, target: Target) -> list[Any]:
    """The answers to a row, by websocket and by POST; where it says so by one of them alone."""
    text = row["raw"] if "raw" in row else message_of(row["method"], row.get("params"))
    answers: list[Any] = []
    if not row.get("post"):
        answers.append(await by_websocket(client, text))
    if not row.get("websocket"):
        answers.append(by_post(target, text))
    return answers


@each("arguments")
async def test_arguments(row: dict[str, Any], client: Client, untouched: Target) -> None:
    for answer in await ask(row, client, untouched):
        assert refusal(answer) == expected(row.get("refusal", "INVALID_PARAMS"), row.get("says"))
        assert answer["id"] == 1


@each("shapes")
async def test_shapes(row: dict[str, Any], client: Client, untouched: Target) -> None:
    for answer in await ask(row, client, untouched):
        assert refusal(answer) == expected(row["refusal"], row.get("says"))
        assert answer["id"] == 1


@each("messages")
async def test_messages(row: dict[str, Any], client: Client, untouched: Target) -> None:
    for answer in await ask(row, client, untouched):
        assert refusal(answer) == expected(row["refusal"], row.get("says"))
        assert answer["id"] == row.get("id")


@each("batches")
async def test_batches(row: dict[str, Any], client: Client, untouched: Target) -> None:
    for answer in await ask(row, client, untouched):
        if "refusal" in row:
            assert refusal(answer) == expected(row["refusal"], row.get("says"))
            assert answer["id"] is None
        else:
            found = [[each["id"], refusal(each)[0]] for each in answer]
            assert sorted(found, key=str) == sorted(row["answers"], key=str)


@each("channels")
async def test_channels(row: dict[str, Any], client: Client, untouched: Target) -> None:
    answer = await by_websocket(client, message_of("rpc.subscribe", row["params"]))
    if "refusal" in row:
        data = {"retryable": row["retryable"]} if "retryable" in row else {}
        assert refusal(answer, **data) == expected(row["refusal"], row.get("says"))
    else:
        found = {name: error_of(each["error"]) for name, each in answer["result"].items()}
        assert found == {name: expected(each, row.get("says")) for name, each in row["channels"].items()}
    assert client.notifications("rpc.update") == []
