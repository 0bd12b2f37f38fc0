"""A worker, and frontends with the limits that a test wants, on both shells."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.stack.limits.visitors import BEHIND, StartFrontend
from tests.integration.stack.logins import SECRET, write_tokens
from tests.support.stack import Frontend, Stack, clean_stack
from wispy.broker.embedded import EmbeddedServer


@pytest.fixture(scope="module")
def worker_stack(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.yaml"
    write_tokens(tokens, alice=["operator"], bob=[])
    config: dict[str, Any] = {"session.secret": SECRET, "auth.tokens": tokens}
    with clean_stack(valkey_server, tmp_path_factory, **config) as stack:
        stack.worker("sample=served:Sample")
        guarded: dict[str, Any] = {"auth.kind": "tokens"}
        stack.worker("guarded=served:Sample", **guarded)
        yield stack


@pytest.fixture
def start(worker_stack: Stack) -> Iterator[StartFrontend]:
    """Start a frontend with these limits; it ends with the test."""
    frontends: list[Frontend] = []

    def start_one(
        shell: str = "detached",
        *,
        message_size: str | None = None,
        proxies: str | None = None,
        metrics_port: int | None = None,
        **config: Any,
    ) -> Frontend:
        settings = {key if "." in key else f"limits.{key}": value for key, value in config.items()}
        if proxies is not None:
            settings["trusted_proxies"] = proxies
        if metrics_port is not None:
            settings["metrics_port"] = metrics_port
        if message_size is not None:
            settings["websocket_max_message_size"] = message_size
        frontends.append(worker_stack.frontend(**{**BEHIND, "websocket.shell": shell, **settings}))
        return frontends[-1]

    yield start_one
    for frontend in frontends:
        frontend.stop()
        worker_stack.services.remove(frontend)


@pytest.fixture(params=["detached", "tornado"])
def shell(request: pytest.FixtureRequest) -> str:
    return request.param
