"""Proxies: `rpc.sample.a` stands for an attribute of an object on the server.

Rules:
- To look at a proxy sends nothing. `await` reads it (asyncio), or square brackets do (blocking); a call calls it.
- Its own state has names that Python mangles, and it has no public method: every public name is the object's. Names
  that begin with an underscore are left to Python and its tools (copy, pickle, notebooks look for such); square
  brackets and the connection's functions reach those of the object.
- A path is what a user writes: "sample.a", ["sample", "table", "dotted.key"], or a proxy.
"""

from collections.abc import Awaitable, Generator, Iterable, Sequence
from typing import Any, Protocol, Self, cast

from wispy.protocol.paths import PathError, parse_path

Names = tuple[str, ...]


class Requests(Protocol):
    """What a proxy asks of its connection. The asyncio form answers with awaitables, the blocking one with results."""

    def get(self, path: Any, /) -> Any: ...

    def set(self, path: Any, value: Any, /) -> Any: ...

    def delete(self, path: Any, /) -> Any: ...

    def invoke(self, path: Any, args: Sequence[Any], kwargs: dict[str, Any], /) -> Any: ...


class BaseProxy:
    """What both forms share."""

    __slots__ = ("__names", "__requests")

    def __init__(self, requests: Requests, names: Names) -> None:
        object.__setattr__(self, "_BaseProxy__requests", requests)
        object.__setattr__(self, "_BaseProxy__names", names)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(
                f'{name!r} begins with an underscore: the object\'s own is at ...["{name}"]', name=name
            )
        return type(self)(requests_of(self), (*names_of(self), name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return requests_of(self).invoke(names_of(self), args, kwargs)

    def __repr__(self) -> str:
        return f"<{'.'.join(names_of(self))} on the server>"

    def __dir__(self) -> Iterable[str]:
        return []  # only the server could tell

    def __copy__(self) -> Self:
        return self  # nothing of it changes

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> str:
        raise TypeError(f"{self!r} belongs to its connection, and cannot be pickled")

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} is not its value: {self.__how()}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseProxy):  # `rpc.sample.a == 2` would be False, whatever `a` is
            raise TypeError(f"{self!r} is not its value: {self.__how()}")
        return requests_of(self) is requests_of(other) and names_of(self) == names_of(other)

    def __hash__(self) -> int:
        return hash((id(requests_of(self)), names_of(self)))

    def __iter__(self) -> Any:
        # Without this, Python would count through __getitem__.
        raise TypeError(f"{self!r} is not its value: {self.__how()}")

    @classmethod
    def __how(cls) -> str:
        return "await it" if issubclass(cls, Proxy) else "read it with square brackets"


def names_of(proxy: BaseProxy) -> Names:
    """The path of a proxy."""
    return object.__getattribute__(proxy, "_BaseProxy__names")


def requests_of(proxy: BaseProxy) -> Requests:
    """The connection of a proxy."""
    return object.__getattribute__(proxy, "_BaseProxy__requests")


class Proxy(BaseProxy):
    """Of the asyncio form: `await rpc.sample.a`, `await rpc.sample.test_sum(4, 5)`."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, Any]:
        return cast(Awaitable[Any], requests_of(self).get(names_of(self))).__await__()

    def __getitem__(self, name: str | int) -> "Proxy":
        """A member whose name is no identifier; sends nothing by itself."""
        return Proxy(requests_of(self), (*names_of(self), str(name)))

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError(f"an assignment cannot be awaited: await rpc.set({'.'.join((*names_of(self), name))!r}, ...)")

    def __setitem__(self, name: str | int, value: Any) -> None:
        self.__setattr__(str(name), value)

    def __delattr__(self, name: str) -> None:
        raise TypeError(f"a del cannot be awaited: await rpc.delete({'.'.join((*names_of(self), name))!r})")

    def __delitem__(self, name: str | int) -> None:
        self.__delattr__(str(name))


class BlockingProxy(BaseProxy):
    """Of the blocking form: `rpc.sample["a"]` reads, `rpc.sample.a = 2` sets, `rpc.sample.test_sum(4, 5)` calls."""

    __slots__ = ()

    def __getitem__(self, name: str | int) -> Any:
        return requests_of(self).get((*names_of(self), str(name)))

    def __setitem__(self, name: str | int, value: Any) -> None:
        requests_of(self).set((*names_of(self), str(name)), value)

    def __delitem__(self, name: str | int) -> None:
        requests_of(self).delete((*names_of(self), str(name)))

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]


def names_in(path: Any, least: int = 2) -> Names:
    """The names of a path in whatever form a user gave it.

    Args:
        path: a text, a sequence of names, or a proxy.
        least: how many names it needs.

    Raises:
        ValueError: it is none, or too short.
    """
    if isinstance(path, BaseProxy):
        path = names_of(path)
    if isinstance(path, tuple):
        path = list(cast(tuple[Any, ...], path))
    try:
        names = parse_path(path)
    except PathError as error:
        raise ValueError(f"{path!r} is no path: {error}") from error
    if len(names) < least:
        raise ValueError(f"{'.'.join(names)!r} names an object: a request needs an attribute of it, as in 'sample.a'")
    return names


def wire_path(names: Names) -> str | list[str]:
    """A path as the wire has it: text where no name has a dot."""
    return list(names) if any("." in name for name in names) else ".".join(names)
