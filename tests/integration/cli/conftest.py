from collections.abc import Iterator

import pytest

from tests.support.stack import Frontend, Stack, clean_stack
from wispy.broker.embedded import EmbeddedServer


@pytest.fixture(scope="module")
def stack(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A frontend and a worker with `sample` and, without access to its source, `closed`."""
    with clean_stack(valkey_server, tmp_path_factory) as stack:
        env = {"WISPY_INSTANCE_CONFIGS__CLOSED__INTERFACE__SOURCE_ACCESS": "false"}
        stack.worker("sample=served:Sample", "closed=served:Sample", env=env)
        stack.frontend()
        yield stack


@pytest.fixture
def frontend(stack: Stack) -> Frontend:
    return stack.first_frontend
