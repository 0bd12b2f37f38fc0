"""Links to the master that Sentinels name, and to the next one after a failover."""

from collections.abc import Iterator

import pytest

from tests.integration.broker.conftest import OpenLink
from tests.support.deployment import FAILOVER_S
from tests.support.sentinel import MASTER, SentinelDeployment
from tests.support.stack import free_port
from tests.support.waiting import wait_until
from wispy.broker.deployment import Deployment
from wispy.broker.link import Link
from wispy.config.schema import RedisConfig, RedisSentinelConfig


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelDeployment]:
    """For tests that change nothing of it: Sentinels take two seconds to find each other."""
    with SentinelDeployment(tmp_path_factory.mktemp("sentinel")) as deployment:
        yield deployment


@pytest.fixture
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelDeployment]:
    with SentinelDeployment(tmp_path_factory.mktemp("sentinel")) as deployment:
        yield deployment


async def role(link: Link) -> bytes:
    reply: list[bytes] = await link.call("ROLE")
    return reply[0]


async def test_the_master_is_found_also_if_some_sentinels_are_gone(
    shared: SentinelDeployment, open_link: OpenLink
) -> None:
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{free_port()},127.0.0.1:{shared.sentinels[0]}"
    link = await open_link(f"redis+sentinel://{hosts}/{MASTER}/2")
    assert await role(link) == b"master"
    assert b" db=2 " in await link.call("CLIENT", "INFO")


async def test_a_failover_is_followed(deployment: SentinelDeployment, open_link: OpenLink) -> None:
    link = await open_link(deployment.url)
    assert link.server is not None
    former = link.server.run_id
    deployment.kill_master()
    await wait_until(
        lambda: link.connected and link.server is not None and link.server.run_id != former,
        "the next master",
        FAILOVER_S,
    )
    assert await role(link) == b"master"


async def test_a_sentinel_that_wants_a_password_gets_that_of_the_servers(
    deployment: SentinelDeployment, open_link: OpenLink
) -> None:
    for port in deployment.servers:
        deployment.ask(port, "CONFIG", "SET", "masterauth", "a-secret")
        deployment.ask(port, "CONFIG", "SET", "requirepass", "a-secret")
    port = deployment.sentinels[0]
    deployment.ask(port, "ACL", "SETUSER", "default", "resetpass", ">a-secret")
    link = await open_link(f"redis+sentinel://:a-secret@127.0.0.1:{port}/{MASTER}")
    assert await role(link) == b"master"


@pytest.mark.parametrize(
    ("rules", "user"),
    [
        (("default", "resetpass", ">its-own"), None),
        (("wispy", "on", ">its-own", "+auth", "+sentinel|get-master-addr-by-name"), "wispy"),
    ],
    ids=["password", "user"],
)
async def test_a_sentinel_may_have_a_login_of_its_own(
    deployment: SentinelDeployment, caplog: pytest.LogCaptureFixture, rules: tuple[str, ...], user: str | None
) -> None:
    for server in deployment.servers:
        deployment.ask(server, "CONFIG", "SET", "masterauth", "a-secret")
        deployment.ask(server, "CONFIG", "SET", "requirepass", "a-secret")
    port = deployment.sentinels[0]
    if user is not None:
        deployment.ask(port, "ACL", "SETUSER", *rules)
        rules = ("default", "-@all")
    deployment.ask(port, "ACL", "SETUSER", *rules)
    url = f"redis+sentinel://:a-secret@127.0.0.1:{port}/{MASTER}"
    links = {
        password: Deployment(RedisConfig(url=url, sentinel=RedisSentinelConfig(user=user, password=password))).commands(
            password
        )
        for password in ("its-own", "another")
    }
    for link in links.values():
        await link.start()
    await wait_until(lambda: links["its-own"].connected, lambda: f"the right one is let in: {caplog.text}")
    assert await links["its-own"].call("ROLE")
    await wait_until(lambda: "WRONGPASS" in caplog.text, lambda: f"the other one is refused: {caplog.text}")
    assert not links["another"].connected
    assert not any(secret in caplog.text for secret in ("its-own@", "another@", "a-secret"))
    for link in links.values():
        await link.stop()


async def test_what_the_sentinels_say_is_logged_once_and_without_the_password(
    shared: SentinelDeployment, open_link: OpenLink, caplog: pytest.LogCaptureFixture
) -> None:
    gone = free_port()
    hosts = f"127.0.0.1:{gone},127.0.0.1:{shared.sentinels[0]}"
    link = await open_link(f"redis+sentinel://:a-secret@{hosts}/other", wait=False)
    await wait_until(lambda: "no Sentinel names a master" in caplog.text, "the reason is logged")
    assert f"127.0.0.1:{shared.sentinels[0]} does not know 'other'" in caplog.text
    assert f"127.0.0.1:{gone}: " in caplog.text
    assert "a-secret" not in caplog.text
    assert not link.connected
    lines = [record for record in caplog.records if "no Sentinel" in record.message]
    assert len(lines) == 1
