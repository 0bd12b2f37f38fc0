"""What one process runs, as far as it can be had without running it."""

import asyncio
import threading
from pathlib import Path

import pytest

from wispy.config.prepare import with_redis_url
from wispy.config.schema import AuthConfig, Config
from wispy.errors import StartError
from wispy.frontend.kin import nobody
from wispy.frontend.processes import with_session_secret
from wispy.frontend.server import Listening, listen
from wispy.parts import _Web


def test_frontends_that_fail_can_be_ended_before_their_thread_is_over(tmp_path: Path) -> None:
    """Whoever is told of the failure ends all parts, and so these too; at that moment only their loop is closed."""
    failures: list[BaseException] = []
    is_told, may_end = threading.Event(), threading.Event()

    def fail(error: BaseException) -> None:
        failures.append(error)
        is_told.set()
        may_end.wait(10)

    auth = AuthConfig(kind="tokens", tokens=str(tmp_path / "absent"))
    config = with_redis_url(Config(multiprocessed=False, auth=auth), f"unix://{tmp_path}/absent")
    web = _Web(with_session_secret(config), Listening([], []), fail, nobody)
    assert is_told.wait(10)
    threading.Timer(0.05, may_end.set).start()
    asyncio.run(web.stop())
    assert [str(error) for error in failures] == [
        f"auth.tokens = {tmp_path}/absent: cannot be read: No such file or directory"
    ]


def test_a_proxy_has_to_be_named_before_it_is_believed() -> None:
    """Else nobody would be let in, and nobody told why."""
    with pytest.raises(StartError, match=r"auth\.kind needs trusted_proxies"):
        listen(Config(port=0, auth=AuthConfig(kind="proxy")))
