"""The lock files of the container image hold what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(name: str) -> dict[str, Version]:
    lines = (ROOT / "locks" / name).read_text().splitlines()
    found = [re.match(r"([a-z0-9-]+)==([^ ;]+)", line) for line in lines]
    return {match[1]: Version(match[2]) for match in found if match}


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        ("run.txt", PROJECT["project"]["dependencies"]),
        ("build.txt", PROJECT["build-system"]["requires"]),
    ],
)
def test_each_requirement_is_locked_at_a_version_that_fits(lock: str, requirements: list[str]) -> None:
    versions = locked(lock)
    for requirement in map(Requirement, requirements):
        assert requirement.name in versions, f"{requirement.name} is not locked: make lock"
        assert versions[requirement.name] in requirement.specifier, f"{requirement} is not what is locked: make lock"


@pytest.mark.parametrize("lock", ["run.txt", "build.txt"])
def test_each_locked_package_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / "locks" / lock).read_text()
    assert "://" not in text
    packages = re.split(r"\n(?=[a-z])", text)
    assert len(packages) == len(locked(lock)) > 0
    assert all("--hash=sha256:" in package for package in packages)
