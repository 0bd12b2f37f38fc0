"""What the documents show is what there is: the quickstart's text, and every file that a link names."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])

# Of the HTML quickstart in wispyobserver's README: not a character is changed.
SEED_PAGE = "b5450b1b003daa5ec3ac27dea2962d9fb38386bc1c8ad6c61792a4df405eefa9"


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.parametrize(
    ("language", "file"), [("python", "quickstart.py"), ("javascript", "static/quickstart.js")], ids=str
)
def test_the_readme_shows_the_quickstart(language: str, file: str) -> None:
    shown = re.search(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown is not None
    assert lines(shown[1]) == lines((ROOT / "examples/quickstart" / file).read_text())


def headings(document: Path) -> set[str]:
    """What a link names them by."""
    found = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", document.read_text())
    missing = [target for target, _ in targets if not (document.parent / target).exists()]
    for target, heading in targets:
        file = document.parent / target if target else document
        if heading and file.exists() and heading not in headings(file):
            missing.append(f"{target}#{heading}")
    assert missing == []


@pytest.mark.parametrize(("document", "least"), [("promises.md", 30), ("seed-features.md", 80)])
def test_every_test_that_a_document_names_exists(document: str, least: int) -> None:
    text = (ROOT / "docs/reference" / document).read_text()
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    assert len(named) > least
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"def {name}\(", (ROOT / "tests" / file).read_text())
    ]
    files = re.findall(r"`([\w/*]+\.(?:py|test\.mjs))`", text)
    folders = ("", "integration/stack/")  # a table may name the folder once for several files
    missing += [file for file in files if not any([*(ROOT / "tests").glob(f"{folder}{file}")] for folder in folders)]
    assert missing == []


def test_the_quickstart_page_is_the_seeds() -> None:
    page = (ROOT / "examples/quickstart/static/index.html").read_text()
    own = '<script src="quickstart.js"></script>\n'
    assert page.count(own) == 1
    digest = hashlib.sha256(page.replace(own, "").rstrip().encode()).hexdigest()
    assert digest == SEED_PAGE
