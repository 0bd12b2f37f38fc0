"""What tests find in files that others have written."""

from pathlib import Path


def lines(path: Path) -> list[str]:
    """What objects have noted in this file; nothing before the first of them has."""
    return path.read_text().splitlines() if path.exists() else []


def files_below(folder: Path) -> set[str]:
    """Every file and link in a folder and in those below it."""
    found = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    return {path.relative_to(folder).as_posix() for path in found}
