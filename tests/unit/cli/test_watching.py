from argparse import Namespace

import pytest

from wispy.cli.using import _complain, _kept_out
from wispy.cli.watching import _Watch
from wispy.client.channels import Gap
from wispy.protocol import errors

HOSTILE = "\x1b[2J"


def test_what_a_server_names_cannot_move_the_terminals_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = Namespace(json=False, count=None)
    watching = _Watch(arguments)
    watching._show(f"sample.{HOSTILE}", HOSTILE, "1")
    watching._tell_gap(Gap(f"sample.{HOSTILE}", HOSTILE, HOSTILE))
    watching._tell_state("lost", HOSTILE)
    error = errors.UNAVAILABLE(f"closed: {HOSTILE}")
    _complain(arguments, error, _kept_out(error, has_token=False)[1])
    out, err = capsys.readouterr()
    assert (out.count(r"\x1b[2J"), err.count(r"\x1b[2J")) == (2, 5)
    assert "\x1b" not in out + err
