from pathlib import Path
from typing import Any

import pytest

from wispy.config.load import load
from wispy.config.schema import Config
from wispy.config.sources import Given, from_flag
from wispy.errors import ConfigError

SEED = Path(__file__).parent / "seed.yaml"


def setting(key: str, text: str) -> list[Given]:
    return [from_flag(f"--set {key}", key, text)]


def problems(data: Any = None, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(data=data, environ=options.pop("environ", {}), **options)
    return str(caught.value)


def test_nothing_given_is_the_default() -> None:
    loaded = load(environ={})
    assert loaded.config == Config()
    assert loaded.source("port") == "default"


def test_the_seed_loads_verbatim() -> None:
    config = load(SEED, environ={}).config
    assert (config.base_path, config.port, config.address, config.default_host) == ("/test", 80, "", "0.0.0.0")
    assert config.static.routes() == {"static": "./static"}
    assert config.upload.rules.file_creation_whitelist == ("*/server/uploads/*.png",)
    assert config.logging_config.level == "DEBUG"
    assert config.synchronous_task_lock.max_workers is None
    assert config.func_caller.max_start_delay_default == 3
    assert config.interface.access_restricting_attributes == ("interface_access_restricted",)
    assert config.instance_configs == {}


def test_precedence_is_flag_environment_file_default(tmp_path: Path) -> None:
    file = tmp_path / "wispy.yaml"
    file.write_text("port: 1\nprocesses: 2\nredis: {prefix: 'file:', connect_timeout: 1 s}\n")
    environ = {"WISPY_PORT": "3", "WISPY_PROCESSES": "4", "WISPY_REDIS__PREFIX": "environ:"}
    loaded = load(file, environ=environ, overrides=[from_flag("--port", "port", "5")])
    assert (loaded.config.port, loaded.config.processes) == (5, 4)
    assert (loaded.config.redis.prefix, loaded.config.redis.connect_timeout) == ("environ:", 1)
    assert loaded.config.redis.command_timeout == Config().redis.command_timeout
    assert [loaded.source(key) for key in ("port", "processes", "redis.connect_timeout", "address")] == [
        "flag --port",
        "environment WISPY_PROCESSES",
        f"file {file}",
        "default",
    ]


def test_lists_and_maps_are_replaced_whole() -> None:
    config = load(
        data={"static": {"folders": {"a": "a"}}, "allowed_hosts": ["a"]},
        environ={"WISPY_STATIC__FOLDERS": "{b: b}", "WISPY_ALLOWED_HOSTS": "b, c"},
    ).config
    assert config.static.folders == {"b": "b"}
    assert config.allowed_hosts == ("b", "c")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("debug", "true", True),
        ("port", "80", 80),
        ("default_host", "123", "123"),
        ("default_host", "", None),
        ("redis.url", "", None),
        ("redis.password", "yes", "yes"),
        ("redis.prefix", "true", "true"),
        ("address", "", ""),
        ("lease.duration", "2", 2),
        ("lease.duration", "700 ms", 0.7),
        ("lease.restore", "null", None),
        ("lease.restore", "no", False),
        ("launch", "never", "never"),
        ("websocket.write_buffer", "64 KiB", 65536),
        ("synchronous_task_lock.max_workers", "null", None),
        ("allowed_origins", "https://a.example, http://b:1", ("https://a.example", "http://b:1")),
        ("allowed_origins", "[]", ()),
        ("allowed_origins", "", ()),
        ("upload.rules.accepted_filetypes", "all", "all"),
        ("upload.rules.accepted_filetypes", "png,jpg", ("png", "jpg")),
        ("static.folders", "./pages", "./pages"),
        ("static.folders", "[a, b]", ("a", "b")),
    ],
)
def test_a_text_means_what_its_key_takes(key: str, text: str, value: object) -> None:
    config: Any = load(environ={}, overrides=setting(key, text)).config
    for part in key.split("."):
        config = getattr(config, part)
    assert config == value


@pytest.mark.parametrize("value", ["off", False, "no"])
def test_off_is_a_value_and_not_what_yaml_takes_it_for(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "wispy.yaml"
    file.write_text("logging_config: {access: off}\n")
    assert load(file).config.logging_config.access == "off"
    if value != "no":
        assert load(data={"logging_config": {"access": value}}).config.logging_config.access == "off"
    else:
        with pytest.raises(ConfigError, match=r"logging_config\.access"):
            load(data={"logging_config": {"access": value}})


@pytest.mark.parametrize(
    ("given", "has_console"),
    [
        ({}, True),
        ({"address": "::1"}, True),
        ({"address": ""}, False),
        ({"address": "0.0.0.0"}, False),
        ({"address": "0.0.0.0", "console": True}, True),
        ({"address": "0.0.0.0", "debug": True}, True),
        ({"console": False, "debug": True}, False),
        ({"console": "auto"}, True),
    ],
)
def test_a_program_that_is_all_in_one_has_a_console_where_only_this_machine_can_connect_or_it_is_asked_for(
    given: dict[str, Any], has_console: bool
) -> None:
    assert load(data=given).config.has_console is has_console


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"prt": 80}, "program: prt = 80: unknown key; the nearest valid key is port"),
        ({"redis": {"prefx": "a"}}, "redis.prefx = 'a': unknown key; the nearest valid key is redis.prefix"),
        (
            {"source_access": True},
            "source_access = True: unknown key; the nearest valid key is interface.source_access",
        ),
        (
            {"instance_configs": {"sample": {"interface": {"source_acces": True}}}},
            "instance_configs.sample.interface.source_acces = True: unknown key; "
            "the nearest valid key is instance_configs.sample.interface.source_access",
        ),
        ({"sesion": {"window": 3}}, "sesion.window = 3: unknown key; the nearest valid key is session.window"),
        ({"sesion": {"secret": "x"}}, "sesion.secret = ***: unknown key; the nearest valid key is session.secret"),
        ({"sesion": {"secrt": "x"}}, "sesion.secrt = ***: unknown key; the nearest valid key is session.secret"),
        ({"sesion": 3}, "sesion = 3: unknown key; the nearest valid key is session"),
        ({"sesion": {}}, "sesion = {...}: unknown key; the nearest valid key is session"),
        ({"prt": {"secret": "x"}}, "prt = {...}: unknown key; the nearest valid key is port"),
        (
            {"limits": {"websocket": {"compression": True}}},
            "limits.websocket.compression = True: unknown key; the nearest valid key is websocket.compression",
        ),
        (
            {"instance_config": {"a": {"interface": {"expos": 1}}}},
            "instance_config.a.interface.expos = 1: unknown key; "
            "the nearest valid key is instance_configs.a.interface.expose",
        ),
        ({1: 2}, "1 = 2: unknown key"),
        ({None: 2}, "None = 2: unknown key"),
        ({"port": "eighty"}, "port = 'eighty': must be a whole number from 0 to 65535"),
        ({"port": 65536}, "port = 65536: must be a whole number from 0 to 65535"),
        ({"port": -1}, "port = -1: must be"),
        ({"port": True}, "port = True: must be"),
        ({"port": None}, "port = None: must be"),
        ({"processes": 0}, "processes = 0: must be a whole number from 1"),
        ({"debug": "maybe"}, "debug = 'maybe': must be true or false"),
        ({"base_path": "test/"}, "base_path = 'test/': must start with '/'"),
        ({"lease": {"duration": "100 ms"}}, "lease.duration = '100 ms': must be a duration from 500 ms up to 10 min"),
        ({"func_caller": {"run_timeout_default": -1}}, "run_timeout_default = -1: must be a duration above 0"),
        ({"func_caller": {"run_timeout_default": "8 d"}}, "up to 7 d"),
        (
            {"session": {"window": "1 minute"}},
            "session.window = '1 minute': must have one of the units ms, s, min, h, d",
        ),
        ({"launch": "neverr"}, "launch = 'neverr': must be auto or always or never (did you mean never?)"),
        ({"logging_config": {"level": "debug"}}, "(did you mean DEBUG?)"),
        ({"static": "./static"}, "static = './static': must be a section with keys of its own"),
        ({"redis": {"url": "http://host"}}, "redis.url = 'http://host': must start with redis://"),
        ({"allowed_hosts": "host"}, "allowed_hosts = 'host': must be a list of texts"),
        ({"allowed_hosts": [1]}, "allowed_hosts = [1]: must be a list of texts"),
        (["port"], "program: configuration = ***: must be a section"),
        ({"instance_configs": {"a.b": {}}}, "instance_configs.a.b = {...}: must be the name of an object"),
        ({"instance_configs": {"sample": 3}}, "instance_configs.sample = 3: must be a section"),
        ({"instance_configs": ["sample"]}, "instance_configs = ['sample']: must be a section"),
    ],
)
def test_a_problem_names_key_value_and_reason(data: Any, said: str) -> None:
    assert said in problems(data)


def test_all_problems_are_told_at_once() -> None:
    said = problems({"prt": 1, "debug": 3}, environ={"WISPY_PORT": "x"})
    assert len(said.splitlines()) == 3


def test_a_weaker_source_is_checked_too() -> None:
    assert "port = 'x'" in problems({"port": "x"}, overrides=setting("port", "80"))


def test_each_key_of_an_unknown_section_is_told_for_itself() -> None:
    said = problems({"limit": {"batch": 1, "depth": 2}}).splitlines()
    assert [line.rpartition(" ")[2] for line in said] == ["limits.batch", "limits.depth"]


def test_a_section_that_holds_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "wispy.yaml").write_text("sesion: &a {window: *a, x: *a}")
    with pytest.raises(ConfigError, match=r"sesion\.window = \{\.\.\.\}: unknown key"):
        load(tmp_path / "wispy.yaml", environ={})


def test_unknown_names_in_the_environment_and_in_flags() -> None:
    said = "sesion.secret = ***: unknown key; the nearest valid key is session.secret"
    assert said in problems(environ={"WISPY_SESION__SECRET": "hunter2"})
    assert said in problems(overrides=setting("sesion.secret", "hunter2"))
    assert "environment WISPY_PROT: prot = '1': unknown key; the nearest valid key is port (WISPY_PORT)" in problems(
        environ={"WISPY_PROT": "1"}
    )
    assert "the nearest valid key is redis.tls.ca (WISPY_REDIS__TLS__CA)" in problems(
        environ={"WISPY_REDIS_TLS_CA": "a"}
    )
    assert "environment WISPY_PORT__X: port = '1': has no key x: it is set as a whole" in problems(
        environ={"WISPY_PORT__X": "1"}
    )
    assert "static.folders = '{a: ': must be text" in problems(environ={"WISPY_STATIC__FOLDERS": "{a: "})
    assert "redis = ***: must be a section with keys of its own, each once" in problems(
        environ={"WISPY_REDIS": "{prefix: a, prefix: b}"}
    )
    assert (
        "must be text, or a list of texts, or a map of names to texts; this is no YAML, or has a key twice"
        in problems(overrides=setting("static.folders", "[" * 5000))
    )
    assert "must be the name of an object" in problems(overrides=setting("instance_configs..add_attributes", "no"))
    assert "flag --set redis.ulr: redis.ulr = 'a': unknown key; the nearest valid key is redis.url" in problems(
        overrides=setting("redis.ulr", "a")
    )


def test_other_programs_variables_are_left_alone() -> None:
    environ = {
        "PORT": "1",
        "WISPYPORT": "2",
        "WISPY_PORT": "tcp://10.0.0.1:80",
        "WISPY_SERVICE_HOST": "10.0.0.1",
        "WISPY_SERVICE_PORT_HTTP": "80",
        "WISPY_FRONTEND_PORT": "tcp://10.0.0.1:80",
        "WISPY_FRONTEND_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert load(environ=environ).config == Config()


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WISPY_PORT", "1234")
    assert load().config.port == 1234


@pytest.mark.parametrize(
    "data",
    [
        {"session": {"secret": "hunter2"}},
        {"session": {"secrett": "hunter2"}},
        {"redis": {"password": ["hunter2"]}},
        {"redis": {"passwrd": "hunter2"}},
        {"redis": {"url": "http://user:hunter2@host"}},
        {"redis": "redis://user:hunter2@host"},
        {"redis": "redis://user:p@hunter2@host"},
        {"redys": {"password": "hunter2"}},
        {"api_token": "hunter2"},
        {"session": "hunter2"},
    ],
)
def test_problems_show_no_secret(data: Any) -> None:
    assert "hunter2" not in problems(data)


@pytest.mark.parametrize("name", ["WISPY_SESSION", "WISPY_SESION__SECRET", "WISPY_REDIS__PASSWORD__X", "WISPY_PASWORD"])
def test_problems_of_the_environment_show_no_secret(name: str) -> None:
    assert "hunter2" not in problems(environ={name: "hunter2"})


def test_settings_of_one_object_stand_over_those_for_all() -> None:
    loaded = load(
        data={
            "interface": {"max_interface_depth": 7},
            "instance_configs": {"Sample": {"interface": {"source_access": False}}, "plain": None},
        },
        environ={"WISPY_INSTANCE_CONFIGS__SAMPLE__ADD_ATTRIBUTES": "false"},
    )
    own = loaded.config.of_object("Sample")
    assert (own.interface.source_access, own.interface.max_interface_depth, own.add_attributes) == (False, 7, False)
    assert loaded.config.of_object("plain").interface == loaded.config.interface
    assert loaded.config.interface.source_access is True


def test_an_object_named_by_the_environment_alone_is_in_lower_case() -> None:
    config = load(environ={"WISPY_INSTANCE_CONFIGS__SAMPLE__ADD_ATTRIBUTES": "false"}).config
    assert config.of_object("sample").add_attributes is False


def test_an_empty_section_says_nothing() -> None:
    assert load(data={"upload": None, "redis": {}}, environ={}).config == Config()


def test_a_long_value_is_cut() -> None:
    assert len(problems({"port": "x" * 10_000})) < 300
