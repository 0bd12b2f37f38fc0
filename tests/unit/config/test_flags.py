import argparse

import pytest

from wispy.config.flags import add_arguments, overrides
from wispy.config.load import load
from wispy.config.sources import FLAGS
from wispy.errors import ConfigError


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser, FLAGS)
    return parser.parse_args(arguments)


def said(arguments: argparse.Namespace) -> list[tuple[str, str, str]]:
    return [(".".join(each.key), each.value, each.source) for each in overrides(arguments)]


def test_named_flags_and_set() -> None:
    parsed = parse("--config", "w.yaml", "--port", "80", "--redis", "redis://h", "--set", "redis.prefix=a=b:")
    assert parsed.config == "w.yaml"
    assert said(parsed) == [
        ("redis.prefix", "a=b:", "flag --set redis.prefix"),
        ("redis.url", "redis://h", "flag --redis"),
        ("port", "80", "flag --port"),
    ]


def test_an_empty_text_is_given_too() -> None:
    assert said(parse("--address", "")) == [("address", "", "flag --address")]


def test_a_named_flag_wins_over_set() -> None:
    loaded = load(environ={}, overrides=overrides(parse("--port", "1", "--set", "port=2")))
    assert (loaded.config.port, loaded.source("port")) == (1, "flag --port")


def test_the_last_set_wins_and_each_is_checked_and_named_as_it_was_written() -> None:
    loaded = load(environ={}, overrides=overrides(parse("--set", "port=1", "--set", "port=2")))
    assert (loaded.config.port, loaded.source("port")) == (2, "flag --set port")
    with pytest.raises(ConfigError) as caught:
        load(environ={}, overrides=overrides(parse("--set", "port=x", "--set", "port=2", "--port", "y")))
    assert [line.partition(": must")[0] for line in str(caught.value).splitlines()] == [
        "flag --set port: port = 'x'",
        "flag --port: port = 'y'",
    ]


def test_set_needs_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("--set", "port")
    assert caught.value.code == 2
    assert "'port' is not of the form KEY=VALUE" in capsys.readouterr().err


def test_a_command_has_only_its_own_flags() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, ["redis.url"])
    assert overrides(parser.parse_args([])) == []
    with pytest.raises(SystemExit):
        parser.parse_args(["--port", "1"])
