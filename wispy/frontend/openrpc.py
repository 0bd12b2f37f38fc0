"""The OpenRPC document: what this deployment's objects offer, in a form that other tools read.

Source: the OpenRPC specification, version 1.3.2.
"""

from typing import Any, Final

import msgspec

from wispy.version import __version__

SPECIFICATION: Final = "1.3.2"


def document(interfaces: dict[str, Any]) -> bytes:
    """The document of these objects.

    Args:
        interfaces: object to what its owner wrote of it: `{"doc", "methods": [...], "attributes": [...]}`.
    """
    methods: list[dict[str, Any]] = []
    for name, interface in interfaces.items():
        methods += [_method(name, method) for method in interface.get("methods", ())]
    attributes = {name: interface.get("attributes", []) for name, interface in interfaces.items()}
    return msgspec.json.encode(
        {
            "openrpc": SPECIFICATION,
            "info": {"title": "wispy", "version": __version__},
            "methods": methods,
            "x-wispy": {"attributes": attributes},
        }
    )


def _method(object_name: str, method: dict[str, Any]) -> dict[str, Any]:
    params = method.get("params", [])
    return {
        "name": f"{object_name}.{method['name']}",
        "description": method.get("doc") or "",
        "paramStructure": "either",
        "params": [
            {"name": param["name"], "required": param.get("required", False), "schema": param.get("schema", {})}
            for param in params
        ],
        "result": {"name": "result", "schema": method.get("returns", {})},
    }
