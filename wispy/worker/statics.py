"""Tells apart what may stand in a class or an instance, without touching any of it."""

import functools
import inspect
import types
from collections.abc import Sequence
from typing import Any, Final, cast

CachedFunction: Final[Any] = type(functools.lru_cache(lambda: None))

_CODE: Final[Any] = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    types.CellType,
    types.MappingProxyType,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    CachedFunction,
    functools.partial,
    functools.partialmethod,
)


def home_of(module: object) -> str:
    """The top-level package of a module, or the module itself where it is in none.

    Classes and functions made by hand may say None or worse: these are at home nowhere that a page gets to.
    """
    return module.partition(".")[0] if isinstance(module, str) else "builtins"


def is_code(value: Any) -> bool:
    """Whether a value is a part of the program rather than data: a module, a class, a function, a frame."""
    # Not `isinstance`: where the type does not match, that asks `value.__class__`, which of proxies is code.
    return issubclass(cast(type[object], type(value)), _CODE)


def defines(cls: type, name: str) -> bool:
    """Whether a class has a method of its own or from a base. Its metaclass is not asked, which may say anything."""
    return any(name in vars(each) for each in cls.__mro__)


def is_awaitable(value: Any) -> bool:
    """Whether a value is to be awaited. The class is asked, for an instance may say yes to every name."""
    return defines(cast("type[object]", type(value)), "__await__")


def plain_function(static: Any) -> Any:
    """The function within a method, as it stands in a class or is bound."""
    if isinstance(static, staticmethod | classmethod | types.MethodType):
        return cast(Any, static).__func__
    return static


def is_restricted(value: Any, names: Sequence[str]) -> bool:
    """Whether a function, class or object bears one of the attributes that hide it."""
    return any(bool(inspect.getattr_static(value, name, False)) for name in names)


def parts_of(static: Any) -> list[Any]:
    """What an author may have marked of a thing in a class."""
    if isinstance(static, property):
        return [static, *filter(None, (static.fget, static.fset, static.fdel))]
    if isinstance(static, functools.cached_property):
        return [static, cast(Any, static).func]
    if isinstance(static, staticmethod | classmethod):
        return [static, plain_function(static)]
    return [static]
