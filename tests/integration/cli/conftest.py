from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Frontend, Stack
from wispy.broker.embedded import EmbeddedServer

SERVED = Path(__file__).parents[1] / "stack"


@pytest.fixture(scope="module")
def stack(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A frontend and a worker with `sample` and, without access to its source, `closed`."""
    stack = Stack(valkey_server.url, folder=SERVED, logs=tmp_path_factory.mktemp("logs"))
    try:
        env = {"WISPY_INSTANCE_CONFIGS__CLOSED__INTERFACE__SOURCE_ACCESS": "false"}
        stack.worker("sample=served:Sample", "closed=served:Sample", env=env)
        stack.frontend()
        yield stack
    finally:
        stack.close()


@pytest.fixture
def frontend(stack: Stack) -> Frontend:
    frontend = stack.services[1]
    assert isinstance(frontend, Frontend)
    return frontend
