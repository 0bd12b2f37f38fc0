r"""The kept inputs of the fuzzer: one text file for each target, an input a line, so that a change can be read.

A byte is the character of its number; what does not show, and the backslash, is escaped as in Python (`\x00`, `\n`).
"""

from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).with_name("corpus")


def load(target: str) -> list[bytes]:
    """The inputs of a target."""
    lines = (FOLDER / f"{target}.txt").read_text("ascii").splitlines()
    return [line.encode("ascii").decode("unicode_escape").encode("latin-1") for line in lines]


def text_of(inputs: Iterable[bytes]) -> str:
    """A file's text, the shortest input first."""
    texts = [data.decode("latin-1").encode("unicode_escape").decode("ascii") for data in set(inputs)]
    return "".join(f"{text}\n" for text in sorted(texts, key=lambda text: (len(text), text)))


def save(target: str, inputs: Iterable[bytes]) -> None:
    """Keep these inputs in place of the former."""
    (FOLDER / f"{target}.txt").write_text(text_of(inputs), "ascii")
