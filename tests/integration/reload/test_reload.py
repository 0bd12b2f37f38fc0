"""`autoreload`: the program is started again when its source changes; what its clients hold goes on."""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import wispy
from tests.support.leaks import is_alive
from tests.support.stack import Service, command
from tests.support.waiting import wait_until, wait_until_blocking
from wispy.client import Rpc, RPCError

LAMP = """\
class Lamp:
    level: int = 1
    tracked_channel_values = {"level": 1}

    def hello(self) -> str:
        return "one"
"""

PROGRAM = """\
import fcntl
from wispy import RPCWebApp
from lamp import Lamp

class Instrument:
    def hello(self) -> str:
        return Lamp().hello()

    def __init__(self) -> None:
        self._file = open("instrument", "w")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where it is open already

RPCWebApp("lab.yaml", lamp=Instrument()).run()
print("run has returned")
"""

Start = Callable[..., Service]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A project, and its temporary files: the path of a socket may be no longer than 100 characters."""
    folder = Path(tempfile.mkdtemp(prefix="w"))
    (folder / "lamp.py").write_text(LAMP)
    (folder / "program.py").write_text(PROGRAM)
    (folder / "lab.yaml").write_text("autoreload: true\nport: 0\nmultiprocessed: false\n")
    (folder / "tmp").mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(folder: Path, tmp_path: Path) -> Iterator[Start]:
    services: list[Service] = []

    def start(*arguments: str) -> Service:
        env = {"TMPDIR": str(folder / "tmp"), "WISPY_LAUNCH": "never"}
        service = Service(arguments, folder=folder, log=tmp_path / f"{len(services)}.log", env=env)
        services.append(service)
        return service

    yield start
    for service in services:
        service.kill()


def serve(start: Start, *more: str, reload: str = "--autoreload") -> Service:
    settings = ["--port", "0", "--set", "multiprocessed=false", reload]
    return start(command("wispy"), "serve", *settings, "--object", "lamp:Lamp", *more)


def url_of(service: Service) -> str:
    return service.wait_until_says(r"wispy serves .+ at (http://\S+)/")[1]


def times(service: Service, text: str) -> int:
    return service.output.count(text)


async def wait_for_hello(rpc: Rpc, text: str) -> None:
    answers: list[object] = []

    async def says() -> bool:
        try:
            answers.append(await rpc.lamp.hello())
        except RPCError as error:  # the call may have been under way to the process that has ended
            answers.append(error)
        return answers[-1] == text

    await wait_until(says, lambda: f"it says {text!r}: {answers[-3:]}", 20.0)


@pytest.mark.parametrize("reload", ["--autoreload", "--set=debug=true"])
async def test_a_client_sees_the_new_source_in_its_old_session(start: Start, folder: Path, reload: str) -> None:
    service = serve(start, reload=reload)
    url = url_of(service)
    states: list[str] = []
    seen: list[int] = []
    async with wispy.connect(url) as rpc:
        rpc.on_state(lambda state, _: states.append(state))
        await rpc.add_channel_handlers("lamp", {"level": seen.append}, True)
        assert await rpc.lamp.hello() == "one"
        (folder / "lamp.py").write_text(LAMP.replace("one", "two, with more").replace("= 1", "= 7"))
        await wait_for_hello(rpc, "two, with more")
        assert "resumed" in states, "the session goes on"
        assert "lost" not in states
        await rpc.set("lamp.level", 8)
        await wait_until(lambda: seen[-1:] == [8], lambda: f"its subscription goes on: {seen}")
        assert await rpc.lamp.level == 8
    assert service.says(r"lamp\.py changed; the program is started again")
    # Clients are served before the program says where.
    await wait_until(lambda: times(service, f"at {url}/") == 2, lambda: f"it is on the same port: {service.output}")
    assert service.stop() == 0


async def test_a_syntax_error_is_shown_and_ends_nothing(start: Start, folder: Path) -> None:
    service = serve(start)
    async with wispy.connect(url_of(service)) as rpc:
        assert await rpc.lamp.hello() == "one"
        (folder / "lamp.py").write_text(LAMP + "def broken(")
        service.wait_until_says("SyntaxError: '\\(' was never closed")
        service.wait_until_says("ended with status 2; it is started again when a source file changes")
        (folder / "lamp.py").write_text(LAMP.replace("one", "mended"))
        await wait_for_hello(rpc, "mended")
        assert rpc.state == "resumed"
    assert service.stop() == 0


def test_it_may_be_broken_from_the_beginning(start: Start, folder: Path) -> None:
    (folder / "lamp.py").write_text(LAMP + "def broken(")
    service = serve(start)
    service.wait_until_says("it is started again when a source file changes")
    (folder / "lamp.py").write_text(LAMP)
    url_of(service)
    assert service.stop() == 0


def test_a_watcher_that_waits_ends_when_asked_to(start: Start, folder: Path) -> None:
    (folder / "lamp.py").write_text("broken(")
    service = serve(start)
    service.wait_until_says("it is started again when a source file changes")
    service.send(signal.SIGINT)
    assert service.wait() == 128 + signal.SIGINT


async def test_a_script_of_ones_own_is_started_anew(start: Start, folder: Path) -> None:
    """Its instrument is open once at a time; a module that it has not yet had, and a broken one, are watched, too."""
    service = start(sys.executable, "program.py")
    async with wispy.connect(url_of(service)) as rpc:
        assert await rpc.lamp.hello() == "one"
        (folder / "other.py").write_text("broken(")
        (folder / "lamp.py").write_text("from other import TEXT\n\n" + LAMP.replace('"one"', "TEXT"))
        service.wait_until_says("ended with status 1")
        (folder / "other.py").write_text("TEXT = 'from the other'\n")
        await wait_for_hello(rpc, "from the other")
    assert service.stop() == 0
    assert service.says("run has returned")


def test_the_configuration_is_watched_too(start: Start, folder: Path) -> None:
    service = start(sys.executable, "program.py")
    assert not url_of(service).endswith("/lab")
    with (folder / "lab.yaml").open("a") as file:
        file.write("base_path: /lab\n")
    service.wait_until_says(r"at (http://\S+/lab)/")
    assert service.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_watcher_is_the_end_of_all(start: Start, folder: Path, number: signal.Signals) -> None:
    service = serve(start, "--set", "multiprocessed=true")
    url_of(service)
    family = psutil.Process(service.pid).children(recursive=True)
    assert len(family) >= 3, "the program, its frontend, and the private server"
    if number == signal.SIGKILL:
        service.kill_alone()
    else:
        service.send(number)
        assert service.wait() == 0
    wait_until_blocking(
        lambda: not any(is_alive(each) for each in family),
        lambda: f"nothing is left: {family}",
        20.0,
    )
    assert list((folder / "tmp").iterdir()) == []
    assert "Traceback" not in service.output, service.output


def test_a_program_that_ends_well_ends_its_watcher(start: Start, folder: Path) -> None:
    service = serve(start)
    url_of(service)
    (program,) = (each for each in psutil.Process(service.pid).children() if "serve" in each.cmdline())
    program.terminate()
    assert service.wait() == 0


def test_without_autoreload_a_change_is_nothing(start: Start, folder: Path) -> None:
    service = start(command("wispy"), "serve", "--port", "0", "--object", "lamp:Lamp")
    url_of(service)
    assert not any("wispy.reload" in each for each in psutil.Process(service.pid).cmdline())
    assert service.stop() == 0


def test_what_start_has_started_is_not_started_again(caplog: pytest.LogCaptureFixture) -> None:
    class Lamp: ...

    with wispy.RPCWebApp({"autoreload": True, "port": 0, "launch": "never"}, lamp=Lamp) as app:
        assert app.url
    assert "autoreload is for programs that call run()" in caplog.text


def test_what_cannot_be_started_again_says_so(folder: Path) -> None:
    """A program that Python reads from its standard input, as in a session at a prompt."""
    program = "import wispy\nwispy.RPCWebApp({'debug': True}, lamp=object()).run()\n"
    result = subprocess.run(
        [sys.executable], check=False, input=program, cwd=folder, capture_output=True, text=True, timeout=50
    )
    assert result.returncode == 1
    assert "autoreload needs a program to start again: put this into a file" in result.stderr
