"""Ties an object to its channels: attributes that follow them, and the attributes that wispy adds.

Rules:
- The instance gets a class of its own, made from its class with data descriptors for just the names concerned, so that
  neither the class nor other instances change. It looks like the original one: name, module, `__class__`, pickling and
  copying (a copy is a plain instance, with the values as they are). `release` undoes all of it.
- An instance that the object's code makes of its own type, `type(self)(...)`, has that class too. Where it meets what
  was added, it gets the original one: it never reaches the object's channels.
- A channel and the attribute of the same name are one value. The start value is what is set on the instance, else what
  `tracked_channel_values` says. Deleting the attribute falls back to the class' value; where there is none, the
  attribute is gone and the channel is null. Deleting the key of `tracked_channel_values` removes the channel.
- Methods and properties are the author's: a channel of the same name goes its own way.
- Where Python refuses another class, the channels work and attributes do not follow; the log says so.
"""

import copy
import inspect
import logging
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from wispy.worker.channels import Channels
from wispy.worker.statics import defines
from wispy.worker.tracked import plain

log = logging.getLogger("wispy.worker")

VALUES: Final = "tracked_channel_values"
EVENTS: Final = "event_channels"
PUBLISH: Final = "publish"
NAME: Final = "wispy_name"

_BINDING: Final = "__wispy_binding__"
_MISSING: Final[Any] = object()
_set_class: Final[Callable[[object, type], None]] = object.__dict__["__class__"].__set__


class ChannelAttribute:
    """An attribute of one instance that is the value of the channel of its name."""

    def __init__(self, binding: "Binding", name: str) -> None:
        self._binding = binding
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        binding, name = self._binding, self._name
        if instance is None:
            return getattr(binding.original, name)
        channels = binding.channels
        if instance is not binding.target:
            return getattr(binding.as_original(instance), name)
        if name not in channels.values:
            return self._elsewhere(instance)
        if name in channels.unset and self._class_value() is _MISSING:
            return self._elsewhere(instance)
        return channels.values[name]

    def __set__(self, instance: object, value: Any) -> None:
        binding = self._binding
        if instance is binding.target:
            binding.channels.values[self._name] = value
        else:
            setattr(binding.as_original(instance), self._name, value)

    def __delete__(self, instance: object) -> None:
        channels, name = self._binding.channels, self._name
        if instance is not self._binding.target:
            delattr(self._binding.as_original(instance), name)
            return
        with channels.lock:
            if name in channels.unset or name not in channels.values:
                raise AttributeError(name)
            fallback = self._class_value()
            channels.values[name] = None if fallback is _MISSING else copy.deepcopy(fallback)
            channels.unset.add(name)

    def _class_value(self) -> Any:
        """What the class has for instances that have none of their own; the descriptor of a slot is no value."""
        value = inspect.getattr_static(self._binding.original, self._name, _MISSING)
        return _MISSING if isinstance(value, types.MemberDescriptorType) else value

    def _elsewhere(self, instance: object) -> Any:
        """What Python would find without the channel: on the instance, then on its class."""
        own: dict[str, Any] = getattr(instance, "__dict__", {})
        if self._name in own:
            return own[self._name]
        try:
            return getattr(cast(Any, super(self._binding.made, cast(Any, instance))), self._name)
        except AttributeError:
            text = f"{self._binding.original.__name__!r} object has no attribute {self._name!r}"
            raise AttributeError(text, name=self._name, obj=instance) from None


class Binding:
    """The tie between one object and its channels.

    Args:
        name: the object's name.
        target: the object.
        channels: its channels, with events and no values yet.
        values: the values to start with, by channel.
        add_attributes: whether to add wispy's own attributes where the object has none of that name:
            `tracked_channel_values` (its value channels), `publish` (to its event channels) and `wispy_name`.
    """

    def __init__(
        self, name: str, target: object, channels: Channels, values: Mapping[str, Any], *, add_attributes: bool
    ) -> None:
        self.target = target
        self.channels = channels
        self.original = type(target)
        self.made: type = self.original
        self.name = name
        for channel in values:
            channels.check_new(channel)
        self.followed = [channel for channel in values if self._may_follow(channel)]
        own = {name: value for name in self.followed if (value := self._own_value(name)) is not _MISSING}
        for channel, value in values.items():
            channels.values[channel] = own.get(channel, value)
        added: dict[str, Any] = {}
        self._declares_values = bool(values) or inspect.getattr_static(target, VALUES, None) is not None
        if self._declares_values or add_attributes:
            added[VALUES] = self._values_property()
        if add_attributes:
            extras = {PUBLISH: self._publish_method(), NAME: name}
            added |= {key: value for key, value in extras.items() if not self._has_own(key)}
        self.added = frozenset(added)
        """wispy's own attributes of the object: pages do not reach them."""
        self._swap_class(added, own)

    def as_original(self, instance: object) -> Any:
        """Another instance of the object's class, with the original one."""
        _set_class(instance, self.original)
        return instance

    @property
    def is_following(self) -> bool:
        """Whether the object has got its class."""
        return self.made is not self.original

    def current_values(self) -> dict[str, Any]:
        """The attributes that follow channels and are there, as plain values."""
        values = self.channels.values
        with self.channels.lock:
            return {name: plain(values[name]) for name in self.followed if name in values.keys() - self.channels.unset}

    def release(self) -> None:
        """Give the object its own class back, with the attributes as they are now."""
        self.channels.detach()
        if not self.is_following:
            return
        _set_class(self.target, self.original)
        self.made = self.original
        left = self.current_values()
        if VALUES in self.added and (self._declares_values or self.channels.values):
            left[VALUES] = {channel: plain(value) for channel, value in self.channels.values.items()}
        for key, value in left.items():
            try:
                object.__setattr__(self.target, key, value)
            except AttributeError:  # no place for it: slots, of which this name is none
                log.debug("%s has no place for %s, which is not kept", self.name, key)

    def _may_follow(self, channel: str) -> bool:
        if not channel.isidentifier() or channel.startswith("__") or channel in (VALUES, EVENTS, PUBLISH, NAME):
            return False
        static = inspect.getattr_static(self.original, channel, None)
        if isinstance(static, types.MemberDescriptorType):
            return True
        if inspect.isroutine(static) or defines(cast("type[object]", type(static)), "__get__"):
            log.info("the channel %s.%s does not follow the attribute: that is the class' own", self.name, channel)
            return False
        return True

    def _own_value(self, channel: str) -> Any:
        """What is set on the instance itself."""
        static = inspect.getattr_static(self.original, channel, None)
        if isinstance(static, types.MemberDescriptorType):
            return getattr(self.target, channel, _MISSING)
        return getattr(self.target, "__dict__", {}).get(channel, _MISSING)

    def _has_own(self, key: str) -> bool:
        return inspect.getattr_static(self.target, key, _MISSING) is not _MISSING

    def _values_property(self) -> property:
        values = self.channels.values

        def read(instance: object) -> Any:
            return values if instance is self.target else getattr(self.as_original(instance), VALUES)

        def replace(instance: object, given: Mapping[str, Any]) -> None:
            if instance is not self.target:
                setattr(self.as_original(instance), VALUES, given)
                return
            with self.channels.lock:
                for channel in values.keys() - given.keys():
                    del values[channel]
                values.update(given)

        return property(read, replace, doc="The object's value channels: assigning a key publishes.")

    def _publish_method(self) -> Callable[[object, str, Any], None]:
        def publish(instance: object, channel: str, value: Any) -> None:
            """Publish an event on one of the object's event channels. From any thread."""
            if instance is self.target:
                self.channels.publish(channel, value)
            else:
                getattr(self.as_original(instance), PUBLISH)(channel, value)

        return publish

    def _swap_class(self, added: dict[str, Any], own: Mapping[str, Any]) -> None:
        original = self.original
        namespace: dict[str, Any] = {
            "__slots__": (),
            "__module__": original.__module__,
            "__qualname__": original.__qualname__,
            "__doc__": original.__doc__,
            "__class__": property(lambda _: original),
            "__reduce_ex__": _plain_reduce(self),
            _BINDING: self,
            **{channel: ChannelAttribute(self, channel) for channel in self.followed},
            **added,
        }
        if not added and not self.followed:
            return
        try:
            made = cast(Any, type(original))(original.__name__, (original,), namespace)
            _set_class(self.target, made)
        except Exception as error:  # TypeError from Python; anything from the author's metaclass or __init_subclass__
            level = logging.WARNING if self.followed or self.channels.kinds() else logging.DEBUG
            log.log(level, "attributes of %s do not follow its channels: %s", self.name, error)
            self._add_to_instance(added)
            return
        self.made = made
        for channel in self.followed:  # what is left behind would come up after a delete
            static = inspect.getattr_static(original, channel, None)
            if not isinstance(static, types.MemberDescriptorType):
                getattr(self.target, "__dict__", {}).pop(channel, None)
            elif channel in own:
                static.__delete__(self.target)

    def _add_to_instance(self, added: dict[str, Any]) -> None:
        """Second best, where the object cannot get a class of its own."""
        plain_added = {VALUES: self.channels.values, PUBLISH: self.channels.publish, NAME: self.name}
        for key in added:
            try:
                object.__setattr__(self.target, key, plain_added[key])
            except (AttributeError, TypeError) as error:
                log.debug("%s cannot get the attribute %s: %s", self.name, key, error)


def binding_of(target: object) -> Binding | None:
    """The binding of an object that is bound at present."""
    return _binding_in(type(target))


def added_names(cls: type) -> frozenset[str]:
    """Wispy's own attributes of an object that is bound and has got this class: pages do not reach them."""
    binding = _binding_in(cls)
    return frozenset() if binding is None else binding.added | {VALUES, EVENTS}


def _binding_in(cls: type) -> Binding | None:
    return cast("Binding | None", inspect.getattr_static(cls, _BINDING, None))


def _plain_reduce(binding: Binding) -> Callable[[Any, Any], Any]:
    """A `__reduce_ex__` by which copies and pickles are plain instances of the original class, with today's values."""

    def reduce_ex(self: Any, protocol: Any) -> Any:
        if self is not binding.target:
            return binding.as_original(self).__reduce_ex__(protocol)
        reduced: Any = super(binding.made, self).__reduce_ex__(protocol)
        if not isinstance(reduced, tuple):
            return reduced
        function, args, *rest = cast(tuple[Any, ...], reduced)
        state, rest = (rest[0], rest[1:]) if rest else (None, rest)
        args = tuple(binding.original if arg is binding.made else arg for arg in args)
        values = binding.current_values()
        if state is None or isinstance(state, dict):
            state = cast(Any, {**(state or {}), **values})
        elif isinstance(state, tuple):  # what is in `__dict__`, and what is in slots
            in_dict, in_slots = cast(tuple[Any, Any], state)
            state = cast(Any, (in_dict, {**(in_slots or {}), **values}))
        return (function, args, state, *rest)

    return reduce_ex
