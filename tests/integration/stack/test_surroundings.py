"""Programs that are started and ended in other ways than at a prompt: streams closed, the terminal gone, no `stop`."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.stack.conftest import MakeStack
from tests.support.stack import SERVED, command, free_port
from tests.support.waiting import wait_until_blocking
from wispy.cli.outcome import READER_GONE

OUTLIVING = """
import signal, sys
from wispy import RPCWebApp, on_release

class Lamp:
    @on_release
    def close(self):
        print("the lamp is off", flush=True)

signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))
RPCWebApp({"port": 0, "launch": "never"}, lamp=Lamp()).run()
"""


def test_who_closes_the_terminal_ends_the_program_well(make_stack: MakeStack) -> None:
    program = make_stack().run([sys.executable, "-c", OUTLIVING, "SIG_DFL"])
    program.wait_until_says("wispy serves lamp")
    program.send(signal.SIGHUP)
    assert program.wait() == 0
    assert program.says("the lamp is off")


def test_under_nohup_it_goes_on(make_stack: MakeStack) -> None:
    program = make_stack().run([sys.executable, "-c", OUTLIVING, "SIG_IGN"])
    url = program.wait_until_says(r"wispy serves lamp at (\S+)")[1]
    program.send(signal.SIGHUP)
    assert httpx.get(f"{url}healthz", trust_env=False, timeout=30).status_code == 200
    assert program.stop() == 0
    assert program.says("the lamp is off")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(make_stack: MakeStack, closed: str) -> None:
    """The sockets that got their numbers had the program aborted, at its end or before."""
    port = free_port()
    served = [sys.executable, "-m", "wispy", "serve", "--object", "served:quiet", "--port", str(port)]
    program = make_stack().run(["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *served], env={"PYTHONPATH": str(SERVED)})

    def is_served() -> bool:
        assert program.is_running, program.output
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    wait_until_blocking(is_served, lambda: f"it serves: {program.output}")
    assert program.stop() == 0, program.output


LAMP = """
import logging, sys
logging.basicConfig(stream=sys.stdout)

class Lamp:
    def shine(self):
        logging.getLogger("lamp").warning("it is bright here")
        print("as much light as no buffer holds " * 1000, flush=True)
        return "it is on"
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_who_reads_the_output_may_go(tmp_path: Path, unbuffered: str) -> None:
    """As with `wispy serve | head -1`: it goes on, and neither its log nor what an object prints is to fail by that."""
    (tmp_path / "lamp.py").write_text(LAMP)
    served = [command("wispy"), "serve", "--object", "lamp:Lamp", "--port", "0", "--set", "logging_config.access=text"]
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(
            served,
            cwd=tmp_path,
            env={"PYTHONUNBUFFERED": unbuffered},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as program,
    ):
        try:
            assert program.stdout is not None
            lines = map(re.compile(r"wispy serves lamp at (\S+)").search, program.stdout)
            url = next(found[1] for found in lines if found)
            program.stdout.close()
            call = {"jsonrpc": "2.0", "id": 1, "method": "lamp.shine"}
            for _ in range(2):
                assert httpx.post(f"{url}rpc", json=call, trust_env=False, timeout=30).json()["result"] == "it is on"
            program.send_signal(signal.SIGTERM)
            assert program.wait(60) == 0
        finally:
            program.kill()
    assert (tmp_path / "errors").read_text() == ""


@pytest.mark.parametrize("words", ["--version", "--help", "help call", "config"])
def test_a_text_that_nobody_reads_is_no_error(words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert _status(words, writer) == READER_GONE
    assert _status(f"{words} >&-", writer) == 0
    assert _status(f"nothing {words} 2>&1", writer) == READER_GONE
    os.close(writer)


def _status(words: str, output: int) -> int:
    """How `wispy` ends, which is to say nothing on standard error."""
    ended = subprocess.run(
        ["/bin/sh", "-c", f"exec {command('wispy')} {words}"],
        stdout=output,
        stderr=subprocess.PIPE,
        env={"PYTHONUNBUFFERED": ""},
        timeout=60,
        check=False,
    )
    assert ended.stderr == b""
    return ended.returncode


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wispy", "serve --object served:quiet"),
        ("wispy", "serve --object served:quiet --set static.folders={} --autoreload"),
        ("wispy-frontend", "--redis redis://localhost"),
        ("wispy-worker", "--redis redis://localhost --object served:quiet"),
    ],
)
def test_a_working_directory_that_is_gone_is_told(tmp_path: Path, name: str, words: str) -> None:
    ended = subprocess.run(
        ["/bin/sh", "-c", f"mkdir gone; cd gone; rmdir ../gone; exec {command(name)} {words}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SERVED)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert re.fullmatch(rb"the working directory has been removed: .*\n", ended.stderr)


UNSTOPPED = """
import sys
from wispy import RPCWebApp, on_release

class Lamp:
    @on_release
    def close(self):
        print("the lamp is off", flush=True)

RPCWebApp({"port": 0, "launch": "never", "multiprocessed": sys.argv[1] == "true"}, lamp=Lamp()).start()
raise ValueError("a mistake of the program's own")
"""


@pytest.mark.parametrize("multiprocessed", ["true", "false"])
def test_the_end_of_a_program_ends_what_it_has_started(make_stack: MakeStack, multiprocessed: str) -> None:
    program = make_stack().run([sys.executable, "-c", UNSTOPPED, multiprocessed])
    assert program.wait() == 1
    assert program.says("a mistake of the program's own")
    assert program.says("the lamp is off")


def test_settings_for_no_object_are_told(make_stack: MakeStack) -> None:
    settings = ["--set", "instance_configs.qiet.add_attributes=false", "--set", "instance_configs.quiet.shared=false"]
    served = ["serve", "--object", "served:quiet", "--port", "0", *settings]
    program = make_stack().run([command("wispy"), *served])
    program.wait_until_says("wispy serves quiet")
    assert program.says(r"WARNING .*: instance_configs\.qiet is for no object that is served: quiet\n")
    assert not program.says(r"instance_configs\.quiet is for no object")
    assert program.stop() == 0
