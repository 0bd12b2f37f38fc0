"""The fixtures of the stack's tests, once for each topology."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stack.conftest import client, gate, plain_client
from tests.support.stack import SERVED, Frontend, Stack
from tests.support.topologies import TOPOLOGIES, Topology

__all__ = ["client", "gate", "plain_client"]

SECRET = "a secret that the frontends share"

BOOKS = tuple(f"books{number}=served:Books" for number in range(3))
"""Several, so that a Cluster has them on several of its nodes."""


@pytest.fixture(scope="session", params=list(TOPOLOGIES))
def topology(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with TOPOLOGIES[request.param](tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="session")
def shared_stack(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker with several objects, and two frontends."""
    stack = start_stack(topology, tmp_path_factory.mktemp("logs"))
    try:
        stack.worker("sample=served:Sample", "quiet=served:quiet", *BOOKS)
        stack.frontend()
        stack.frontend()
        yield stack
    finally:
        stack.close()
    check_keys(topology, stack)


@pytest.fixture
def pair(shared_stack: Stack) -> list[Frontend]:
    return [service for service in shared_stack.services if isinstance(service, Frontend)]


@pytest.fixture
def frontend(pair: list[Frontend]) -> Frontend:
    return pair[0]


def start_stack(topology: Topology, logs: Path) -> Stack:
    """A stack without processes."""
    config = {"session.secret": SECRET, "session.window": 45, **topology.settings}
    return Stack(topology.url, folder=SERVED, logs=logs, **config)


def check_keys(topology: Topology, stack: Stack) -> None:
    lasting = topology.lasting_keys(stack.prefix)
    assert not lasting, f"Redis keys without a time to live: {lasting}"
