"""Websockets are tested on uvloop: the detached connection is written for its transport."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from wispy.frontend.websocket.seam import WebSocketSettings


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["detached", "tornado"])
def shell(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def settings(shell: str) -> WebSocketSettings:
    """Defaults, with a size limit that tests can reach."""
    return WebSocketSettings(shell=shell, max_message_size=1024 * 1024)
