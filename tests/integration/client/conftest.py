from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import wispy
from tests.support.stack import Frontend, Stack
from wispy.broker.embedded import EmbeddedServer
from wispy.client import Rpc

SERVED = Path(__file__).parents[1] / "stack"


@pytest.fixture(scope="module")
def frontend(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    """A frontend and a worker with `sample`, for all tests of a module, which leave it as they found it."""
    stack = Stack(valkey_server.url, folder=SERVED, logs=tmp_path_factory.mktemp("logs"))
    try:
        stack.worker("sample=served:Sample")
        yield stack.frontend()
    finally:
        stack.close()


@pytest.fixture
async def rpc(frontend: Frontend) -> AsyncIterator[Rpc]:
    async with wispy.connect(frontend.url) as rpc:
        yield rpc
