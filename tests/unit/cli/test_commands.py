from pathlib import Path

import pytest

from wispy.cli import main
from wispy.cli.commands import COMMANDS, FRONTEND, WORKER, Command, reference
from wispy.cli.main import _parsed

PAGE = Path(__file__).parents[3] / "docs/reference/commands.md"
ALL = (*COMMANDS, FRONTEND, WORKER)


def test_the_reference_is_current() -> None:
    # argparse wraps lines a little otherwise from one Python to the next.
    page, text = ("".join(each.split()) for each in (PAGE.read_text(encoding="utf-8"), reference()))
    assert page == text, "run `make docs`"


@pytest.mark.parametrize("command", ALL, ids=lambda each: each.name)
def test_help_has_examples_that_can_be_read(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.parser().parse_args(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert command.summary in " ".join(text.split())
    assert f"examples:\n  {command.examples[0][0]}" in text


def test_the_overview_lists_commands_and_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(each.name in text for each in COMMANDS)
    assert "130  Ctrl-C" in text


@pytest.mark.parametrize(
    ("argv", "said"), [(["cal"], "there is no command 'cal'"), ([], "a command is missing"), (["--url"], "'--url'")]
)
def test_what_is_no_command_is_refused(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert said in capsys.readouterr().err


def words(*argv: str) -> list[str]:
    (call,) = (each for each in COMMANDS if each.name == "wispy call")
    return _parsed(call, ["s.f", *argv]).words


def test_arguments_may_be_negative_and_stand_behind_options() -> None:
    assert words("-5", "-1e5", "x") == ["-5", "-1e5", "x"]
    assert words("1", "--json", "2", "--timeout", "3", "-4e1") == ["1", "2", "-4e1"]
    assert words("--", "--hello") == ["--hello"]


@pytest.mark.parametrize("argv", [["--jso"], ["-x"], ["--timeout", "0"], ["--timeout", "soon"]])
def test_what_is_no_option_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        words(*argv)
    assert caught.value.code == 2
    assert argv[0] in capsys.readouterr().err
