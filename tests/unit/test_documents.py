"""What the documents show is what there is: the quickstart's text, and every file that a link names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.parametrize(
    ("language", "file"), [("python", "quickstart.py"), ("javascript", "static/quickstart.js")], ids=str
)
def test_the_readme_shows_the_quickstart(language: str, file: str) -> None:
    shown = re.search(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown is not None
    assert lines(shown[1]) == lines((ROOT / "examples/quickstart" / file).read_text())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize(("document", "least"), [("promises.md", 30), ("seed.md", 20)])
def test_every_test_that_a_document_names_exists(document: str, least: int) -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs/reference" / document).read_text())
    assert len(named) > least
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"def {name}\(", (ROOT / "tests" / file).read_text())
    ]
    assert missing == []
