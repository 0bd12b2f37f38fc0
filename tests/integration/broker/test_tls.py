"""Links over TLS: whose certificates are believed, what is said when one is not, and the subscriber over TLS."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.broker.conftest import QUICK
from tests.support.certificates import Authority
from tests.support.tls_redis import PASSWORD, USER, TlsRedis
from tests.support.waiting import wait_until
from wispy.broker.deployment import Deployment
from wispy.broker.link import Link
from wispy.broker.subscriber import Subscriber
from wispy.config.redis_address import RedisAddress
from wispy.config.schema import RedisConfig, RedisTlsConfig
from wispy.errors import ConfigError, StartError


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsRedis]:
    server = TlsRedis(Authority(tmp_path_factory.mktemp("authority")), tmp_path_factory.mktemp("redis"))
    with server.running():
        yield server


OpenTls = Callable[..., Awaitable[Link]]


@pytest.fixture
async def open_tls(secure: TlsRedis) -> AsyncIterator[OpenTls]:
    """Start a link to the server; `tls` are settings other than those that it takes."""
    links: list[Link] = []

    async def open_one(url: str = secure.url, *, wait: bool = True, **tls: Any) -> Link:
        settings = msgspec.structs.replace(secure.tls, **tls)
        address = RedisAddress.parse(url, user=USER, password=PASSWORD, tls=settings)
        link = Link(address, name="tls", backoff=QUICK, connect_timeout_s=1)
        links.append(link)
        await link.start()
        if wait:
            await link.wait_connected()
        return link

    yield open_one
    for link in links:
        await link.stop()


async def test_commands_and_messages_travel_by_tls(secure: TlsRedis, open_tls: OpenTls) -> None:
    link = await open_tls()
    assert await link.call("SET", "stack-a", "x" * 300_000, "PX", 60_000) == b"OK"
    assert await link.call("GET", "stack-a") == b"x" * 300_000
    assert f" user={USER} ".encode() in await link.call("CLIENT", "INFO")
    heard: list[bytes] = []
    address = RedisAddress.parse(secure.url, user=USER, password=PASSWORD, tls=secure.tls)
    subscriber = Subscriber(address, name="tls", command_link=link, prefix="stack-", backoff=QUICK)
    await subscriber.start()
    await subscriber.subscribe("stack-c", heard.append)
    await link.call("PUBLISH", "stack-c", "hello")
    await wait_until(lambda: heard == [b"hello"] and not subscriber.deaf, "it is heard")
    await subscriber.stop()


async def test_a_certificate_of_another_authority_is_not_believed(
    open_tls: OpenTls, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = await open_tls(wait=False, ca=str(Authority(tmp_path).ca))
    await wait_until(lambda: "its certificate is not believed" in caplog.text, "the reason is logged")
    assert not link.connected
    assert PASSWORD not in caplog.text


async def test_a_certificate_for_another_host_is_believed_only_if_told_to(
    secure: TlsRedis, open_tls: OpenTls, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"rediss://localhost:{secure.port}"  # the certificate is for 127.0.0.1
    link = await open_tls(url, wait=False)
    await wait_until(lambda: "Hostname mismatch" in caplog.text, lambda: f"the reason is logged: {caplog.text}")
    assert not link.connected
    assert (await open_tls(url, verify="chain")).connected


async def test_nothing_is_checked_if_told_so(open_tls: OpenTls, tmp_path: Path) -> None:
    other = str(Authority(tmp_path).ca)
    assert (await open_tls(verify="none", ca=other)).connected


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [(b"-DENIED Redis is running in protected mode\r\n", "it speaks no TLS at this port"), (b"", "does it speak TLS")],
    ids=["answers", "is silent"],
)
async def test_a_server_that_speaks_no_tls_is_named(
    open_tls: OpenTls, caplog: pytest.LogCaptureFixture, greeting: bytes, reason: str
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    link = await open_tls(f"rediss://127.0.0.1:{server.sockets[0].getsockname()[1]}", wait=False)
    await wait_until(lambda: reason in caplog.text, lambda: f"the reason is logged: {caplog.text}")
    assert not link.connected
    await link.stop()
    server.close()
    await server.wait_closed()


def test_what_cannot_be_used_is_said_at_the_start(
    secure: TlsRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca, key = str(secure.authority.ca), str(secure.key)
    absent = str(tmp_path / "absent.pem")

    def fault(error: type[Exception], url: str = "rediss://cache", **tls: Any) -> str:
        with pytest.raises(error) as caught:
            Deployment(RedisConfig(url=url, tls=RedisTlsConfig(**tls)))
        return str(caught.value)

    assert fault(StartError, ca=absent) == f"redis.tls.ca = {absent}: cannot be read: No such file or directory"
    assert fault(StartError, ca=key).startswith(f"redis.tls.ca = {key}: no PEM certificates")
    assert "redis.tls.certificate, which is missing" in fault(StartError, key=key)
    assert "no PEM certificate and its plain key" in fault(StartError, certificate=ca, key=key)
    assert "it must begin with rediss" in fault(ConfigError, "redis://cache", ca=ca)
    Deployment(RedisConfig(url="rediss://cache", tls=RedisTlsConfig(verify="none")))
    assert "redis.tls.verify is none" in caplog.text


async def test_a_certificate_that_was_renewed_is_used_at_the_next_connection(
    secure: TlsRedis, open_tls: OpenTls, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path).sign("stranger", "DNS:stranger")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    certificate.write_bytes(stranger[0].read_bytes())
    key.write_bytes(stranger[1].read_bytes())
    link = await open_tls(wait=False, certificate=str(certificate), key=str(key))
    assert not link.connected
    key.write_bytes(secure.key.read_bytes())
    certificate.write_bytes(secure.certificate.read_bytes())
    await wait_until(lambda: link.connected, "the server takes the new certificate")
