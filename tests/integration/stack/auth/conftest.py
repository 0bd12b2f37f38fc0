"""A worker and a frontend that alice and bob may use."""

from collections.abc import Iterator

import pytest

from tests.integration.stack.logins import settings, write_tokens
from tests.support.stack import Frontend, Stack, clean_stack
from wispy.broker.embedded import EmbeddedServer


@pytest.fixture(scope="module")
def guarded(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("tokens")
    write_tokens(folder / "tokens.yaml", alice=["operator", "viewer"], bob=[])
    config = settings(kind="tokens", tokens=folder / "tokens.yaml", cookie="login", recheck=0.3)
    with clean_stack(valkey_server, tmp_path_factory, **config) as stack:
        stack.worker("sample=served:Sample")
        stack.frontend()
        yield stack


@pytest.fixture
def frontend(guarded: Stack) -> Frontend:
    return guarded.first_frontend
