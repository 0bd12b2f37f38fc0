"""For tests of objects: what a page could touch, to be frozen by the object's author.

from wispy.testing import exposed

def test_surface():
    assert exposed(Motor()) == {"position": "get watch", "move": "call"}
    assert exposed(Motor(), roles=["operator"]) == {"position": "get watch", "move": "call", "reset": "call"}
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wispy.config.load import load
from wispy.config.schema import Config
from wispy.worker.binding import binding_of
from wispy.worker.served import ServedObject


def exposed(
    target: object,
    *,
    roles: Iterable[str] = (),
    config: str | Path | Mapping[str, Any] | None = None,
    name: str = "object",
) -> dict[str, str]:
    """All that a page could touch of an object, and how.

    Args:
        target: the object, as it would be served; it is not served by this, and none of its code runs.
        roles: the caller's.
        config: the configuration file, or the settings as they stand there; without them the defaults. The environment
            does not count.
        name: the object's name, for `instance_configs`.

    Returns:
        Dotted name to what may be done with it: "call", or some of "get", "set", "delete", and "watch" where there is
        a channel of this name. What a dict or list holds is not listed: it can be touched by key.

    Raises:
        ConfigError: the configuration is wrong.
        StartError: the object cannot be served.
        ValueError: it is being served at present.
    """
    if isinstance(config, str | Path):
        loaded = load(config, environ={})
    else:
        loaded = load(data=dict(config or {}), environ={})
    return surface(target, name, loaded.config, frozenset(roles))


def surface(target: object, name: str, config: Config, roles: frozenset[str]) -> dict[str, str]:
    """The same with a whole configuration."""
    if binding_of(target) is not None:
        raise ValueError(f"the object {name} is being served: look at another instance")
    own: Any = getattr(target, "__dict__", {})
    before = dict(own)
    loop = asyncio.new_event_loop()  # nothing runs in it
    try:
        served = ServedObject(name, target, config, loop)
        try:
            found = served.access.surface(roles)
            for channel in served.channels.kinds():
                needed = served.access.channel_roles(channel)
                if needed is None or not needed.isdisjoint(roles):
                    found[channel] = f"{found.get(channel, '')} watch".strip()
        finally:
            served.close()  # which leaves the object with its channels' values
            own.clear()
            own.update(before)
    finally:
        loop.close()
    return dict(sorted(found.items()))
