import pytest

from wispy.cli import main
from wispy.cli.commands import COMMANDS, FRONTEND, WORKER, Command
from wispy.cli.main import _parsed

ALL = (*COMMANDS, FRONTEND, WORKER)


@pytest.mark.parametrize("command", ALL, ids=lambda each: each.name)
def test_help_has_examples_that_can_be_read(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.parser().parse_args(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert command.summary in " ".join(text.split())
    assert f"examples:\n  {command.examples[0][0]}" in text


def test_help_may_stand_before_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["help", "call"])
    assert caught.value.code == 0
    assert "usage: wispy call" in capsys.readouterr().out
    assert main(["help", "cal"]) == 2
    assert "there is no command 'cal'" in capsys.readouterr().err


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
    assert words("1", "-1e-6", "--json", "2") == ["1", "-1e-6", "2"]


@pytest.mark.parametrize("value", ["-5", "-1e-6", "-2.5E+3", "-.5"])
def test_a_value_may_be_negative(value: str) -> None:
    (command,) = (each for each in COMMANDS if each.name == "wispy set")
    assert _parsed(command, ["source.current", value, "--json"]).value == value
    assert _parsed(command, ["--json", "source.current", value]).value == value


@pytest.mark.parametrize("argv", [["--jso"], ["-x"], ["--timeout", "0"], ["--timeout", "soon"]])
def test_what_is_no_option_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        words(*argv)
    assert caught.value.code == 2
    assert argv[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["watch", "x", "--count", "abc"], "argument --count: 'abc' is not a whole number from 1"),
        (["get", "x.y", "--timeout", "soon"], "argument --timeout: 'soon' is not a time in seconds, above 0"),
        (["get", "x.y", "--timeout", "nan"], "argument --timeout: 'nan' is not a time in seconds, above 0"),
        (["top", "--interval", "0.1"], "argument --interval: '0.1' is not a time in seconds, from 0.5"),
        (["capacity", "--calls", "-1"], "argument --calls: '-1' is not a number from 0 to a thousand million"),
        (["capacity", "--utilisation", "60%"], "argument --utilisation: '60%' is not a part above 0 and at most 1"),
    ],
)
def test_what_is_no_number_is_told_in_words(argv: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_an_object_in_the_place_of_the_configuration_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "thermostat:Thermostat"]) == 2
    assert capsys.readouterr().err == (
        "there is no configuration file thermostat:Thermostat; an object is named with --object thermostat:Thermostat\n"
    )
    assert main(["serve", "lab/thermostat.py"]) == 2
    assert capsys.readouterr().err == (
        "lab/thermostat.py is a program, and no configuration: run it with python lab/thermostat.py, "
        "or name an object in it with --object thermostat:OBJECT\n"
    )
    assert main(["serve", "lab.yaml", "--config", "other.yaml"]) == 2
    assert capsys.readouterr().err == "two configuration files are given: lab.yaml and --config other.yaml\n"
