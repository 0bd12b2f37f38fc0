import importlib.resources
from dataclasses import fields
from pathlib import Path

import pytest

from wispy.broker.keys import Keys, probe_channel, status_reports
from wispy.protocol.errors import NOT_FOUND, RPCError


def test_all_names_of_an_object_carry_its_name_as_the_hash_tag() -> None:
    keys = Keys().of("sample")
    names = [getattr(keys, field.name) for field in fields(keys)]
    names += [keys.history("a"), keys.updates("a"), keys.replies("f1"), keys.body("s", 7)]
    assert all(name.startswith("wispy:{sample}:") for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["", "}", "a}b", "{", "a.b", "a b", "a\n", "a" * 101, "a" * 1_000_000])
def test_a_name_that_no_object_can_have_gets_no_keys(name: str) -> None:
    keys = Keys()
    with pytest.raises(RPCError) as caught:
        keys.of(name)
    assert caught.value.to_json() == NOT_FOUND().to_json(), "as that of any object that is not there"
    assert keys._of == {}


def test_the_prefix_names_the_database_because_pub_sub_ignores_it() -> None:
    assert Keys("lab:", 3).of("sample").notices == "lab:3:{sample}:notices"
    assert Keys("lab:", 3).objects == "lab:3:objects"
    assert probe_channel(Keys("lab:", 3).prefix, "x") == "lab:3:probe:x"


def test_lasting_names_every_key_and_no_channel_of_pub_sub() -> None:
    keys = Keys().of("sample")
    assert keys.lasting(["a"]) == [
        "wispy:{sample}:owner",
        "wispy:{sample}:requests",
        "wispy:{sample}:log",
        "wispy:{sample}:channels",
        "wispy:{sample}:heads",
        "wispy:{sample}:values",
        "wispy:{sample}:interface",
        "wispy:{sample}:state",
        "wispy:{sample}:history:a",
    ]


def test_the_cache_of_objects_is_bounded() -> None:
    keys = Keys()
    assert keys.of("sample") is keys.of("sample")
    for number in range(5000):
        keys.of(f"made-up-{number}")
    assert len(keys._of) <= 1024


def test_the_reference_page_names_every_key_and_channel() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "redis-schema.md").read_text("utf-8")
    keys = Keys().of("sample")
    names = [getattr(keys, field.name) for field in fields(keys) if field.name != "base"]
    names += [keys.history("<channel>"), keys.updates("<channel>"), keys.replies("<frontend>")]
    names += [keys.body("<session>", "<id>"), Keys().objects, probe_channel("wispy:", "<name>")]
    names += [Keys().status_wanted, status_reports("wispy:", "<frontend>")]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_reference_page_names_every_script() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "redis-schema.md").read_text("utf-8")
    scripts = importlib.resources.files("wispy.broker").joinpath("scripts").iterdir()
    names = [script.name.removesuffix(".lua") for script in scripts if script.name.endswith(".lua")]
    assert len(names) == 16
    assert [name for name in names if f"| `{name}` |" not in page] == []
