from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wispy.protocol.paths import MAX_NAME_LENGTH, PathError, parse_path


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("sample", ("sample",)),
        ("sample.a", ("sample", "a")),
        ("sample.motor.speed", ("sample", "motor", "speed")),
        (["sample", "a.b"], ("sample", "a.b")),
        (["sample", "list", 3], ("sample", "list", "3")),
        (["sample", "list", -1], ("sample", "list", "-1")),
        ("sample.__class__", ("sample", "__class__")),  # whether that may be touched is not asked here
        (["sample", "__proto__"], ("sample", "__proto__")),
        ("sample.\u017f", ("sample", "\u017f")),  # NFKC would make it an s
        (["x" * MAX_NAME_LENGTH], ("x" * MAX_NAME_LENGTH,)),
    ],
)
def test_paths(path: Any, names: tuple[str, ...]) -> None:
    assert parse_path(path) == names


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "sample.",
        ".sample",
        "sample..a",
        "a\0b",
        [],
        [""],
        ["sample", None],
        ["sample", True],
        ["sample", 1.5],
        ["sample", ["a"]],
        ["sample", {"a": 1}],
        ["sample", 10**18],
        ["sample", "a\0"],
        None,
        3,
        {"path": "sample"},
        b"sample",
        ("sample",),
        ".".join("a" * 33),
        ["a"] * 33,
        "a." * 100_000,
        ["x" * (MAX_NAME_LENGTH + 1)],
    ],
    ids=lambda path: repr(path)[:40],
)
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(PathError):
        parse_path(path)


def test_the_number_of_names_is_bounded_as_asked() -> None:
    assert parse_path("a.b", max_segments=2) == ("a", "b")
    with pytest.raises(PathError, match="1 to 2 names"):
        parse_path("a.b.c", max_segments=2)


@given(st.lists(st.text(min_size=1, max_size=5).filter(lambda name: "\0" not in name), min_size=1, max_size=32))
def test_a_list_of_names_is_kept_as_it_is(names: list[str]) -> None:
    assert parse_path(names) == tuple(names)
    if not any("." in name for name in names):
        assert parse_path(".".join(names)) == tuple(names)
