from pathlib import Path

from wispy.cli.reference import reference

PAGE = Path(__file__).parents[3] / "docs/reference/commands.md"


def test_the_reference_is_current() -> None:
    # argparse wraps lines a little otherwise from one Python to the next.
    page, text = ("".join(each.split()) for each in (PAGE.read_text(encoding="utf-8"), reference()))
    assert page == text, "run `make docs`"
