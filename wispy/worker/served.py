"""One object as a worker serves it: the instance, what pages may touch of it, and its channels."""

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from wispy.config.schema import Config
from wispy.errors import StartError, UnservableError
from wispy.worker import conversion
from wispy.worker.access import Access
from wispy.worker.binding import EVENTS, VALUES, Binding, binding_of
from wispy.worker.channels import Channels, event_channels, plain_name
from wispy.worker.hooks import HookKind, Hooks

_JSON_TYPES: Final = frozenset({type(None), bool, int, float, str})


class ServedObject:
    """An object that is being served. Built in the objects' thread, once its lease is acquired; `close` ends it.

    Args:
        name: the object's name.
        target: the instance.
        config: all settings.
        loop: the objects' loop.

    Raises:
        StartError: what the object says of its channels cannot be; the text says what.
        UnservableError: it has channels or a state, and is to be shared.
    """

    def __init__(self, name: str, target: object, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        _release_former(name, target)
        settings = config.of_object(name)
        self.name = name
        self.target = target
        self.loop = loop
        try:
            self.hooks = Hooks(target)
            events = event_channels(_declared(target, EVENTS) or ())
            values = _declared_values(target)
            if settings.shared:
                _check_stateless(name, [*values, *events], self.hooks)
            limit = 0 if settings.shared else config.limits.channels_per_object
            self.channels = Channels(name, events, history=config.history.length, limit=limit)
            self._binding = Binding(name, target, self.channels, values, add_attributes=settings.add_attributes)
        except (TypeError, ValueError) as error:
            raise StartError(f"the object {name} cannot be served: {error}") from error
        hidden = self._binding.added | self.hooks.names | {VALUES, EVENTS}
        self.access = Access(target, settings.interface, hidden=hidden, is_constant=settings.shared)

    def declaration(self, channel: str, kind: str) -> bytes:
        """What frontends are to know of a channel: its kind, and the roles of which a caller needs one to follow it.

        Without roles everybody may; where there are none in the list, nobody may.
        """
        roles = self.access.channel_roles(channel)
        return msgspec.json.encode({"kind": kind} if roles is None else {"kind": kind, "roles": sorted(roles)})

    def restore(self, retained: Mapping[str, bytes]) -> None:
        """Begin with the values that a former owner has published, channel to JSON, instead of the code's."""
        self.channels.restore(retained, self._as_the_code_has_it)

    def _as_the_code_has_it(self, channel: str, value: Any) -> Any:
        """A channel's value, read from JSON, which has no dates, enumerations or arrays: as what is annotated, or else
        of the type that the code has started with.
        """
        kind = cast("type[object]", type(self.channels.values[channel]))
        if value is None:
            return None
        is_plain = kind in _JSON_TYPES or issubclass(kind, dict | list)
        converter = self.access.converter_of(channel) or (None if is_plain else conversion.converter_of(kind))
        if converter is None and not is_plain:
            raise ValueError(f"no {kind.__name__} can be made of JSON")
        try:
            return value if converter is None else converter(value)
        except msgspec.ValidationError as error:
            if not is_plain:
                raise ValueError(str(error)) from error
            return value  # of the object's own code, which need not keep to what it says

    def close(self) -> None:
        """Give the object back as it was, with its values as they are now."""
        self._binding.release()


def _release_former(name: str, target: object) -> None:
    """Release an instance that outlived its former lease.

    Raises:
        StartError: it is served under another name, and has channels, which cannot be those of two objects.
    """
    former = binding_of(target)
    if former is None:
        return
    if former.name != name and former.channels.kinds():
        raise StartError(
            f"the object {name} cannot be served: it is the same instance as {former.name}, which has channels; give "
            "it one name, or make an instance for each"
        )
    former.release()


def _check_stateless(name: str, channels: list[str], hooks: Hooks) -> None:
    """Refuse what only an owner can have."""
    what = f"channels ({', '.join(channels)})" if channels else ""
    if HookKind.SNAPSHOT in hooks or HookKind.RESTORE in hooks:
        what = "a state (@snapshot, @restore)"
    if what:
        raise UnservableError(
            f"the object {name} cannot be shared: it has {what}, and each worker has an instance of its own; serve it "
            "without `shared`, or take this out of its class"
        )


def _declared(target: object, name: str) -> Any:
    """What an object says under a name of wispy's. Its `__getattr__` is not asked: it may answer to every name."""
    return None if inspect.getattr_static(target, name, None) is None else getattr(target, name)


def _declared_values(target: object) -> dict[str, Any]:
    declared = _declared(target, VALUES)
    if declared is None:
        return {}
    if not isinstance(declared, Mapping):
        raise TypeError(f"{VALUES} is a dict of channel names and their first values, not {type(declared).__name__}")
    return {plain_name(name): value for name, value in cast(Mapping[Any, Any], declared).items()}
