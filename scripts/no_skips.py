"""A pytest plug-in for CI: a test that was skipped has failed.

A missing browser or server is a reason to skip on a laptop. In CI it would mean that nobody notices when a whole
group of tests stops running. Only a reason that starts with "platform:" stands: what this system can never do.
"""

from collections.abc import Generator
from typing import Any, TypeVar, cast

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge a test that was skipped."""
    report = yield
    # An expected failure is reported as skipped too, and is none.
    return report if hasattr(report, "wasxfail") else _judge(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge a module that was skipped as a whole."""
    return _judge((yield))


def _judge(report: Report) -> Report:
    reason = _reason(report.longrepr)
    if report.skipped and not reason.startswith("platform:"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as failed here: {reason}"
    return report


def _reason(longrepr: Any) -> str:
    """Pytest keeps a skip as (file, line, "Skipped: reason")."""
    if isinstance(longrepr, tuple):
        longrepr = cast("tuple[str, int, str]", longrepr)[2]
    return str(longrepr).removeprefix("Skipped: ")
