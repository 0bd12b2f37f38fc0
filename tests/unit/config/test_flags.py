import argparse

import pytest

from wispy.config.flags import add_arguments, overrides
from wispy.config.sources import FLAGS


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser, FLAGS)
    return parser.parse_args(arguments)


def test_named_flags_and_set() -> None:
    parsed = parse("--config", "w.yaml", "--port", "80", "--redis", "redis://h", "--set", "redis.prefix=a=b:")
    assert parsed.config == "w.yaml"
    assert overrides(parsed) == {"port": "80", "redis.url": "redis://h", "redis.prefix": "a=b:"}


def test_an_empty_text_is_given_too() -> None:
    assert overrides(parse("--address", "")) == {"address": ""}


def test_a_named_flag_wins_over_set() -> None:
    assert overrides(parse("--port", "1", "--set", "port=2")) == {"port": "1"}


def test_set_needs_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("--set", "port")
    assert caught.value.code == 2
    assert "'port' is not of the form KEY=VALUE" in capsys.readouterr().err


def test_a_command_has_only_its_own_flags() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, ["redis.url"])
    assert overrides(parser.parse_args([])) == {}
    with pytest.raises(SystemExit):
        parser.parse_args(["--port", "1"])
