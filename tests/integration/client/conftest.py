from collections.abc import AsyncIterator, Iterator

import pytest

import wispy
from tests.support.stack import Frontend, clean_stack
from wispy.broker.embedded import EmbeddedServer
from wispy.client import Rpc


@pytest.fixture(scope="module")
def frontend(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    """A frontend and a worker with `sample`, for all tests of a module, which leave it as they found it."""
    with clean_stack(valkey_server, tmp_path_factory) as stack:
        stack.worker("sample=served:Sample")
        yield stack.frontend()


@pytest.fixture
async def rpc(frontend: Frontend) -> AsyncIterator[Rpc]:
    async with wispy.connect(frontend.url) as rpc:
        yield rpc
