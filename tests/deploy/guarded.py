"""Whether frontends and workers can do their work on a server with the users that a deployment gives them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.stack import SERVED, Stack
from tests.support.waiting import wait_until_blocking

ROLES = ("frontend", "worker")


@contextlib.contextmanager
def served_as(port: int, folder: Path, logins: dict[str, tuple[str, str]]) -> Iterator[None]:
    """A frontend and a worker serve, each as its user, and nobody else may do anything.

    Args:
        port: the server's.
        folder: for logs.
        logins: role to user and password.
    """
    with redis.Redis(port=port, protocol=2) as nobody:
        wait_until_blocking(lambda: _answers(nobody), "the server answers its health check")
        with pytest.raises(redis.ResponseError):
            nobody.get("wispy:objects")
    logs = folder / "logs"
    logs.mkdir()
    stack = Stack(f"redis://127.0.0.1:{port}", folder=SERVED, logs=logs)
    settings: dict[str, dict[str, Any]] = {
        role: {"redis.prefix": "wispy:", "redis.user": user, "redis.password": password}
        for role, (user, password) in logins.items()
    }
    try:
        stack.worker("sample=served:Sample", **settings["worker"])
        assert stack.frontend(**settings["frontend"]).post("sample.test_sum", 1, 2)["result"] == 3
        yield
    finally:
        stack.close()


def _answers(server: redis.Redis) -> bool:
    with contextlib.suppress(redis.ConnectionError):
        return bool(server.ping())
    return False
