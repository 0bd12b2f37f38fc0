"""wispy's life on servers whose users have the rights of `deploy/redis/users.acl`, and what these users are refused."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError, ResponseError

from scripts.redis_acl import rules, users
from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.gate import Gate
from tests.support.rpc_client import Client
from tests.support.stack import Service, Stack, free_port, metrics_at
from tests.support.waiting import wait_until, wait_until_blocking
from wispy.broker.embedded import find_binary
from wispy.broker.keys import Keys

FILE = Path(__file__).parents[3] / "deploy" / "redis" / "users.acl"
KEYS = Keys().of("sample")
OTHER = Keys("other:").of("sample")


class GuardedServer:
    """A Redis or Valkey server with the users of the file."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.port = free_port()
        text = FILE.read_text()
        for role in ("ADMIN", "FRONTEND", "WORKER", "SHARED"):  # as the file's users do
            text = text.replace(f"{role}_PASSWORD", f"{role.lower()}-password")
        acl = folder / "users.acl"
        acl.write_text(text)
        self._service = Service(
            [binary, "--port", str(self.port), "--save", "", "--maxmemory-policy", "noeviction", "--aclfile", str(acl)],
            folder=folder,
            log=folder / "server.log",
        )
        wait_until_blocking(self._answers, lambda: f"the server is up: {self._service.output}", 10)

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, protocol=2) as nobody:
                return bool(nobody.ping())
        except redis.ConnectionError:
            return False

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def as_user(self, user: str) -> redis.Redis:
        return redis.Redis(port=self.port, username=user, password=f"{user}-password", protocol=2)

    def denials(self) -> list[Any]:
        """What the server has refused since the last look: nothing, where wispy has the rights that it needs."""
        with self.as_user("admin") as admin:
            entries: Any = admin.execute_command("ACL LOG")
            admin.execute_command("ACL LOG RESET")
            return entries

    def stop(self) -> None:
        self._service.kill()


@pytest.fixture(scope="module", params=["valkey", "redis"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    binary = str(find_binary()) if request.param == "valkey" else shutil.which("redis-server")
    if binary is None:
        pytest.skip("there is no redis-server on this machine")
    server = GuardedServer(binary, tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def guarded(server: GuardedServer, make_stack: MakeStack) -> Stack:
    server.denials()  # what other tests have brought about
    return make_stack(server.url, **{"redis.prefix": "wispy:", "console": "true", "metrics": "true"})


def user(name: str, **config: Any) -> dict[str, Any]:
    return {"redis.user": name, "redis.password": f"{name}-password", **config}


async def test_the_users_have_the_rights_that_they_need(server: GuardedServer, guarded: Stack) -> None:
    workers = [guarded.worker("sample=served:Sample", **user("worker"))]
    workers.append(guarded.standby("sample=served:Sample", **user("worker")))
    frontend = guarded.frontend(**user("frontend"))
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        assert await client.call("sample.test_sum", [4, 5]) == 9
        answers = await client.subscribe("sample.a", "sample.alarm")
        assert answers["sample.a"]["value"] == 1
        assert await client.call("rpc.channels", {"object": "sample"})
        assert "sample.test_sum" in str(await client.call("rpc.discover"))
        assert len(await client.call("sample.large", [3 << 20])) == 3 << 20  # by a key of its own
        pid = (await client.call("rpc.status"))["objects"][0]["owner"]["pid"]
        (owner,) = (worker for worker in workers if worker.pid == pid)  # the first, unless it was held for dead
        owner.kill_alone()
        assert await client.call("sample.test_sum", [1, 2]) == 3  # the other one's answer
    metrics = metrics_at(frontend.url)
    assert 'wispy_link_up{link="commands",process="frontend-0"} 1.0' in metrics
    assert server.denials() == []


async def test_withdrawals_and_cancellations_and_loaded_scripts(
    server: GuardedServer, guarded: Stack, gate: Gate
) -> None:
    worker = guarded.worker("sample=served:Sample", **user("worker"))
    frontend = guarded.frontend(**user("frontend"))
    hasty = guarded.frontend(**user("frontend", **{"func_caller.max_start_delay_default": 0.5}))
    async with Client(frontend.websocket_url) as client, Client(hasty.websocket_url) as hasty_client:
        await client.hello()
        waiting = await client.start("sample.wait", [gate.path])
        await gate.wait_until_reached()
        await client.call("rpc.cancel", {"id": 2})
        assert "error" in await waiting
        for _ in range(3):  # by their hash
            await client.call("sample.test_sum", [1, 2])
            await client.subscribe("sample.a")
            await client.call("rpc.unsubscribe", {"channels": ["sample.a"]})
        worker.kill_alone()
        error = await hasty_client.error("sample.test_sum", [1, 2])
        assert error.data["executed"] in ("no", "maybe")
        with server.as_user("admin") as admin:
            await wait_until(lambda: admin.xlen(KEYS.requests) == 0, "what nobody took is withdrawn")
            admin.script_flush()
        guarded.worker("sample=served:Sample", **user("worker"))
        assert await client.call("sample.test_sum", [2, 2]) == 4
    assert server.denials() == []


async def test_a_shared_object_s_workers_have_the_rights_that_they_need(
    server: GuardedServer, guarded: Stack, tmp_path: Path
) -> None:
    config = user("shared", shared="true")
    lost, leaving = (guarded.worker("ledger=stateless:Ledger", **config) for _ in range(2))
    frontend = guarded.frontend(**user("frontend"))
    async with Client(frontend.websocket_url) as client:
        await client.hello()
        runs = str(tmp_path / "runs")
        waiting = [await client.start("ledger.note_slowly", [runs, f"{number}", 0.3]) for number in range(20)]
        await wait_until(lambda: Path(runs).exists(), "they run")
        await wait_until(lambda: workers_of(client, "ledger", 2), "both are there")
        lost.kill_alone()
        guarded.worker("ledger=stateless:Ledger", **config)
        leaving.send(signal.SIGTERM)
        for each in waiting:
            answer = await each
            assert "result" in answer or answer["error"]["data"]["executed"] in ("no", "maybe")
    assert leaving.wait() == 0
    assert server.denials() == []


async def workers_of(client: Client, name: str, number: int) -> bool:
    """Whether the status tells of so many workers: one that is busy for longer than its lease is missing in it."""
    return [each["workers"] for each in (await client.call("rpc.status"))["objects"] if each["name"] == name] == [
        number
    ]


FORBIDDEN = {
    "frontend": [
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("ACL", "LIST"),
        ("CLIENT", "LIST"),
        ("MONITOR",),
        ("SHUTDOWN", "NOSAVE"),
        ("SCRIPT", "FLUSH"),
        ("FUNCTION", "LIST"),
        ("SAVE",),
        ("REPLICAOF", "NO", "ONE"),
        ("SWAPDB", "0", "1"),
        ("HSET", KEYS.owner, "epoch", "mine"),
        ("DEL", KEYS.owner),
        ("HSET", KEYS.log, "since", "x"),
        ("HGETALL", KEYS.log),
        ("HSET", KEYS.values, "a", "1:666"),
        ("HSET", KEYS.channels, "secret", '{"kind":"value"}'),
        ("HGETALL", KEYS.state),
        ("SET", KEYS.interface, "{}"),
        ("DEL", KEYS.requests),
        ("XTRIM", KEYS.requests, "MAXLEN", "0"),
        ("XGROUP", "CREATE", KEYS.requests, "mine", "0"),
        ("XREADGROUP", "GROUP", "mine", "me", "STREAMS", KEYS.requests, ">"),
        ("XADD", KEYS.history("a"), "*", "v", "666"),
        ("SET", KEYS.body("s", 1), "forged"),
        ("PUBLISH", KEYS.updates("a"), '["9-z",99,666]'),
        ("PUBLISH", KEYS.notices, "{}"),
        ("PUBLISH", KEYS.replies("f"), "[]"),
        ("ZADD", Keys().objects, "1", "mine"),
        ("EVAL", "return redis.call('HSET', KEYS[1], 'epoch', 'mine')", "1", KEYS.owner),
        ("EVAL", f"return redis.call('HSET', '{KEYS.owner}', 'epoch', 'mine')", "0"),
        ("EVAL", f"return redis.call('PUBLISH', '{KEYS.updates('a')}', 'forged')", "1", KEYS.requests),
        ("EVAL", "return redis.call('FLUSHALL')", "1", KEYS.requests),
        ("GET", OTHER.interface),
        ("XADD", OTHER.requests, "*", "e", "x"),
        ("PUBLISH", OTHER.cancels, "x"),
        ("SUBSCRIBE", KEYS.cancels),
        ("SUBSCRIBE", OTHER.updates("a")),
        ("PSUBSCRIBE", "*"),
    ],
    "worker": [
        ("FLUSHALL",),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("ACL", "SETUSER", "me", "on"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("MONITOR",),
        ("SHUTDOWN", "NOSAVE"),
        ("SCRIPT", "FLUSH"),
        ("REPLICAOF", "NO", "ONE"),
        ("XADD", KEYS.requests, "*", "e", "forged"),
        ("DEL", KEYS.requests),
        ("DEL", KEYS.owner),
        ("GETDEL", KEYS.body("s", 1)),
        ("GET", KEYS.body("s", 1)),
        ("PUBLISH", KEYS.cancels, '["s",1]'),
        ("SUBSCRIBE", KEYS.replies("f")),
        ("SUBSCRIBE", KEYS.updates("a")),
        ("EVAL", "return redis.call('XADD', KEYS[1], '*', 'e', 'forged')", "1", KEYS.requests),
        ("EVAL", "return redis.call('FLUSHALL')", "1", KEYS.owner),
        ("HSET", OTHER.owner, "epoch", "mine"),
        ("EVAL", "return 1", "1", OTHER.owner),
        ("PUBLISH", OTHER.updates("a"), "x"),
        ("ZADD", Keys("other:").objects, "1", "mine"),
    ],
    "shared": [
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("DEL", KEYS.requests),
        ("GETDEL", KEYS.body("s", 1)),
        ("PUBLISH", KEYS.cancels, '["s",1]'),
        ("HSET", OTHER.owner, "epoch", "mine"),
    ],
    "default": [
        ("GET", KEYS.interface),
        ("XADD", KEYS.requests, "*", "e", "x"),
        ("INFO",),
        ("SUBSCRIBE", "wispy:status"),
    ],
}


@pytest.mark.parametrize(
    ("name", "command"),
    [(name, command) for name, commands in FORBIDDEN.items() for command in commands],
    ids=lambda each: each if isinstance(each, str) else " ".join(each)[:60],
)
def test_what_a_role_does_not_need_is_refused(server: GuardedServer, name: str, command: tuple[str, ...]) -> None:
    if name == "default":
        connection = redis.Redis(port=server.port, protocol=2)
    else:
        connection = server.as_user(name)
    with (
        connection,
        pytest.raises(ResponseError, match=r"(?i)no permissions|user executing the script can't|acl failure"),
    ):
        connection.execute_command(*command)
    server.denials()


def test_a_worker_s_user_may_be_for_one_object(server: GuardedServer) -> None:
    with server.as_user("admin") as admin:
        granted = rules("worker", "wispy:", objects="sample")
        admin.execute_command("ACL SETUSER", "sampler", "reset", "on", ">sampler-password", *granted)
    with server.as_user("sampler") as sampler:
        assert sampler.hget(KEYS.owner, "absent") is None
        with pytest.raises(NoPermissionError):
            sampler.hget(Keys().of("other").owner, "absent")
    server.denials()


def test_the_file_is_current() -> None:
    assert FILE.read_text() == users()


def test_another_prefix_takes_one_replacement() -> None:
    assert FILE.read_text().replace("wispy:", "lab:") == users("lab:")
