"""A short run of `make chaos` with a fixed seed: each fault about once, and no promise broken."""

from pathlib import Path

import pytest

from tests.chaos.run import run
from tests.support.balancers import HAPROXY

SECONDS = 45
"""Of faults: each of them takes some four on average."""


@pytest.mark.timeout(180)
async def test_no_promise_is_broken(tmp_path: Path) -> None:
    if HAPROXY is None:
        pytest.skip("there is no haproxy (make programs)")
    report, violations = await run(SECONDS, 1, tmp_path, lambda line: None)
    assert not violations, report
