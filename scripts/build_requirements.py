"""Print what building wispy's wheel needs, a line each: uv locks a project's own dependencies, but not these."""

import tomllib
from pathlib import Path

if __name__ == "__main__":
    project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    print(*project["build-system"]["requires"], sep="\n")
