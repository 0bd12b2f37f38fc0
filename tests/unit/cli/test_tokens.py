import re

import pytest

from wispy.cli import main


@pytest.mark.parametrize(
    "argv", [[""], ["alice", "--role", ""], ["x" * 300], ["\udcff"], ["alice", *(f"--role={n}" for n in range(65))]]
)
def test_an_entry_that_no_server_takes_is_not_made(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch("USER and each ROLE must be a text of 1 to 256 characters, .*\n", err)
