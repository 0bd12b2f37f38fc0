"""The commands that use a running object, as they are typed."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import wispy
from tests.support.stack import Frontend, Stack, command
from tests.support.waiting import wait_until_blocking
from wispy.frontend.auth.verifying import digest_of
from wispy.protocol import errors

Wispy = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(frontend: Frontend) -> Wispy:
    """`run("get", "sample.a")`: the command and how it ended."""

    def run(*arguments: str, env: Mapping[str, str] = {}) -> "subprocess.CompletedProcess[str]":
        environment = {"WISPY_URL": frontend.url, "PYTHONWARNINGS": "error", **env}
        return subprocess.run(
            [command("wispy"), *arguments], check=False, env=environment, capture_output=True, text=True, timeout=50
        )

    return run


def done(result: "subprocess.CompletedProcess[str]") -> str:
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def failed(result: "subprocess.CompletedProcess[str]", status: int) -> str:
    assert (result.returncode, result.stdout) == (status, ""), result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def test_call(run: Wispy) -> None:
    assert done(run("call", "sample.test_sum", "4", "5")) == "9\n"
    assert done(run("call", "sample.test_sum", "4", "--json", "y=-5")) == "-1\n"
    collected = done(run("call", "sample.collect", "-1e3", "x", '{"a": [1]}', "b=null", '"c=d"', "--json"))
    assert json.loads(collected) == [[-1000.0, "x", {"a": [1]}, "c=d"], {"b": None}]
    assert done(run("call", "sample.alarm", "none")) == "", "None is not shown"
    assert done(run("call", "sample.alarm", "none", "--json")) == "null\n"
    assert done(run("call", "sample.echo", "two\nlines")) == "two\nlines\n"


@pytest.fixture(scope="module")
def guarded(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Frontend:
    """A frontend that wants to know who asks."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.yaml"
    tokens.write_text(json.dumps({"alice": {"sha256": [digest_of("good")]}}))
    return stack.frontend(**{"auth.kind": "tokens", "auth.tokens": tokens, "session.secret": "a secret of this test"})


def test_who_is_not_let_in_is_told_so(run: Wispy, guarded: Frontend) -> None:
    without = failed(run("call", "sample.test_sum", "4", "5", env={"WISPY_URL": guarded.url}), 6)
    assert without == "wispy: the server wants a token: show it with --token or WISPY_TOKEN\n"
    wrong = failed(run("get", "sample.a", "--token", "bad", env={"WISPY_URL": guarded.url}), 6)
    assert wrong == "wispy: the server does not take this token: show another one with --token or WISPY_TOKEN\n"
    assert failed(run("top", "--once", env={"WISPY_URL": guarded.url}), 6) == without
    told = json.loads(failed(run("get", "sample.a", "--json", env={"WISPY_URL": guarded.url}), 6))
    assert told["code"] == errors.UNAUTHENTICATED.code
    assert "sample" in json.loads(done(run("describe", "--json", "--token", "good", env={"WISPY_URL": guarded.url})))


def test_an_address_that_is_not_the_servers_is_told_from_no_server(run: Wispy, frontend: Frontend) -> None:
    wrong = failed(run("get", "sample.a", env={"WISPY_URL": f"{frontend.url}/elsewhere"}), 6)
    assert "is its address right?" in wrong
    assert "start one with `wispy serve`" in failed(run("get", "sample.a", env={"WISPY_URL": "http://127.0.0.1:9"}), 5)


def test_get_set_delete(run: Wispy) -> None:
    assert done(run("get", "sample.note")) == "start\n"
    assert done(run("set", "sample.note", "[1, 2]")) == ""
    assert done(run("get", "sample.note")) == "[1, 2]\n"
    assert done(run("set", "sample.note", "a text")) == ""
    assert done(run("get", "sample.note", "--json")) == '"a text"\n'
    assert done(run("get", '["sample", "filter", "table", "dotted.key", 1]')) == "20\n"
    assert done(run("set", "sample.note", "start")) == ""
    assert done(run("delete", '["sample", "filter", "table", "point"]')) == ""
    assert "(NOT_FOUND, it did not run)" in failed(run("get", "sample.filter.table.point"), 3)


def test_describe(run: Wispy) -> None:
    assert re.search(r"^sample: .*\btest_sum\(\)", done(run("describe")), re.MULTILINE)
    assert "test_sum()" in json.loads(done(run("describe", "--json")))["closed"]
    text = done(run("describe", "sample"))
    assert "  test_sum(x: int, y: int) -> int\n      Add two numbers.\n" in text
    assert re.search(r"Channels\n  .*\balarm\b", text)
    described = json.loads(done(run("describe", "sample", "--json")))
    assert {"a", "alarm"} <= set(described["channels"])
    assert done(run("describe", "sample.test_sum")) == "sample.test_sum(x: int, y: int) -> int\n    Add two numbers.\n"
    assert done(run("describe", "sample.limit")) == "sample.limit: int\n"


def test_source_is_shown_where_it_may_be(run: Wispy) -> None:
    source = 'def test_sum(self, x: int, y: int) -> int:\n    """Add two numbers."""\n    return x + y\n'
    assert done(run("source", "sample.test_sum")) == source
    assert "only methods and properties" in failed(run("source", "sample.a"), 3)
    refused = failed(run("source", "closed.test_sum"), 3)
    assert refused.replace("test_sum", "nothing") == failed(run("source", "closed.nothing"), 3), "as if it were absent"
    assert done(run("describe", "closed.test_sum")) != ""


def test_exit_statuses_say_whether_it_ran(run: Wispy, tmp_path: Path) -> None:
    assert "sample.fail: ValueError: ('no', 7) (OBJECT_ERROR, it ran)" in failed(run("call", "sample.fail", "no"), 1)
    assert "(INVALID_PARAMS, it did not run); `wispy describe sample.test_sum`" in failed(
        run("call", "sample.test_sum", "1"), 3
    )
    held = run("call", "sample.hold_threaded", str(tmp_path / "gate"), "--timeout", "0.5")
    (tmp_path / "gate").touch()
    assert "(TIMED_OUT, it may have run)" in failed(held, 4)
    assert "is no path" in failed(run("get", "a..b"), 2)
    assert "needs an attribute" in failed(run("get", "sample"), 2)
    assert "unrecognized arguments: --jsn" in failed(run("get", "sample.a", "--jsn"), 2)
    assert "port" in failed(run("get", "sample.a", env={"WISPY_URL": "", "WISPY_PORT": "x"}), 2)
    assert "is no address of a wispy" in failed(run("get", "sample.a", "--url", "ftp://x"), 2)


def test_errors_are_json_too(run: Wispy) -> None:
    problem = json.loads(failed(run("call", "sample.fail", "no", "--json"), 1))
    assert problem["data"] == {"type": "ValueError", "args": ["no", 7], "executed": "yes", "retryable": False}


def test_a_server_that_is_not_there(run: Wispy) -> None:
    said = failed(run("get", "sample.a", "--url", "http://127.0.0.1:1"), 5)
    assert "Connection refused" in said
    assert "start one with `wispy serve`, or name its address with --url" in said
    assert len(said.splitlines()) == 1


def test_the_configuration_says_where_the_server_is(run: Wispy, frontend: Frontend, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(f"port: {frontend.url.rpartition(':')[2]}\n")
    assert done(run("get", "sample.limit", "--config", str(file), env={"WISPY_URL": ""})) == "10\n"


def test_ctrl_c_cancels_the_call(stack: Stack, frontend: Frontend, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    service = stack.run([command("wispy"), "call", "sample.wait", gate, "--url", frontend.url])
    wait_until_blocking(lambda: Path(f"{gate}.started").exists(), "the call runs")
    service.send(signal.SIGINT)
    assert service.wait() == 130
    assert service.output == ""
    with wispy.connect_blocking(frontend.url) as rpc:
        wait_until_blocking(lambda: rpc.sample["ran"] == ["cancelled"], "the object's code hears of it")


# --- watch ------------------------------------------------------------------------------------------------------------


def test_watch_ends_after_some_updates(run: Wispy) -> None:
    line = done(run("watch", "sample.a", "--count", "1"))
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  sample\.a  \S+\n", line)
    update = json.loads(done(run("watch", "sample.settings", "--count", "1", "--json")))
    assert (update["channel"], update["value"]) == ("sample.settings", {"range": [0, 1]})
    assert abs(update["time"] - time.time()) < 60
    lines = done(run("watch", "sample", "--count", "4", "--json")).splitlines()
    channels = {json.loads(each)["channel"] for each in lines}
    assert channels == {"sample.a", "sample.b", "sample.settings", "sample.list"}


def test_watch_of_what_is_no_channel(run: Wispy) -> None:
    assert "NOT_FOUND" in failed(run("watch", "sample.nix"), 3)
    assert "NOT_FOUND" in failed(run("watch", "nothing"), 3)


def test_watch_is_live_until_ctrl_c(stack: Stack, frontend: Frontend) -> None:
    service = stack.run([command("wispy"), "watch", "sample.a", "sample.alarm", "--url", frontend.url])
    service.wait_until_says(r"sample\.a  ")
    with wispy.connect_blocking(frontend.url) as rpc:
        rpc.sample.a = "hot"
        service.wait_until_says(r"sample\.a  hot\n")
        rpc.sample.alarm("now")
        service.wait_until_says(r'sample\.alarm  \{"text": "now"\}\n')
        rpc.sample.a = 1
    service.send(signal.SIGINT)
    assert service.wait() == 130
    assert "Traceback" not in service.output


def test_a_reader_that_goes_is_no_error(frontend: Frontend) -> None:
    pipe = f"{command('wispy')} watch sample --url {frontend.url} --json | head -n 1; echo ${{PIPESTATUS[0]}}"
    with wispy.connect_blocking(frontend.url) as rpc:
        shell = subprocess.Popen(["bash", "-c", pipe], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def has_ended() -> bool:  # it learns that nobody reads when it writes
            rpc.sample.alarm("more")
            return shell.poll() is not None

        wait_until_blocking(has_ended, "the command ends when its reader does", 20)
    out, err = shell.communicate()
    assert (out.splitlines()[-1], err) == ("141", "")


def test_what_the_output_has_no_characters_for_is_escaped(run: Wispy) -> None:
    text = "Grüße → 😀"
    done(run("set", "sample.note", text, env={"PYTHONUTF8": "1"}))
    output = {"PYTHONUTF8": "1", "PYTHONIOENCODING": "ascii"}
    assert done(run("get", "sample.note", env=output)) == r"Gr\u00fc\u00dfe \u2192 \ud83d\ude00" + "\n"
    assert json.loads(done(run("get", "sample.note", "--json", env=output))) == text


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "sample.\udcff"),
        ("describe", "\udcff"),
        ("watch", "sample.\udcff"),
        ("set", "sample.note", "\udcff"),
        ("call", "sample.test_sum", "a=\udcff"),
        ("get", "sample.a", "--token", "\udcff"),
    ],
)
def test_bytes_that_are_no_text_are_refused(run: Wispy, arguments: tuple[str, ...]) -> None:
    assert "has bytes that are no text in this locale" in failed(run(*arguments), 2)
