from pathlib import Path

import yaml

from wispy.config import fields
from wispy.config.load import load
from wispy.config.show import reference, render
from wispy.config.sources import from_flag

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"


def test_the_reference_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_reference_page_has_every_key() -> None:
    page = reference()
    for path, setting in fields.walk(fields.root()):
        assert f"`{path[-1]}`" in page, path
        assert not setting.meaning.endswith("."), path


def test_each_value_is_shown_with_its_source() -> None:
    shown = render(
        load(
            data={"port": 80},
            environ={"WISPY_LEASE__DURATION": "2 s"},
            overrides=[
                from_flag("--processes", "processes", "3"),
                from_flag("--set address", "address", "::1"),
                from_flag("--set redis", "redis", "{prefix: 'a:'}"),
                from_flag("--set instance_configs.s.add_attributes", "instance_configs.s.add_attributes", "no"),
            ],
        )
    )
    lines = {line.partition("  #")[0].rstrip(): line.partition("  # ")[2] for line in shown.splitlines()}
    assert lines["port: 80"] == "program"
    assert lines["  duration: 2 s"] == "environment WISPY_LEASE__DURATION"
    assert lines["processes: 3"] == "flag --processes"
    assert lines['base_path: ""'] == "default"
    assert lines['address: "::1"'] == "flag --set address"
    assert lines['  prefix: "a:"'] == "flag --set redis"
    assert lines["    add_attributes: false"] == "flag --set instance_configs.s.add_attributes"
    assert lines["      source_access: true"] == "as interface.source_access"


def test_what_is_shown_can_be_loaded() -> None:
    loaded = load(
        data={
            "base_path": "/a",
            "default_host": "yes",
            "address": "0.0.0.0",
            "static": {"folders": ["x", "y"]},
            "redis": {"prefix": "5", "user": "null", "password": None},
            "logging_config": {"logger": "1 s"},
            "lease": {"duration": 0.7},
            "websocket": {"write_buffer": 100_000},
            "instance_configs": {"sample": {"add_attributes": False}},
        },
        environ={},
    )
    assert load(data=yaml.safe_load(render(loaded)), environ={}).config == loaded.config


def test_secrets_are_masked() -> None:
    shown = render(
        load(
            data={
                "redis": {"url": "redis://user:hunter2@host:1/2", "password": "hunter2"},
                "session": {"secret": "hunter2 hunter2 hunter2"},
            },
            environ={},
        )
    )
    assert "hunter2" not in shown
    assert "redis://user:***@host:1/2" in shown
    assert 'password: "***"' in shown


def test_a_secret_that_is_not_set_is_shown_so() -> None:
    assert "password: null" in render(load(environ={}))
