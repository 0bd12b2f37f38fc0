import dataclasses

import msgspec
import pytest

from wispy.config.load import load
from wispy.config.schema import Config, InterfaceConfig, RedisConfig, SessionConfig, StaticConfig, from_json, to_json


def test_the_whole_structure_travels_as_json() -> None:
    config = load(
        data={
            "redis": {"url": "redis://u:p@host/3"},
            "upload": {"folders": ["a", "b"], "rules": {"accepted_filetypes": ["png"]}},
            "instance_configs": {"sample": {"interface": {"source_access": False}}},
            "lease": {"duration": "700 ms"},
        },
        environ={},
    ).config
    assert from_json(to_json(config)) == config


def test_json_of_something_else_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="prot"):
        from_json(b'{"prot": 1}')


def test_nothing_can_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().port = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_an_interface_can_be_the_key_of_a_cache() -> None:
    assert hash(InterfaceConfig()) == hash(InterfaceConfig())


def test_repr_shows_no_secret() -> None:
    config = Config(
        redis=RedisConfig(url="redis://user:hunter2@host", password="hunter2"), session=SessionConfig(secret="hunter2")
    )
    assert "hunter2" not in repr(config)
    assert "user:***@host" in repr(config)


@pytest.mark.parametrize(
    ("folders", "routes"),
    [
        ("./static", {"static": "./static"}),
        (("./static", "../files/"), {"static": "./static", "files": "../files/"}),
        ({"a/b": "./static"}, {"a/b": "./static"}),
    ],
)
def test_folders_by_route(folders: str | tuple[str, ...] | dict[str, str], routes: dict[str, str]) -> None:
    assert StaticConfig(folders=folders).routes() == routes


def test_an_object_without_settings_of_its_own_has_those_for_all() -> None:
    config = Config(interface=InterfaceConfig(source_access=False), add_attributes=False)
    own = config.of_object("sample")
    assert own.interface is config.interface
    assert own.func_caller is config.func_caller
    assert own.add_attributes is False


def test_configuration_is_no_dataclass_that_asdict_would_spill() -> None:
    assert not dataclasses.is_dataclass(Config)
