"""`wispy capacity`, as it is typed."""

import json

import pytest

from wispy.cli import main


def test_it_prints_what_a_load_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--connections", "50000", "--updates", "1", "--calls", "100"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("100 calls/s, 50,000 deliveries/s, 50,000 connections\n")
    rows = {words[0]: words[1] for line in text.splitlines() if "each takes" in line and (words := line.split())}
    assert list(rows) == ["frontend", "Redis", "worker"]
    assert int(rows["frontend"]) >= 3, "a process has 20,000 connections at most"
    assert "full first: frontend" in text
    assert "by what was measured on: cores" in text


def test_what_no_number_is_enough_for_is_said_by_the_status_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--calls", "200", "--call-ms", "20"]) == 1
    assert "NOT ENOUGH: " in capsys.readouterr().out
    assert main(["capacity", "--calls", "200", "--call-ms", "20", "--shared", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["load"]["call_ms"] == 20
    assert found["workers"]["number"] >= 7
    assert found["problems"] == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--calls", "-1"], "is not a number from 0"),
        (["--calls", "nan"], "is not a number from 0"),
        (["--connections", "0"], "is not a whole number from 1"),
        (["--utilisation", "1.5"], "is not a part above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str], words: list[str], reason: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["capacity", *words])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_shared_object_publishes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--updates", "1", "--shared"]) == 2
    assert "has no channels" in capsys.readouterr().err
