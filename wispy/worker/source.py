"""Where served objects come from: `[NAME=]MODULE:OBJECT`, or an instance that the program gives.

Rules:
- A name is a Python identifier, does not start with an underscore, is not `rpc`, and is used once in a process.
- A class or a factory is called only after its lease was acquired, in the objects' thread: an instrument is not opened
  twice. It is called once; the instance stays for as long as the process lives.
- A script whose last line serves its object, as the seed's quickstart does, can be imported for that object: while it
  is, `RPCWebApp.run` returns at once (`is_importing`).
"""

import contextvars
import functools
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from wispy.config.checks import LONGEST_OBJECT_NAME
from wispy.errors import StartError


@dataclass(slots=True)
class ObjectSource:
    """One object to serve: its name, and how to come by the instance."""

    name: str
    build: Callable[[], object]
    """Returns the instance; calls a class or a factory."""
    is_instance: bool
    """The instance exists already, whoever holds the lease."""


_importing: Final = contextvars.ContextVar("wispy imports a module", default=False)


def is_importing() -> bool:
    """Whether a module is being imported for an object in it."""
    return _importing.get()


def check_name(name: str) -> str:
    """The name of an object, if it may be one.

    Raises:
        StartError: it may not.
    """
    if name == "rpc":
        raise StartError("an object cannot be named 'rpc': that name is wispy's own; give it another one, NAME=...")
    if not name.isidentifier() or name.startswith("_") or len(name) > LONGEST_OBJECT_NAME:
        raise StartError(f"{name!r} cannot be the name of an object: use a Python name that does not start with '_'")
    return name


def from_instances(objects: Mapping[str, object]) -> list[ObjectSource]:
    """The sources of objects that a program gives, `RPCWebApp(sample=sample)`; a class is called later."""
    return [_source(check_name(name), target) for name, target in objects.items()]


def from_specs(specs: Iterable[str]) -> list[ObjectSource]:
    """The sources that `--object` names.

    Args:
        specs: each `[NAME=]MODULE:OBJECT`, where OBJECT may be dotted, and an instance, a class or a factory.

    Raises:
        StartError: one cannot be read or imported, or a name is used twice.
    """
    sources: dict[str, ObjectSource] = {}
    for spec in specs:
        source = _from_spec(spec)
        if source.name in sources:
            raise StartError(
                f"two objects are named {source.name!r}: give one another name, NAME={spec.rpartition('=')[2]}"
            )
        sources[source.name] = source
    return list(sources.values())


def _from_spec(spec: str) -> ObjectSource:
    given_name, equals, place = spec.rpartition("=")
    module_name, colon, path = place.partition(":")
    if not colon or not module_name or not path:
        raise StartError(f"the object {spec!r} is not [NAME=]MODULE:OBJECT, as in sample=lab.motor:Motor")
    if module_name.endswith(".py"):
        module = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise StartError(f"the object {spec!r} names a file: name its module, {module}:{path}")
    target = _import(spec, module_name, path)
    name = given_name if equals else path.rpartition(".")[2]
    return _source(check_name(name if equals else _default_name(name, target)), target)


def _default_name(name: str, target: object) -> str:
    """`Motor` serves as `motor`, `sample` as `sample`."""
    return name[:1].lower() + name[1:] if inspect.isclass(target) else name


def _import(spec: str, module_name: str, path: str) -> object:
    if "" not in sys.path:
        sys.path.insert(0, "")  # `python -m` finds modules of the working directory; an installed command does not
    token = _importing.set(True)
    try:
        target: Any = importlib.import_module(module_name)
        for attribute in path.split("."):
            target = getattr(target, attribute)
    except (Exception, SystemExit) as error:  # a script may end the program when it is imported
        # The traceback is for the terminal of the person who wrote the module, who needs it.
        detail = "".join(traceback.format_exception(error)) if not _is_absent(error, module_name) else ""
        raise StartError(f"{detail}the object {spec!r} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        _importing.reset(token)
    return target


def _is_absent(error: BaseException, module_name: str) -> bool:
    """Whether the module or its attribute is simply not there: then a traceback into importlib says nothing more."""
    if isinstance(error, ModuleNotFoundError):
        return error.name is not None and f"{module_name}.".startswith(f"{error.name}.")
    return isinstance(error, AttributeError) and error.__traceback__ is not None and not error.__traceback__.tb_next


def _source(name: str, target: object) -> ObjectSource:
    if inspect.ismodule(target):
        raise StartError(f"{name!r} is a module: name an object in it, MODULE:OBJECT")
    if target is None:
        raise StartError(f"the object {name} is None: does the function that makes it return it?")
    if type(target) in (str, bytes, bool, int, float):
        raise StartError(f"the object {name} is a plain {type(target).__name__}: nothing of it could be served")
    if inspect.isclass(target) or inspect.isroutine(target) or isinstance(target, functools.partial):
        make = cast(Callable[[], object], target)
        return ObjectSource(name, functools.partial(_made, name, make), is_instance=False)
    return ObjectSource(name, lambda: target, is_instance=True)


def _made(name: str, make: Callable[[], object]) -> object:
    """What a class or factory makes.

    Raises:
        StartError: it is no object to serve.
    """
    instance = make()
    what = "None"
    if inspect.iscoroutine(instance):
        instance.close()
        instance, what = None, "a coroutine: a factory is a plain function"
    if instance is None:
        raise StartError(f"the object {name} cannot be served: its factory returned {what}")
    return instance
