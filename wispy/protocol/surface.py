"""What an owner has written of its object, as one caller may see it. Pure.

An owner writes the whole interface for all callers, with the roles that each name takes: `roles` to see it, `set_roles`
to set it. A caller needs one of them; where there are none in the list, nobody may; without the list, everybody.
"""

from collections.abc import Collection
from typing import Any


def admits(needed: Collection[str] | None, roles: frozenset[str]) -> bool:
    """Whether a caller with these roles has one of those that are needed."""
    return needed is None or not roles.isdisjoint(needed)


def seen_by(roles: frozenset[str], interface: dict[str, Any]) -> dict[str, Any]:
    """The interface without the names that this caller may not see, nor what is below them, and without any roles.

    Args:
        roles: the caller's.
        interface: `{"doc", "methods": [...], "attributes": [...]}`, names dotted below the object.
    """
    rows: list[dict[str, Any]] = [*interface.get("methods", ()), *interface.get("attributes", ())]
    hidden = {row["name"] for row in rows if not admits(row.get("roles"), roles)}

    def is_hidden(name: str) -> bool:
        parts = name.split(".")
        return any(".".join(parts[: count + 1]) in hidden for count in range(len(parts)))

    def shown(row: dict[str, Any]) -> dict[str, Any]:
        plain = {key: value for key, value in row.items() if key not in ("roles", "set_roles")}
        if not admits(row.get("set_roles"), roles):
            plain["settable"] = False
        return plain

    members = {key: interface.get(key, ()) for key in ("methods", "attributes")}
    return interface | {
        key: [shown(row) for row in rows if not is_hidden(row["name"])] for key, rows in members.items()
    }
