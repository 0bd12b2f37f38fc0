"""The OpenRPC document."""

import msgspec

from wispy.frontend.openrpc import SPECIFICATION, document
from wispy.version import __version__


def test_nothing_is_served() -> None:
    assert msgspec.json.decode(document({})) == {
        "openrpc": SPECIFICATION,
        "info": {"title": "wispy", "version": __version__},
        "methods": [],
        "x-wispy": {"attributes": {}},
    }


def test_methods_and_attributes_of_objects() -> None:
    method = {
        "name": "test_sum",
        "doc": "Adds.",
        "params": [{"name": "a", "required": True, "schema": {"type": "integer"}}, {"name": "b"}],
        "returns": {"type": "integer"},
    }
    attributes = [{"name": "a"}]
    made = msgspec.json.decode(
        document({"sample": {"methods": [method], "attributes": attributes}, "motor": {"methods": [{"name": "go"}]}})
    )
    assert made["methods"] == [
        {
            "name": "sample.test_sum",
            "description": "Adds.",
            "paramStructure": "either",
            "params": [
                {"name": "a", "required": True, "schema": {"type": "integer"}},
                {"name": "b", "required": False, "schema": {}},
            ],
            "result": {"name": "result", "schema": {"type": "integer"}},
        },
        {
            "name": "motor.go",
            "description": "",
            "paramStructure": "either",
            "params": [],
            "result": {"name": "result", "schema": {}},
        },
    ]
    assert made["x-wispy"] == {"attributes": {"sample": attributes, "motor": []}}


def test_an_object_whose_owner_wrote_nothing_yet() -> None:
    assert msgspec.json.decode(document({"sample": {}}))["methods"] == []
