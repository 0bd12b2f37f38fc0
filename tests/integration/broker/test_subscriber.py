import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.integration.broker.conftest import QUICK, OpenLink
from tests.support.relay import Relay
from tests.support.waiting import wait_until
from wispy.broker.connection import MAX_PUSHED_BYTES
from wispy.broker.embedded import EmbeddedServer
from wispy.broker.errors import LinkDown
from wispy.broker.link import Link
from wispy.broker.subscriber import Subscriber
from wispy.config.redis_address import RedisAddress

OpenSubscriber = Callable[..., Any]


@pytest.fixture
async def open_subscriber(valkey: EmbeddedServer, link: Link) -> AsyncIterator[OpenSubscriber]:
    """Start subscribers that are stopped with the test, connected unless told; probes go out on `link`."""
    subscribers: list[Subscriber] = []

    async def open_one(url: str | None = None, *, wait: bool = True, **settings: Any) -> Subscriber:
        settings = {"name": f"sub-{len(subscribers)}", "command_link": link, "backoff": QUICK, **settings}
        subscriber = Subscriber(RedisAddress.parse(url or valkey.url), **settings)
        subscribers.append(subscriber)
        await subscriber.start()
        if wait:
            await wait_until(lambda: subscriber.connected, "the subscriber is connected")
        return subscriber

    yield open_one
    for subscriber in subscribers:
        await subscriber.stop()


async def looks(subscriber: Subscriber, number: int) -> None:
    """Wait until the subscriber has looked so many times whether it hears; each look sets the timer of the next."""
    timers: set[object] = set()

    def has_looked() -> bool:
        timers.add(subscriber._check)
        return len(timers) > number

    await wait_until(has_looked, "it looks whether it hears")


async def test_hands_messages_to_the_handler_of_their_channel(link: Link, open_subscriber: OpenSubscriber) -> None:
    subscriber = await open_subscriber()
    heard: list[tuple[str, bytes]] = []
    await subscriber.subscribe("a", lambda payload: heard.append(("a", payload)))
    await subscriber.subscribe("b", lambda payload: heard.append(("b", payload)))
    link.call("PUBLISH", "a", b"1")
    link.call("PUBLISH", "b", b"\xff")
    link.call("PUBLISH", "c", b"nobody's")
    link.call("PUBLISH", "a", b"2")
    await wait_until(lambda: len(heard) == 3, "all messages arrived")
    assert heard == [("a", b"1"), ("b", b"\xff"), ("a", b"2")]


async def test_after_read_is_called_once_for_messages_that_came_together(
    link: Link, open_subscriber: OpenSubscriber
) -> None:
    subscriber = await open_subscriber()
    heard: list[object] = []
    await subscriber.subscribe("a", heard.append)
    subscriber.after_read = lambda: heard.append("end")
    await link.call("EVAL", "for i = 1, 5 do redis.call('PUBLISH', 'a', i) end", 0)
    await wait_until(lambda: "end" in heard and len(heard) >= 6, "all messages arrived")
    assert heard == [b"1", b"2", b"3", b"4", b"5", "end"]


async def test_a_second_handler_for_a_channel_is_refused(open_subscriber: OpenSubscriber) -> None:
    subscriber = await open_subscriber()
    await subscriber.subscribe("a", lambda payload: None)
    with pytest.raises(ValueError, match="already subscribed: a"):
        subscriber.subscribe("a", lambda payload: None)


async def test_after_unsubscribe_nothing_is_handed_out(link: Link, open_subscriber: OpenSubscriber) -> None:
    subscriber = await open_subscriber()
    heard: list[bytes] = []
    await subscriber.subscribe("a", heard.append)
    await subscriber.subscribe("b", heard.append)
    await link.call("PUBLISH", "a", b"early")
    subscriber.unsubscribe("a")
    await link.call("PUBLISH", "a", b"late")
    await link.call("PUBLISH", "b", b"end")
    await wait_until(lambda: b"end" in heard, "the last message arrived")
    assert b"late" not in heard
    await wait_until(lambda: numsub(link, "a"), "Redis has forgotten the subscription")


async def numsub(link: Link, channel: str) -> bool:
    return (await link.call("PUBSUB", "NUMSUB", channel))[1] == 0


async def test_a_confirmation_belongs_to_its_own_subscription(link: Link, open_subscriber: OpenSubscriber) -> None:
    subscriber = await open_subscriber()
    first = subscriber.subscribe("a", lambda payload: None)
    subscriber.unsubscribe("a")
    heard: list[bytes] = []
    second = subscriber.subscribe("a", heard.append)
    assert first.cancelled()
    await second
    assert await link.call("PUBLISH", "a", b"1") == 1
    await wait_until(lambda: heard == [b"1"], "the message arrived")


async def test_subscriptions_wait_for_the_connection(valkey: EmbeddedServer, open_subscriber: OpenSubscriber) -> None:
    relay = Relay(valkey.url)
    subscriber = await open_subscriber(relay.url, wait=False)
    kept = subscriber.subscribe("kept", lambda payload: None)
    given_up = subscriber.subscribe("given-up", lambda payload: None)
    subscriber.unsubscribe("given-up")
    assert given_up.cancelled()
    async with relay:
        await asyncio.wait_for(kept, 10)
        await subscriber.stop()


async def test_all_subscriptions_are_confirmed_again_after_a_reconnect(
    valkey: EmbeddedServer, link: Link, open_subscriber: OpenSubscriber
) -> None:
    async with Relay(valkey.url) as relay:
        subscriber = await open_subscriber(relay.url)
        heard: list[bytes] = []
        names = [f"channel-{number}" for number in range(1500)]  # three batches
        await asyncio.gather(*(subscriber.subscribe(name, heard.append) for name in names))
        events: list[str] = []
        receivers: list[asyncio.Future[Any]] = []

        def connected() -> None:
            events.append("connected")
            receivers.extend(link.call("PUBLISH", name, name) for name in names)

        subscriber.on_connected(connected)
        subscriber.on_lost(lambda: events.append("lost"))
        relay.cut()
        await wait_until(lambda: not subscriber.connected, "the loss is noticed")
        late = subscriber.subscribe("late", heard.append)
        await wait_until(lambda: len(receivers) == len(names), "connected again")
        assert set(await asyncio.gather(*receivers)) == {1}
        await asyncio.wait_for(late, 10)
        await wait_until(lambda: len(heard) == len(names), "all messages arrived")
        assert events == ["lost", "connected"]
        assert subscriber.connection == 2
        await subscriber.stop()


async def test_a_bug_in_a_handler_does_not_keep_others_from_hearing(
    link: Link, open_subscriber: OpenSubscriber, caplog: pytest.LogCaptureFixture
) -> None:
    subscriber = await open_subscriber()
    heard: list[bytes] = []

    def fail(payload: bytes) -> None:
        raise ValueError("a bug")

    await subscriber.subscribe("a", fail)
    await subscriber.subscribe("b", heard.append)
    link.call("PUBLISH", "a", b"1")
    await link.call("PUBLISH", "b", b"2")
    await wait_until(lambda: heard == [b"2"], "the other message arrived")
    assert "a bug" in caplog.text
    assert subscriber.connected


async def test_stop_fails_what_was_not_confirmed(open_subscriber: OpenSubscriber) -> None:
    subscriber = await open_subscriber("unix:///nowhere/s", wait=False)
    future = subscriber.subscribe("a", lambda payload: None)
    await subscriber.stop()
    with pytest.raises(LinkDown):
        await future


# -- hearing


async def test_hears_itself_at_once_and_in_silence(open_subscriber: OpenSubscriber) -> None:
    subscriber = await open_subscriber(probe_interval_s=0.6)
    await wait_until(lambda: not subscriber.deaf, "the first probe is heard")
    await looks(subscriber, 4)
    assert not subscriber.deaf
    assert subscriber.connection == 1


async def test_a_connection_that_hears_nothing_is_deaf_and_made_anew(
    valkey: EmbeddedServer, open_subscriber: OpenSubscriber, caplog: pytest.LogCaptureFixture
) -> None:
    async with Relay(valkey.url) as relay:
        subscriber = await open_subscriber(relay.url, probe_interval_s=0.2)
        await wait_until(lambda: not subscriber.deaf, "it hears")
        relay.stop_reading()  # half-open: no end, no error, no data
        await wait_until(lambda: subscriber.deaf, "it is found deaf")
        await wait_until(lambda: subscriber.connection == 2, "the connection is made anew")
        await wait_until(lambda: not subscriber.deaf, "it hears again")
        assert "deaf" in caplog.text
        await subscriber.stop()


async def test_stays_deaf_while_it_is_attached_to_a_server_on_which_nobody_publishes(
    open_subscriber: OpenSubscriber,
) -> None:
    other = await asyncio.to_thread(EmbeddedServer.start)
    try:
        subscriber = await open_subscriber(other.url, probe_interval_s=0.1)
        assert subscriber.deaf
        await wait_until(lambda: subscriber.connection >= 3, "it tries other connections")
        assert subscriber.deaf
        await subscriber.stop()
    finally:
        other.stop()


async def test_it_is_made_anew_when_commands_go_to_another_server(
    valkey: EmbeddedServer, open_link: OpenLink, open_subscriber: OpenSubscriber
) -> None:
    """As after a failover whose former master is cut off, and ends no connection: a probe would take its time."""
    next_one = await asyncio.to_thread(EmbeddedServer.start)
    try:
        async with Relay(valkey.url) as links, Relay(valkey.url) as messages:
            commands = await open_link(links.url)
            subscriber = await open_subscriber(messages.url, command_link=commands, probe_interval_s=3600)
            heard: list[bytes] = []
            await subscriber.subscribe("a", heard.append)
            links.cut()
            await wait_until(lambda: commands.connection == 2, "commands go on where they went")
            await commands.call("PUBLISH", "a", b"1")
            await wait_until(lambda: heard == [b"1"], "it is heard")
            assert subscriber.connection == 1
            links.target = messages.target = next_one.url.removeprefix("unix://")
            links.cut()
            await wait_until(lambda: subscriber.connection == 2 and subscriber.connected, "it is made anew")
            await commands.call("PUBLISH", "a", b"2")
            await wait_until(lambda: heard == [b"1", b"2"], "it is heard there")
            await subscriber.stop()
            await commands.stop()
    finally:
        next_one.stop()


async def test_a_lost_command_link_does_not_make_it_deaf(
    valkey: EmbeddedServer, open_link: OpenLink, open_subscriber: OpenSubscriber
) -> None:
    async with Relay(valkey.url) as relay:
        commands = await open_link(relay.url)
        subscriber = await open_subscriber(command_link=commands, probe_interval_s=0.6)
        await wait_until(lambda: not subscriber.deaf, "it hears")
        relay.is_refusing = True
        relay.cut()
        await looks(subscriber, 4)
        assert not subscriber.deaf
        assert subscriber.connection == 1
        await subscriber.stop()
        await commands.stop()


async def test_probes_on_demand_do_not_put_off_the_verdict(
    valkey: EmbeddedServer, open_subscriber: OpenSubscriber
) -> None:
    async with Relay(valkey.url) as relay:
        subscriber = await open_subscriber(relay.url, probe_interval_s=0.3)
        await wait_until(lambda: not subscriber.deaf, "it hears")
        relay.stop_reading()

        def nag() -> bool:
            subscriber.probe_now()
            return subscriber.deaf

        await wait_until(nag, "it is found deaf although it is asked all the time")
        await subscriber.stop()


@pytest.mark.parametrize("sharded_tag", ["", "{tag}"])
async def test_many_subscriptions_are_made_and_made_again_in_few_writes(
    valkey: EmbeddedServer,
    link: Link,
    open_subscriber: OpenSubscriber,
    sharded_tag: str,
    writes: list[int],
) -> None:
    heard: list[int] = []
    async with Relay(valkey.url) as relay:
        subscriber = await open_subscriber(relay.url, sharded_tag=sharded_tag)
        writes.clear()
        await asyncio.gather(
            *[subscriber.subscribe(f"{{{n % 100}}}:{n}", lambda _, n=n: heard.append(n)) for n in range(5000)]
        )
        assert len(writes) < 20
        assert max(writes) < MAX_PUSHED_BYTES + 100
        writes.clear()
        relay.cut()
        await wait_until(lambda: subscriber.connected and subscriber.connection == 2, "it is connected again")
        assert len(writes) < 20
        for n in (0, 99, 100, 4999):
            await link.call("SPUBLISH" if sharded_tag else "PUBLISH", f"{{{n % 100}}}:{n}", b"hello")
        await wait_until(lambda: heard == [0, 99, 100, 4999], "all are heard")
        await subscriber.stop()


async def test_a_probe_that_is_refused_is_logged_once(
    valkey: EmbeddedServer, link: Link, open_subscriber: OpenSubscriber, caplog: pytest.LogCaptureFixture
) -> None:
    await link.call("ACL", "SETUSER", "mute", "on", ">pw", "~*", "resetchannels", "&elsewhere:*", "+@all")
    mute = Link(RedisAddress.parse(valkey.url, user="mute", password="pw"), name="mute", backoff=QUICK)
    await mute.start()
    await mute.wait_connected()
    subscriber = await open_subscriber(command_link=mute, name="ear", probe_interval_s=0.05)
    await looks(subscriber, 4)
    assert subscriber.deaf
    assert subscriber.connection == 1
    assert caplog.text.count("subscriber 'ear' cannot find out whether it hears: NOPERM") == 1
    await subscriber.stop()
    await mute.stop()


async def test_a_refused_subscription_ends_the_connection_and_is_logged(
    valkey: EmbeddedServer, link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    await link.call("ACL", "SETUSER", "narrow", "on", ">pw", "~*", "resetchannels", "&wispy:*", "+@all")
    subscriber = Subscriber(
        RedisAddress.parse(valkey.url, user="narrow", password="pw"),
        name="narrow",
        command_link=link,
        backoff=QUICK,
    )
    await subscriber.start()
    await wait_until(lambda: subscriber.connected, "connected")
    future = subscriber.subscribe("elsewhere:a", lambda payload: None)
    await wait_until(lambda: "NOPERM" in caplog.text, "the refusal is logged")
    subscriber.unsubscribe("elsewhere:a")
    assert future.cancelled()
    await wait_until(lambda: subscriber.connected, "connected without it")
    await subscriber.stop()
