"""An object's interface, as one caller may see it."""

from wispy.protocol.surface import admits, seen_by

INTERFACE = {
    "doc": "A machine.",
    "methods": [
        {"name": "go"},
        {"name": "stop", "roles": ["operator", "chief"]},
        {"name": "engine.start"},
        {"name": "engine.tune", "roles": ["chief"]},
        {"name": "enginery"},
    ],
    "attributes": [
        {"name": "engine", "roles": ["operator"], "settable": False},
        {"name": "gain", "set_roles": ["operator"], "settable": True},
        {"name": "closed", "roles": [], "settable": True},
    ],
}


def names(*roles: str) -> list[str]:
    seen = seen_by(frozenset(roles), INTERFACE)
    return [row["name"] for row in (*seen["methods"], *seen["attributes"])]


def test_roles_are_needed_where_there_is_a_list_of_them() -> None:
    assert admits(None, frozenset())
    assert not admits([], frozenset({"chief"}))
    assert not admits(["chief"], frozenset({"operator"}))
    assert admits(["chief", "operator"], frozenset({"operator"}))


def test_what_is_below_a_hidden_name_is_hidden() -> None:
    assert names() == ["go", "enginery", "gain"]
    assert names("chief") == ["go", "stop", "enginery", "gain"]
    assert names("operator") == ["go", "stop", "engine.start", "enginery", "engine", "gain"]


def test_roles_are_not_told() -> None:
    seen = seen_by(frozenset({"chief"}), INTERFACE)
    assert seen["doc"] == "A machine."
    assert seen["attributes"] == [{"name": "gain", "settable": False}]
    assert seen_by(frozenset({"operator"}), INTERFACE)["attributes"][1] == {"name": "gain", "settable": True}
    assert not any(row.keys() & {"roles", "set_roles"} for key in ("methods", "attributes") for row in seen[key])
