from pathlib import Path

import pytest

from wispy.config.sources import read_yaml
from wispy.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nport: 1\nport: 2\n", "line 3: the key 'port' stands twice in its section"),
        ("a: [1\n", "line 2: while parsing a flow sequence, expected"),
        ("port: 1\n---\nport: 2\n", "line 2: expected a single document in the stream, but found another document"),
        ("a: !!python/object/apply:os.getpid []\n", "line 1: could not determine a constructor"),
        ("a: \x01\n", "is not YAML"),
        ("[" * 5000, "is not YAML"),
    ],
)
def test_a_file_that_is_no_yaml(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wispy.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(file)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "nothing.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: caf\xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_yaml(tmp_path / "latin.yaml")


def test_merge_keys_and_byte_order_marks_are_yaml(tmp_path: Path) -> None:
    file = tmp_path / "wispy.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: &a {x: 1}\nb: {<<: *a, x: 2}\n")
    assert read_yaml(file) == {"a": {"x": 1}, "b": {"x": 2}}


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "wispy.yaml"
    file.write_text("# nothing\n")
    assert read_yaml(file) == {}
