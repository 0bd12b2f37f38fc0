"""How many requests one session, one user and one address may make a second, and have in flight."""

import asyncio
import functools
import json
from pathlib import Path

import httpx

from tests.integration.stack.gate import Gate
from tests.integration.stack.limits.visitors import (
    OVERLOADED,
    RATE_LIMITED,
    SLOW,
    StartFrontend,
    client_of,
    codes,
    get,
    hits,
    request,
)
from tests.support.waiting import wait_until
from wispy.protocol import errors

# --- requests a second ------------------------------------------------------------------------------------------------


async def test_an_address_has_its_rate_over_all_of_its_doors(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, request_rate_per_address=SLOW, burst=5 / SLOW)
    async with client_of(frontend) as client, client_of(frontend) as second:
        assert await client.call("sample.test_sum", [1, 2]) == 3
        await client.send_raw(json.dumps([request(11), request(12), request(None)]))
        await wait_until(lambda: any(isinstance(each, list) for each in client.received), "the batch is answered")
        post = frontend.post_text(json.dumps([request(1), request(2)]), X_Forwarded_For="192.0.2.1")
        assert codes(post.json()) == [0, RATE_LIMITED]
        refused = await second.error("sample.note_run", ["it did not run"])
        assert (refused.code, refused.data["executed"], refused.data["retryable"]) == (RATE_LIMITED, "no", True)
        assert 20_000 < refused.data["retry_in_ms"] <= 50_001
        assert "limits.request_rate_per_address" in refused.message
        async with client_of(frontend, "192.0.2.2") as neighbour:
            assert "it did not run" not in await neighbour.get("sample.ran")
    assert hits(frontend) == {"request_rate_per_address": 2}


async def test_each_request_of_a_batch_counts_and_is_answered(start: StartFrontend, shell: str) -> None:
    frontend = start(shell, request_rate_per_session=SLOW, burst=3 / SLOW)
    async with client_of(frontend) as client:
        await client.send_raw(json.dumps([request(number) for number in range(5)]))
        await wait_until(lambda: bool(client.received), "the batch is answered")
        assert codes(client.received[0]) == [0, 0, 0, RATE_LIMITED, RATE_LIMITED]
    assert hits(frontend) == {"request_rate_per_session": 2}


async def test_who_waits_as_told_is_served(start: StartFrontend) -> None:
    frontend = start(request_rate_per_session=0.5)
    both = json.dumps([request(1), request(2)])  # at the same moment, however busy the machine is
    async with client_of(frontend) as client:
        for _ in range(2):
            served, refused = sorted(await client.ask_raw(both), key=lambda answer: answer["id"])
            assert served["result"] == 3
            retry_in_ms = refused["error"]["data"]["retry_in_ms"]
            await asyncio.sleep(retry_in_ms / 1000)  # what is tested: the time that was told


async def test_a_network_of_ipv6_is_one_address_and_a_forged_one_none(start: StartFrontend) -> None:
    frontend = start(request_rate_per_address=SLOW, burst=1 / SLOW)
    for address, code in (
        ("2001:db8:1:2::1", 0),
        ("2001:db8:1:2:ffff::9", RATE_LIMITED),
        ("2001:db8:1:3::1", 0),
        ("198.51.100.7", 0),
        ("203.0.113.5, 198.51.100.7", RATE_LIMITED),  # what its client wrote before the proxy is nobody's word
        ("::ffff:198.51.100.7", RATE_LIMITED),
    ):
        answer = frontend.post_text(json.dumps([request(1)]), X_Forwarded_For=address).json()
        assert codes(answer) == [code], address


async def test_the_bucket_of_a_session_goes_on_with_it(start: StartFrontend) -> None:
    frontend = start(request_rate_per_session=SLOW, burst=4 / SLOW)
    async with client_of(frontend) as client:
        session = await client.hello()
        assert [await client.call("sample.test_sum", [1, 2]) for _ in range(3)] == [3, 3, 3]
    async with client_of(frontend) as again:
        assert (await again.hello(session, last_id=10))["resumed"]
        await again.call("sample.test_sum", [1, 2])
        assert (await again.error("sample.test_sum", [1, 2])).code == RATE_LIMITED
    async with client_of(frontend) as another:
        await another.hello()
        assert await another.call("sample.test_sum", [1, 2]) == 3


async def test_a_retry_is_never_told_that_it_did_not_run(start: StartFrontend) -> None:
    frontend = start(request_rate_per_session=SLOW, burst=1 / SLOW, in_flight_per_connection=3)
    async with client_of(frontend) as client:
        welcome = await client.hello()
        members = {"wispy": {"retry": True, "at": welcome["ms"]}}
        for id in range(100, 105):
            await client.send_raw(json.dumps({**request(id), **members}))
        await wait_until(
            lambda: {each.get("id") for each in client.received} >= set(range(100, 105)), "all are answered"
        )
        answers = [each for each in client.received if each["id"] >= 100]
        # One that the bucket holds, and what may have been in flight.
        assert codes(answers) == [0, 0, 0, 0, errors.OUTCOME_UNKNOWN.code]
        assert [each["error"]["data"]["executed"] for each in answers if "error" in each] == ["maybe"]


async def test_users_have_their_rate_wherever_they_are(start: StartFrontend) -> None:
    frontend = start(request_rate_per_user=SLOW, burst=2 / SLOW, **{"auth.kind": "tokens"})
    async with client_of(frontend, "192.0.2.1", "alice-token") as one, client_of(frontend, "192.0.2.2") as other:
        assert (await one.call("guarded.who"))[0] == "alice"
        await other.call("rpc.authenticate", {"token": "alice-token"})
        assert (await other.call("guarded.who"))[0] == "alice"
        assert (await one.error("guarded.who")).code == RATE_LIMITED
        async with client_of(frontend, "192.0.2.1", "bob-token") as bob:
            assert (await bob.call("guarded.who"))[0] == "bob"
    assert hits(frontend) == {"request_rate_per_user": 1}


# --- in flight --------------------------------------------------------------------------------------------------------


async def test_what_an_address_has_in_flight_counts_though_it_is_gone(
    start: StartFrontend, shell: str, gate: Gate
) -> None:
    frontend = start(shell, in_flight_per_address=3)
    async with client_of(frontend) as client:
        await client.send_raw(json.dumps([request(number, "sample.wait", [gate.path]) for number in (1, 2)]))
        await gate.wait_until_reached()
    async with client_of(frontend) as client, client_of(frontend, "192.0.2.2") as neighbour:
        third = await client.start("sample.wait", [gate.path])
        refused = await client.error("sample.test_sum", [1, 2])
        assert (refused.code, refused.data["executed"], refused.data["retryable"]) == (OVERLOADED, "no", True)
        post = frontend.post_text(json.dumps([request(1), request(2)]), X_Forwarded_For="192.0.2.1")
        assert codes(post.json()) == [OVERLOADED, OVERLOADED]
        assert await neighbour.call("sample.test_sum", [1, 2]) == 3
        gate.open()
        await third
        assert await client.call("sample.test_sum", [1, 2]) == 3
    assert hits(frontend) == {"in_flight_per_address": 3}


async def test_what_a_user_has_in_flight(start: StartFrontend, gate: Gate) -> None:
    frontend = start(in_flight_per_user=2, **{"auth.kind": "tokens"})
    async with client_of(frontend, "192.0.2.1", "alice-token") as one, client_of(frontend, "192.0.2.2") as other:
        await other.call("rpc.authenticate", {"token": "alice-token"})
        held = [await other.start("guarded.wait", [gate.path])]
        await gate.wait_until_reached()
        held.append(await one.start("guarded.wait", [gate.path]))
        assert (await one.error("guarded.who")).code == OVERLOADED
        async with client_of(frontend, "192.0.2.1", "bob-token") as bob:
            assert (await bob.call("guarded.who"))[0] == "bob"
        gate.open()
        await asyncio.gather(*held)
        assert (await one.call("guarded.who"))[0] == "alice"
    assert hits(frontend) == {"in_flight_per_user": 1}


# --- HTTP requests a second -------------------------------------------------------------------------------------------


def test_an_address_has_its_rate_of_http_requests(start: StartFrontend, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<!DOCTYPE html>")
    folders = {"static.folders": f"{{site: {tmp_path}}}", "upload.folders": f"{{in: {tmp_path}}}"}
    rules = {"upload.rules.file_creation_whitelist": "['*']"}
    frontend = start(http_request_rate_per_address=SLOW, burst=4 / SLOW, **folders, **rules)
    mine, other = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
    assert get(f"{frontend.url}/site/page.html", **mine).status_code == 200
    assert get(f"{frontend.url}/site/absent", **mine).status_code == 404
    assert frontend.post_text(json.dumps(request(1)), X_Forwarded_For="192.0.2.1").status_code == 200
    upload = functools.partial(
        httpx.put, f"{frontend.url}/in/a.txt", content=b"x" * 100_000, trust_env=False, timeout=30
    )
    assert upload(headers=mine).status_code == 201
    refused = [
        get(f"{frontend.url}{path}", **mine) for path in ("/site/page.html", "/wispyjs/rpc.js", "/", "/openrpc.json")
    ]
    refused += [upload(headers=mine), frontend.post_text(json.dumps(request(1)), X_Forwarded_For="192.0.2.1")]
    for answer in refused:
        assert answer.status_code == 429, answer.url
        assert 20 < int(answer.headers["Retry-After"]) <= 50
    assert refused[-1].json()["error"]["code"] == RATE_LIMITED
    assert (
        get(f"{frontend.url}/healthz", **mine).status_code == get(f"{frontend.url}/readyz", **mine).status_code == 200
    )
    assert get(f"{frontend.url}/site/page.html", **other).status_code == 200
    assert hits(frontend) == {"http_request_rate_per_address": 6}


async def test_a_websocket_is_no_request_of_that_rate(start: StartFrontend) -> None:
    frontend = start(http_request_rate_per_address=SLOW, burst=1 / SLOW)
    for _ in range(3):
        async with client_of(frontend) as client:
            assert await client.call("sample.test_sum", [1, 2]) == 3


def test_a_page_with_forty_files_meets_no_limit_unless_there_is_one(start: StartFrontend) -> None:
    frontend = start()
    with httpx.Client(trust_env=False, timeout=30) as client:
        assert {client.get(f"{frontend.url}/wispyjs/rpc.js").status_code for _ in range(200)} == {200}
    assert hits(frontend) == {}


# --- those whom nobody knows ------------------------------------------------------------------------------------------


async def test_who_guesses_tokens_is_slowed_down(start: StartFrontend, shell: str) -> None:
    limits = {"auth.kind": "tokens", "auth.failed_logins": 2, "auth.login_time": 4}
    frontend = start(shell, request_rate_per_address=SLOW, burst=4 / SLOW, **limits)
    async with client_of(frontend) as client:
        for _ in range(2):
            assert (await client.error("rpc.authenticate", {"token": "guess"})).code == errors.UNAUTHENTICATED.code
        assert await client.wait_until_closed() == 4401
    for _ in range(2):
        answer = frontend.post_text(json.dumps(request(1)), X_Forwarded_For="192.0.2.1", Authorization="Bearer guess")
        assert answer.status_code == 401
    answer = frontend.post_text(json.dumps(request(1)), X_Forwarded_For="192.0.2.1", Authorization="Bearer alice-token")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, RATE_LIMITED)
    assert 20 < int(answer.headers["Retry-After"]) <= 50
    given = {"X-Forwarded-For": "192.0.2.1", "Authorization": "Bearer alice-token"}
    document = get(f"{frontend.url}/openrpc.json", **given)
    assert document.status_code == 429
    assert 20 < int(document.headers["Retry-After"]) <= 50
    async with client_of(frontend, "192.0.2.2") as client:
        await wait_until(lambda: client.close_code == 4401, "who says nothing has to go", 20)
    assert hits(frontend) == {"failed_logins": 1, "request_rate_per_address": 2, "login_time": 1}
