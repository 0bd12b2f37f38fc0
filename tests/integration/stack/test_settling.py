"""What a killed owner had received is settled by the next one; and by the one after it, where that one dies, too."""

import asyncio
import signal

import msgspec
import redis
from redis.client import PubSub

from tests.integration.stack.conftest import MakeStack
from tests.support.relay import Relay
from tests.support.waiting import wait_until
from wispy.broker.embedded import EmbeddedServer
from wispy.protocol import errors, relay
from wispy.protocol.relay import Entry, RelayedRequest, Reply, SessionRequests

QUIET = "quiet=served:quiet"

REQUESTS = 8000
"""They are settled by eight scripts, some ten milliseconds each."""


async def test_an_owner_that_dies_between_two_settling_scripts_is_followed_by_one_that_settles_the_rest(
    make_stack: MakeStack, valkey_server: EmbeddedServer
) -> None:
    stack = make_stack()
    base = f"{stack.prefix}{{quiet}}:"
    path = valkey_server.url.removeprefix("unix://")
    first = stack.worker(QUIET)
    # The second owner's scripts go through this process: however seldom it has its turn, it sees each of them.
    async with Relay(path) as relay_of_second:
        through_it = {"redis.url": relay_of_second.url}
        second = await asyncio.to_thread(lambda: stack.standby(QUIET, **through_it))
        with redis.Redis(unix_socket_path=path, protocol=2) as server:
            replies = server.pubsub()
            replies.subscribe(f"{base}reply:f1")
            for each in (first, second):  # nobody takes over before all of them are received
                each.send(signal.SIGSTOP)
            add_requests(server, base)
            receive_all(server, base)
            first.kill()
            second.send(signal.SIGCONT)

            await wait_until(lambda: server.xlen(f"{base}requests") < REQUESTS, "the second owner settles")
            second.kill()
            left = server.xlen(f"{base}requests")
            assert 0 < left < REQUESTS, "it was killed in the midst of it"

            third = await asyncio.to_thread(stack.worker, QUIET)
            assert server.xlen(f"{base}requests") == 0
            assert third.says(r"entries of \S+ were left by a worker that is gone")
            answers = received(replies)
            assert {msgspec.json.decode(reply.body)["code"] for reply in answers} == {errors.OUTCOME_UNKNOWN.code}
            assert sorted(reply.id for reply in answers) == list(range(1, REQUESTS + 1)), "each is answered, and once"
    assert stack.frontend().post("quiet.ping")["result"] == "pong"


def received(replies: PubSub) -> list[Reply]:
    """All answers that were published to a frontend."""
    answers: list[Reply] = []
    while message := replies.get_message(timeout=1):
        if message["type"] == "message":
            answers += [reply for block in relay.decode_replies(message["data"]) for reply in block.replies]
    return answers


def add_requests(server: "redis.Redis", base: str) -> None:
    """As a frontend does, each in an entry of its own."""
    seconds, microseconds = server.time()
    at = seconds * 1000 + microseconds // 1000
    run_id = str(server.info("server")["run_id"])
    pipeline = server.pipeline(transaction=False)
    for number in range(1, REQUESTS + 1):
        request = RelayedRequest(number, at, False, "quiet.ping", msgspec.Raw(b"[]"))
        entry = Entry("f1", [SessionRequests("me", run_id, 0, [], [request])])
        pipeline.xadd(f"{base}requests", {"e": relay.encode(entry)}, nomkstream=True)
    pipeline.execute()


def receive_all(server: "redis.Redis", base: str) -> None:
    """In the stopped owner's place: what it has received and not answered."""
    (group,) = server.xinfo_groups(f"{base}requests")
    server.xreadgroup(group["name"], "owner", {f"{base}requests": ">"}, count=REQUESTS, noack=True)
