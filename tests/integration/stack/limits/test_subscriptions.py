"""How many subscriptions a connection and an address may have, and how often they may ask."""

import json

from tests.integration.stack.limits.visitors import (
    OVERLOADED,
    RATE_LIMITED,
    SLOW,
    StartFrontend,
    client_of,
    hits,
    request,
)
from tests.support.waiting import wait_until

NEW_CHANNELS = ("sample.log", "sample.alarm")


async def test_subscriptions(start: StartFrontend) -> None:
    frontend = start(subscriptions_per_address=3, subscriptions_per_connection=2)
    async with client_of(frontend) as one, client_of(frontend) as other, client_of(frontend, "192.0.2.2") as third:
        assert (
            await one.error("rpc.subscribe", {"channels": ["sample.a", "sample.b", "sample.log"]})
        ).code == OVERLOADED
        await one.subscribe("sample.a", "sample.b")
        await one.subscribe("sample.a", "sample.b")  # it has them
        refused = await other.error("rpc.subscribe", {"channels": ["sample.a", "sample.b"]})
        assert (refused.code, refused.data["retryable"]) == (OVERLOADED, False)
        assert "limits.subscriptions_per_address" in refused.message
        await third.subscribe("sample.a", "sample.b")
        await one.call("rpc.unsubscribe", {"channels": ["sample.a"]})
        await other.subscribe("sample.a", "sample.b")
        await third.call("rpc.unsubscribe", {"channels": ["sample.b"]})
        # Both are begun before one of them is done.
        both = [request(number, "rpc.subscribe", {"channels": [name]}) for number, name in enumerate(NEW_CHANNELS, 1)]
        await third.send_raw(json.dumps(both))
        await wait_until(lambda: isinstance(third.received[-1], list), "both are answered")
        results = [result for answer in third.received[-1] for result in answer["result"].values()]
        assert sorted("error" in result for result in results) == [False, True]
    assert hits(frontend) == {"subscriptions_per_connection": 2, "subscriptions_per_address": 1}


async def test_how_often_may_be_subscribed(start: StartFrontend) -> None:
    frontend = start(subscription_rate_per_session=SLOW, burst=3 / SLOW)
    async with client_of(frontend) as client:
        await client.subscribe("sample.a", "sample.b")
        refused = await client.error("rpc.subscribe", {"channels": ["sample.log", "sample.alarm"]})
        assert (refused.code, refused.data["executed"]) == (RATE_LIMITED, "no")
        assert 20_000 < refused.data["retry_in_ms"] <= 50_001
        await client.subscribe("sample.log")
        assert await client.call("sample.test_sum", [1, 2]) == 3
    assert hits(frontend) == {"subscription_rate_per_session": 1}
