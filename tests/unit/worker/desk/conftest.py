"""A desk on which nothing lies yet."""

import pytest

from tests.unit.worker.desk.owner import Owner


@pytest.fixture
def owner() -> Owner:
    return Owner()
