"""What of a class a page may touch: worked out once for each class, from what stands in it, without touching anything.

Rules (DESIGN section 6):
- A name is decided by the first class in the method resolution order that has it. That class must be at home where the
  served object's class is: in the same top-level package, or for a top-level module and `__main__` the same module. So
  what a base or mixin of a library brings along is not served.
- Served are plain functions, class methods and static methods; properties; data. Everything else that a class body may
  hold is not: modules, classes, functions imported into it, descriptors of other packages.
- `_x` is served with `include_internals`, `__x` and what Python makes of it (`_Class__x`) with `include_dunders`; what
  would reach classes, functions or frames, or change the class, is never served (`DENIED`).
- What carries a true attribute of one of the `access_restricting_attributes` is not served, nor what is marked `hide`.
  With `expose: declared`, only what is marked `expose` is.
- The class is read once: what is added to it later is not served. Attributes of an instance are looked up in its own
  `__dict__`, statically, and `__getattr__` is never asked for a name that is not there.
"""

import functools
import re
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, cast

from wispy.worker import annotations
from wispy.worker.annotations import UNKNOWN
from wispy.worker.binding import ChannelAttribute, added_names
from wispy.worker.hooks import hook_names
from wispy.worker.marks import NO_MARKS, Marks, Place, class_marks, function_marks, split, unreadable_marks
from wispy.worker.member import Kind, Member, property_type
from wispy.worker.rights import NO_ROLES, Rights, rights_of, static_marks
from wispy.worker.statics import CachedFunction, defines, home_of, is_code, is_restricted, parts_of, plain_function

DENIED: Final = frozenset(
    name
    for names in (
        # the class, its bases and subclasses: from one of them every class of the process can be reached
        "__class__ __base__ __bases__ __mro__ __subclasses__ __orig_bases__ __orig_class__ __class_getitem__",
        "__init_subclass__ __subclasshook__ __instancecheck__ __subclasscheck__ __prepare__ __set_name__",
        "__parameters__ __type_params__",
        # the object's and the class' namespaces, past every other rule
        "__dict__ __slots__ __weakref__ __module__ __qualname__ __name__ __match_args__ __firstlineno__",
        "__annotations__ __annotate__ __annotate_func__ __annotations_cache__ __conditional_annotations__",
        "__static_attributes__ __classcell__ __classdict__ __classdictcell__",
        "__getattr__ __getattribute__ __setattr__ __delattr__ __dir__ __get__ __set__ __delete__",
        # making and ending the object anew
        "__new__ __init__ __post_init__ __del__ __copy__ __deepcopy__ __replace__",
        # pickling: what is read back is executed
        "__reduce__ __reduce_ex__ __getstate__ __setstate__ __getnewargs__ __getnewargs_ex__ __getinitargs__",
        # the insides of functions and modules
        "__globals__ __builtins__ __code__ __closure__ __func__ __self__ __wrapped__ __defaults__ __kwdefaults__",
        "__loader__ __spec__ __file__ __path__ __cached__",
        # what libraries and wispy itself keep in a class
        "__dataclass_fields__ __dataclass_params__ __attrs_attrs__ __struct_fields__ __struct_config__",
        "__wispy__ __wispy_binding__",
    )
    for name in names.split()
)
"""Names that no setting opens."""


class Interface(Protocol):
    """The part of the configuration that tables are made from: `interface`."""

    @property
    def include_internals(self) -> bool: ...
    @property
    def include_dunders(self) -> bool: ...
    @property
    def expose(self) -> str: ...
    @property
    def access_restricting_attributes(self) -> tuple[str, ...]: ...
    @property
    def allowed_types(self) -> tuple[str, ...]: ...


class ClassTable:
    """The names of one class that pages may touch.

    Args:
        cls: the class.
        interface: what is served, by the configuration.
        hidden: names of wispy's own, never served; hooks among them.
    """

    def __init__(self, cls: type, interface: Interface, hidden: frozenset[str] = frozenset()) -> None:
        self.cls = cls
        self.members: dict[str, Member] = {}
        self._interface = interface
        self._hidden = hidden.union(interface.access_restricting_attributes)
        self._home = home_of(cls.__module__)
        self._slots: dict[str, Any] = {}
        """Name to descriptor, of data that is neither in the class nor in the instance's namespace."""
        self._taken: set[str] = set()
        """All names that stand in the class or a base: those that are no members are not served."""
        self._unserved: dict[str, Marks] = {}
        """What is said of data that is not served: a channel of its name may be."""
        self.marks: Final = class_marks(cls)
        """What is said of the class: the defaults of its members."""
        self.rights: Final = rights_of(self.marks)
        self.own_data: Final = Member(Kind.ATTRIBUTE, marks=self.marks) if self._is_served(self.marks) else None
        """What an instance has in its own namespace, and its class says nothing of; None where that is not served."""
        own = [each for each in cls.__mro__ if home_of(each.__module__) == self._home]
        declared, said = _declarations(own)
        for each in cls.__mro__:
            for name, static in list(vars(each).items()):
                if name not in self._taken:
                    self._taken.add(name)
                    if each in own and self.is_public(name):
                        self._add(name, static, declared.get(name, UNKNOWN), said.get(name, NO_MARKS))
        for name, annotation in declared.items():
            marks = said.get(name, NO_MARKS).or_else(self.marks)
            if name not in self._taken and self.is_public(name) and self._may_serve(name, marks):
                self.members[name] = Member(Kind.ATTRIBUTE, UNKNOWN, annotation, marks)
        self.fields: Final = record_fields(cls)
        """What an instance is sent with as a whole, if it is a record."""
        self.namespace: Final = _namespace_reader(cls)
        """Reads an instance's own attributes, name to value, without touching any."""

    def hides_fields(self, roles: frozenset[str]) -> bool:
        """Whether an instance, sent as a whole, would show what such a caller may not see."""
        fields = [self.members.get(name) for name in self.fields]
        return any(each is None or not each.rights.readable or not each.rights.admit(roles) for each in fields)

    def own_method(self, function: Any) -> Member | None:
        """What pages may touch of a function that an instance has in its own namespace; None: nothing."""
        marks = function_marks(plain_function(function)).or_else(self.marks)
        if not self._is_served(marks):
            return None
        static = function if isinstance(function, types.MethodType) else staticmethod(function)
        return Member(Kind.METHOD, static, marks=marks)

    def channel_roles(self, channel: str) -> frozenset[str] | None:
        """Who may follow a channel: callers with one of these roles; None: all of them; none at all: nobody.

        A channel has the rights of the attribute or property of its name, else those of the class. Methods go their
        own way. Whoever declares a channel exposes it, also with `expose: declared`.
        """
        member = self.members.get(channel)
        if member is not None and member.kind is not Kind.METHOD:
            rights = member.rights
        else:
            marks = self._unserved.get(channel, self.marks)
            rights = rights_of(marks) if marks.exposed is not False else _CLOSED
        if not rights.readable:
            return NO_ROLES
        own, whole = rights.roles, self.rights.roles
        return own if whole is None else whole if own is None else own & whole

    def _is_served(self, marks: Marks) -> bool:
        return self._interface.expose == "public" if marks.exposed is None else marks.exposed

    def _may_serve(self, name: str, marks: Marks) -> bool:
        is_served = self._is_served(marks)
        if not is_served:
            self._unserved[name] = marks
        return is_served

    def current(self, instance: object, name: str, member: Member) -> Any:
        """What a data attribute holds, found without any code of the object; `UNKNOWN` where it is not set."""
        own = self.namespace(instance)
        if name in own:
            return own[name]
        if member.static is not UNKNOWN:
            return member.static
        try:
            return self._slots[name].__get__(instance, type(instance)) if name in self._slots else UNKNOWN
        except AttributeError:
            return UNKNOWN

    def is_restricted(self, instance: object) -> bool:
        """Whether an instance itself is marked as not to be served; what its class says is asked beforehand."""
        own = self.namespace(instance)
        return any(own.get(name) for name in self._interface.access_restricting_attributes)

    def is_public(self, name: str) -> bool:
        """Whether the rules of underscores let a name pass."""
        if not name.startswith("_"):
            return name not in self._hidden
        if name in DENIED or name in self._hidden:
            return False
        if name.startswith("__") or _MANGLED.match(name):
            return self._interface.include_dunders
        return self._interface.include_internals

    def is_own_attribute(self, name: str) -> bool:
        """Whether a name found in the namespace of an instance, and not among the members, may be served."""
        return name not in self._taken and self.is_public(name)

    def is_own_function(self, value: Any) -> bool:
        """Whether a value is a function that pages may call: plain Python of this package, not restricted."""
        if type(value) is types.MethodType:
            value = value.__func__
        return (
            type(value) is types.FunctionType
            and home_of(value.__module__) == self._home
            and not is_restricted(value, self._interface.access_restricting_attributes)
        )

    def _add(self, name: str, static: Any, annotation: Any, marks: Marks) -> None:
        kind = self._kind_of(static)
        if kind is None or any(
            is_restricted(part, self._interface.access_restricting_attributes) for part in parts_of(static)
        ):
            return
        marks = marks.or_else(self.marks)
        if not self._may_serve(name, marks):
            if kind is Kind.METHOD:
                del self._unserved[name]  # a channel of its name goes its own way
            return
        if kind is Kind.PROPERTY:
            annotation = property_type(static)
        elif isinstance(static, types.MemberDescriptorType | ChannelAttribute):
            self._slots[name] = static
            static = UNKNOWN
        self.members[name] = Member(kind, static, annotation, marks)

    def _kind_of(self, static: Any) -> Kind | None:
        if isinstance(static, types.MemberDescriptorType | ChannelAttribute):
            return Kind.ATTRIBUTE
        if isinstance(static, property | functools.cached_property):
            return Kind.PROPERTY
        if isinstance(static, types.FunctionType | staticmethod | classmethod | CachedFunction):
            return Kind.METHOD if self._is_method(plain_function(static)) else None
        if is_code(static):
            return None
        kind = cast(type[object], type(static))
        is_descriptor = defines(kind, "__get__")
        if is_descriptor or callable(static):
            # Descriptors and callables of the author's own package are known to him; of others, nobody knows what
            # they do when they are touched.
            is_own = home_of(kind.__module__) == self._home and kind.__module__ != "builtins"
            return (Kind.PROPERTY if is_descriptor else Kind.ATTRIBUTE) if is_own else None
        return Kind.ATTRIBUTE

    def _is_method(self, function: Any) -> bool:
        """Whether a function in the class is a method of it, and not one imported into its body."""
        if isinstance(function, CachedFunction):
            function = function.__wrapped__
        if not isinstance(function, types.FunctionType):
            return False
        # What another package's decorator has wrapped has that package's module, and this in its name.
        return home_of(function.__module__) == self._home or "<locals>" in function.__qualname__


_CLOSED: Final = Rights(readable=False)


class ClassTables:
    """The tables of the classes that pages meet below one served object.

    Args:
        root: the served object's class.
        interface: what is served, by the configuration.
        hidden: names of wispy's own on the served object.
    """

    def __init__(self, root: type, interface: Interface, hidden: frozenset[str]) -> None:
        self.root = ClassTable(root, interface, hidden)
        self._interface = interface
        self._home = home_of(root.__module__)
        self._known: dict[type, ClassTable | None] = {root: self.root}

    def of(self, cls: type) -> ClassTable | None:
        """The table of the class of a nested object; None where such an object is not to be entered."""
        if cls in self._known:
            return self._known[cls]
        if len(self._known) >= MAX_TABLES:
            self._known = {self.root.cls: self.root}
        table = None
        if self._may_enter(cls):  # it may be served under a name of its own as well
            table = ClassTable(cls, self._interface, added_names(cls) | hook_names(cls))
        self._known[cls] = table
        return table

    def of_value(self, value: object) -> ClassTable | None:
        """The table of the class of a value."""
        return self.of(type(value))

    def is_restricted(self, value: object) -> bool:
        """Whether a value, or its class, is marked as not to be served."""
        return (
            is_restricted(value, self._interface.access_restricting_attributes)
            or class_marks(type(value)).exposed is False
        )

    def _may_enter(self, cls: type) -> bool:
        home = home_of(cls.__module__)
        is_named = any(_is_named(cls, name) for name in self._interface.allowed_types)
        if home == "builtins" or not (home == self._home or is_named):
            return False
        if class_marks(cls).exposed is False or is_restricted(cls, self._interface.access_restricting_attributes):
            return False
        return not issubclass(cls, type | types.ModuleType)


MAX_TABLES: Final = 1000
"""Classes whose tables are kept. A program that makes classes as it goes must not fill the memory with theirs."""

_MANGLED: Final = re.compile(r"_[^_]\w*?__\w")
"""What Python makes of `__name` within a class."""


def _declarations(classes: list[type]) -> tuple[dict[str, Any], dict[str, Marks]]:
    """Name to its type, by the first of the classes that annotates it; and name to what all of them say of it.

    So what overrides a member keeps its marks, unless it bears others of the same kind.
    """
    declared: dict[str, Any] = {}
    said: dict[str, Marks] = {}
    for cls in classes:
        for name, static in list(vars(cls).items()):
            said[name] = said.get(name, NO_MARKS).or_else(static_marks(static))
        for name, annotation in annotations.own_annotations(cls).items():
            plain = annotations.evaluate(annotation, cls)
            where = f"{cls.__qualname__}.{name}"
            if plain is UNKNOWN:
                marks = unreadable_marks(annotation, where)
            else:
                plain, marks = split(plain, Place.PROPERTY, where)
            declared.setdefault(name, plain)
            said[name] = said.get(name, NO_MARKS).or_else(marks)
    return declared, said


def record_fields(cls: Any) -> tuple[str, ...]:
    """The fields that an instance is sent with: of a dataclass, a `msgspec.Struct` or an attrs class."""
    try:
        attrs = tuple(field.name for field in getattr(cls, "__attrs_attrs__", ()))
        return (*getattr(cls, "__struct_fields__", ()), *getattr(cls, "__dataclass_fields__", ()), *attrs)
    except Exception:  # a metaclass that answers something of its own to every name: nothing would be sent, either
        return ()


def _namespace_reader(cls: type) -> Callable[[object], Mapping[str, Any]]:
    """How to read the `__dict__` of instances: past any property that a class may have put in its place."""
    for each in cls.__mro__:
        static = vars(each).get("__dict__")
        if isinstance(static, types.GetSetDescriptorType):
            return cast(Callable[[object], Mapping[str, Any]], static.__get__)
        if static is not None:
            break
    return _no_namespace


def _no_namespace(_: object) -> Mapping[str, Any]:
    return {}


def _is_named(cls: type, name: str) -> bool:
    """Whether `name` of the configuration, `package.Class`, means this class; packages export under shorter names."""
    module, _, class_name = name.rpartition(".")
    return f"{cls.__module__}.{cls.__qualname__}" == name or (
        module in sys.modules and vars(sys.modules[module]).get(class_name) is cls
    )
