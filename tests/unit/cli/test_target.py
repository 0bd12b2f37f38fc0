import argparse
from pathlib import Path

import pytest

from wispy.cli.outcome import CommandError
from wispy.cli.target import url_of
from wispy.errors import ConfigError


def url(environ: dict[str, str], given: str | None = None, config: Path | None = None) -> str:
    return url_of(argparse.Namespace(url=given, config=config), environ)


def test_the_strongest_says_where_the_server_is(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("port: 80\naddress: ''\nbase_path: /lab\n")
    assert url({}) == "http://127.0.0.1:5000"
    assert url({}, config=file) == "http://127.0.0.1:80/lab"
    assert url({"WISPY_PORT": "8000"}, config=file) == "http://127.0.0.1:8000/lab"
    assert url({"WISPY_TLS__CERTIFICATE": "a.pem", "WISPY_TLS__KEY": "a.key"}) == "https://127.0.0.1:5000"
    assert url({"WISPY_ADDRESS": "::1"}) == "http://[::1]:5000"
    assert url({"WISPY_PORT": "8000", "WISPY_URL": "http://far"}, config=file) == "http://far"
    assert url({"WISPY_URL": "http://far"}, given="http://near") == "http://near"


def test_what_leaves_it_open_is_told() -> None:
    with pytest.raises(CommandError, match="--url"):
        url({"WISPY_PORT": "0"})
    with pytest.raises(ConfigError):
        url({"WISPY_PORT": "x"})
