"""A session that has begun, and no connection yet."""

import pytest

from tests.unit.protocol.client_session.played import Played


@pytest.fixture
def played() -> Played:
    return Played()
