import contextlib
import socket

import pytest

from wispy.config.load import load
from wispy.errors import StartError
from wispy.frontend.server import AIRPLAY_PORT, listen


@pytest.mark.parametrize(
    ("platform", "end"), [("darwin", r" \(on macOS, AirPlay Receiver may hold .*\)"), ("linux", "")]
)
def test_a_port_in_use_is_told_with_what_to_do(platform: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(environ={}).config
    assert config.port == AIRPLAY_PORT
    with socket.socket() as holder, monkeypatch.context() as patch:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # else somebody holds it already
            holder.bind((config.address, config.port))
            holder.listen()
        patch.setattr("sys.platform", platform)
        with pytest.raises(StartError, match=rf"port 5000: Address already in use; .*--port N .* any free one{end}$"):
            listen(config)
