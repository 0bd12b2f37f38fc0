"""RPCWebApp and `wispy serve`: one program that serves, ends when it is told to, and leaves nothing behind."""

import asyncio
import gc
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import wispy.app
from tests.integration.stack.conftest import MakeStack
from tests.integration.stack.gate import Gate
from tests.integration.stack.served import Quiet, Sample
from tests.support.files import lines
from tests.support.leaks import is_alive
from tests.support.rpc_client import Client, result
from tests.support.stack import SERVED, Service, command, free_port
from tests.support.waiting import wait_until, wait_until_blocking
from wispy import RPCWebApp
from wispy.errors import StartError

MODES = pytest.mark.parametrize("multiprocessed", ["true", "false"])
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


class Program:
    """A running program, its URL, and all that it has started."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.url = service.wait_until_says(r"wispy serves .+ at (http://\S+)/")[1].replace("http:", "ws:") + "/ws"
        self._folder = folder
        self._children = psutil.Process(service.pid).children(recursive=True)
        assert self._children, "at least the private server"
        assert list(folder.iterdir()), "its socket is in the program's own folder for temporary files"

    def kill_redis(self) -> None:
        (server,) = (child for child in self._children if child.name().startswith("valkey"))
        server.kill()

    def what_is_left(self) -> str:
        alive = [child for child in self._children if is_alive(child)]
        return f"{alive or ''}{list(self._folder.iterdir()) or ''}"

    async def check_gone(self) -> None:
        """Children that notice the death of their parent by themselves take a moment."""
        await wait_until(lambda: not self.what_is_left(), lambda: f"nothing is left: {self.what_is_left()}")
        assert "Traceback" not in self.service.output, self.service.output


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For temporary files: the path of a socket may be no longer than 100 characters."""
    folder = Path(tempfile.mkdtemp(prefix="w"))
    yield folder
    shutil.rmtree(folder)


def start_program(make_stack: MakeStack, folder: Path, *arguments: str) -> Program:
    env = {"TMPDIR": str(folder), "WISPY_LAUNCH": "never"}
    return Program(make_stack().run(arguments, env=env), folder)


def quickstart(make_stack: MakeStack, folder: Path, multiprocessed: str) -> Program:
    return start_program(make_stack, folder, sys.executable, str(SERVED / "program.py"), multiprocessed)


@MODES
@SIGNALS
async def test_a_signal_ends_all_of_it(
    make_stack: MakeStack, short_folder: Path, multiprocessed: str, number: signal.Signals
) -> None:
    program = quickstart(make_stack, short_folder, multiprocessed)
    async with Client(program.url) as client:
        await wait_until_served(client)
        program.service.send(number)
        assert await client.wait_until_closed() == 1001
    assert program.service.wait() == 0
    assert program.service.says("run has returned")
    await program.check_gone()


@SIGNALS
async def test_a_signal_that_comes_twice_at_once_is_one(
    make_stack: MakeStack, short_folder: Path, number: signal.Signals
) -> None:
    """A process group and its leader are often both told."""
    program = quickstart(make_stack, short_folder, "true")
    async with Client(program.url) as client:
        await wait_until_served(client)
        program.service.send(number)
        program.service.send(number)
    assert program.service.wait() == 0
    assert program.service.says("run has returned")
    await program.check_gone()


async def wait_until_served(client: Client) -> None:
    async def is_served() -> bool:
        return "result" in await (await client.start("sample.test_sum", [1, 2]))

    await wait_until(is_served, "sample is served")


@pytest.mark.parametrize(("launch", "is_opened"), [("always", True), ("auto", False), ("never", False)])
async def test_it_opens_its_page_in_a_browser(
    make_stack: MakeStack, short_folder: Path, tmp_path: Path, launch: str, is_opened: bool
) -> None:
    """`auto` opens none here: nobody sits before a terminal."""
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o755)
    env = {"TMPDIR": str(short_folder), "WISPY_LAUNCH": launch, "BROWSER": str(browser)}
    arguments = [sys.executable, str(SERVED / "program.py"), "false"]
    program = Program(make_stack().run(arguments, env=env), short_folder)
    async with Client(program.url) as client:
        await wait_until_served(client)
    assert program.service.stop() == 0
    page = program.url.replace("ws:", "http:").removesuffix("ws")
    assert lines(opened) == [page] * is_opened
    await program.check_gone()


@MODES
async def test_the_first_signal_never_raises_in_object_code(
    make_stack: MakeStack, short_folder: Path, gate: Gate, multiprocessed: str
) -> None:
    program = quickstart(make_stack, short_folder, multiprocessed)
    async with Client(program.url) as client:
        await wait_until_served(client)
        held = await client.start("sample.hold", [gate.path])
        await gate.wait_until_reached()
        program.service.send(signal.SIGINT)
        assert not held.done()
        gate.open()
        assert result(await held) == "held"
    assert program.service.wait() == 0
    await program.check_gone()


async def test_a_second_signal_ends_it_at_once(make_stack: MakeStack, short_folder: Path, gate: Gate) -> None:
    program = quickstart(make_stack, short_folder, "true")
    async with Client(program.url) as client:
        await wait_until_served(client)
        await client.start("sample.hold", [gate.path])
        await gate.wait_until_reached()

        def ends() -> bool:  # signals that come at once count as one
            program.service.send(signal.SIGINT)
            return not program.service.is_running

        await wait_until(ends, "it ends although the call runs on")
        assert program.service.process.returncode == 128 + signal.SIGINT
    await program.check_gone()


SLOW_TO_CLOSE = """
import asyncio
from wispy import RPCWebApp, on_release, parts

parts.DRAIN_S, parts.PATIENCE_S = 0.1, 2

class Slow:
    @on_release
    async def close(self):
        await asyncio.sleep(3)
        print("the object is closed", flush=True)

RPCWebApp({"port": 0, "multiprocessed": False}, slow=Slow).run()
print("run has returned")
"""


async def test_hooks_have_their_time_at_the_end(make_stack: MakeStack, short_folder: Path) -> None:
    program = start_program(make_stack, short_folder, sys.executable, "-c", SLOW_TO_CLOSE)
    assert program.service.stop() == 0
    assert program.service.says("the object is closed\n")
    assert program.service.says("run has returned")
    await program.check_gone()


STARTING = """
import sys, time
from pathlib import Path
from wispy import RPCWebApp

class Slow:
    def __init__(self):
        print("it is being made", flush=True)
        while not Path(sys.argv[1]).exists():
            time.sleep(0.01)

RPCWebApp({"port": 0, "multiprocessed": False}, slow=Slow).run()
"""


async def test_what_is_asked_to_end_while_it_starts_announces_nothing(make_stack: MakeStack, gate: Gate) -> None:
    arguments = [sys.executable, "-c", STARTING, gate.path]
    program = make_stack().run(arguments, env={"WISPY_LAUNCH": "always", "BROWSER": "false"})
    program.wait_until_says("it is being made")
    program.send(signal.SIGTERM)
    gate.open()
    assert program.wait() == 0
    assert not program.says("wispy serves")


UNSERVED = """
from wispy import RPCWebApp, parts

parts.OBJECTS_S = 0.5

def make():
    print("it is made and not returned", flush=True)

RPCWebApp({"port": 0, "multiprocessed": False}, lamp=make).run()
"""


async def test_an_object_that_cannot_be_served_is_told_where_the_address_is(
    make_stack: MakeStack, short_folder: Path
) -> None:
    program = start_program(make_stack, short_folder, sys.executable, "-c", UNSERVED)
    program.service.wait_until_says("not served yet: lamp; the log says why")
    program.service.wait_until_says("the object lamp cannot be served: its factory returned None")
    assert program.service.stop() == 0
    assert not program.service.says("lamp is released")


HANGING = """
import time
from wispy import RPCWebApp, parts

parts.DRAIN_S = parts.PATIENCE_S = 0.1

class Hanging:
    def hang(self):
        print("it hangs", flush=True)
        while True:
            time.sleep(0.1)

RPCWebApp({"port": 0, "multiprocessed": False}, hanging=Hanging()).run()
"""


async def test_a_call_that_never_returns_does_not_keep_the_program(make_stack: MakeStack, short_folder: Path) -> None:
    program = start_program(make_stack, short_folder, sys.executable, "-c", HANGING)
    async with Client(program.url) as client:
        await client.start("hanging.hang", [])
        await wait_until(lambda: program.service.says("it hangs"), "it hangs")
        assert program.service.stop() == 1
    assert program.service.says("hanging is released")
    assert program.service.says("object code does not return; the process ends without it")
    await program.check_gone()


@MODES
async def test_a_killed_program_leaves_nothing_after_a_moment(
    make_stack: MakeStack, short_folder: Path, multiprocessed: str
) -> None:
    program = quickstart(make_stack, short_folder, multiprocessed)
    async with Client(program.url) as client:
        await wait_until_served(client)
        program.service.kill_alone()
    await program.check_gone()


async def test_the_objects_go_on_with_another_private_server(make_stack: MakeStack, short_folder: Path) -> None:
    program = quickstart(make_stack, short_folder, "true")
    async with Client(program.url) as client:
        await wait_until_served(client)
        await client.set("sample.a", "kept by the object")
        program.kill_redis()
        await wait_until(lambda: program.service.says("is started again without its data"), "it is noticed")
        await wait_until_served(client)
        assert await client.get("sample.a") == "kept by the object"
        assert (await client.subscribe("sample.a"))["sample.a"]["value"] == "kept by the object"
    program.service.stop()
    await program.check_gone()


async def test_wispy_serve_serves_several_objects(make_stack: MakeStack, short_folder: Path) -> None:
    specs = ["--object", "served:Sample", "--object", "quiet=served:quiet"]
    program = start_program(make_stack, short_folder, command("wispy"), "serve", "--port", "0", *specs)
    async with Client(program.url) as client:
        await wait_until_served(client)
        assert await client.call("quiet.ping") == "pong"
    assert program.service.stop() == 0
    await program.check_gone()


# --- in a program of one's own ----------------------------------------------------------------------------------------


def config(multiprocessed: str) -> dict[str, object]:
    return {"port": 0, "launch": "never", "multiprocessed": multiprocessed == "true"}


def websocket_url(app: RPCWebApp) -> str:
    return app.url.replace("http:", "ws:") + "ws"


@MODES
async def test_it_runs_beside_a_running_loop(multiprocessed: str) -> None:
    sample = Sample()
    with RPCWebApp(config(multiprocessed), sample=sample, quiet=Quiet) as app:
        async with Client(websocket_url(app)) as client:
            await wait_until_served(client)
            assert await client.call("quiet.ping") == "pong", "a class is instantiated"
            await client.subscribe("sample.a")
            sample.a = 77  # from this thread
            await client.wait_for_update("sample.a", 77)
            await client.set("sample.note", "from outside")
            assert sample.note == "from outside"
    assert sample.a == 77
    assert not hasattr(sample, "publish"), "the object is given back as it was"


def test_it_can_be_started_again() -> None:
    app = RPCWebApp(config("false"), quiet=Quiet())
    for _ in range(2):
        app.start()
        with pytest.raises(StartError, match="running"):
            app.start()
        assert app.url.startswith("http://127.0.0.1:")
        app.stop()
        app.stop()
        assert app.url == ""


@MODES
def test_a_start_that_fails_leaves_nothing(multiprocessed: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        app = RPCWebApp({**config(multiprocessed), "port": taken.getsockname()[1]}, quiet=Quiet())
        with pytest.raises(StartError, match="in use"):
            app.start()
    failing = {**config(multiprocessed), "port": free_port(), "auth": {"kind": "tokens", "tokens": "/nowhere"}}
    app = RPCWebApp(failing, quiet=Quiet())
    failures: list[StartError] = []  # a notebook keeps the last one, too, with all that its traceback holds
    for _ in range(2):
        with pytest.raises(StartError, match=r"auth\.tokens = /nowhere: cannot be read") as caught:
            app.start()
        failures.append(caught.value)
    gc.collect()  # Tornado leaves the socket that it could not bind to the exception's traceback
    with pytest.raises(StartError, match="rpc"):
        RPCWebApp(config(multiprocessed), rpc=Quiet())
    with pytest.raises(StartError):
        RPCWebApp(config(multiprocessed))


def test_it_may_be_stopped_as_soon_as_it_is_started() -> None:
    app = RPCWebApp(config("true"), sample=Sample())
    app.start()
    app.stop()


def test_a_start_that_takes_too_long_does_not_go_on_behind_ones_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wispy.app, "START_S", 0.2)
    is_wanted = threading.Event()

    class Slow:
        def __init__(self) -> None:
            is_wanted.wait(30)

    app = RPCWebApp(config("false"), slow=Slow)
    with pytest.raises(StartError, match="is ended"):
        app.start()
    (thread,) = (each for each in threading.enumerate() if each.name == "wispy-objects")
    is_wanted.set()
    thread.join(30)
    assert not thread.is_alive()
    assert app.url == ""
    app.stop()


def test_what_ends_it_later_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("ERROR"), RPCWebApp(config("false"), quiet=Quiet()) as app:
        assert app._parts is not None
        app._parts._fail(StartError("the server is none that can be used"))
        wait_until_blocking(lambda: "the server is none that can be used" in caplog.text, "it is told")


@MODES
async def test_an_object_may_end_it(multiprocessed: str) -> None:
    class Switch:
        def off(self) -> str:
            app.stop()
            return "it is off"

    with RPCWebApp(config(multiprocessed), switch=Switch()) as app:
        async with Client(websocket_url(app)) as client:
            assert await client.call("switch.off") == "it is off"
            assert await client.wait_until_closed() == 1001
    assert app.url == ""


async def test_run_is_refused_where_it_cannot_work() -> None:
    app = RPCWebApp(config("false"), quiet=Quiet())
    with pytest.raises(StartError, match=r"as in a notebook: call start\(\)"):
        app.run()
    with pytest.raises(StartError, match=r"for the main thread: here, call start\(\)"):
        await asyncio.to_thread(app.run)
    with app, pytest.raises(StartError, match="running already"):
        app.run()
