import copy
import pickle
from collections.abc import Sequence
from typing import Any

import pytest

from wispy.client.proxies import BaseProxy, BlockingProxy, Proxy, names_in, wire_path


class Requests:
    """Notes what a proxy asks for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def get(self, path: Any, /) -> Any:
        self.asked.append(("get", path))
        return "value"

    def set(self, path: Any, value: Any, /) -> Any:
        self.asked.append(("set", path, value))

    def delete(self, path: Any, /) -> Any:
        self.asked.append(("delete", path))

    def invoke(self, path: Any, args: Sequence[Any], kwargs: dict[str, Any], /) -> Any:
        self.asked.append(("call", path, args, kwargs))
        return "result"


@pytest.fixture
def requests() -> Requests:
    return Requests()


def test_the_blocking_proxy_reads_sets_deletes_and_calls(requests: Requests) -> None:
    sample = BlockingProxy(requests, ("sample",))
    assert sample["a"] == "value"
    sample.a = 2
    sample.motor["dotted.key"] = 3
    del sample.a
    del sample["b"]
    assert sample.motor.go(1, speed=2) == "result"
    assert requests.asked == [
        ("get", ("sample", "a")),
        ("set", ("sample", "a"), 2),
        ("set", ("sample", "motor", "dotted.key"), 3),
        ("delete", ("sample", "a")),
        ("delete", ("sample", "b")),
        ("call", ("sample", "motor", "go"), (1,), {"speed": 2}),
    ]


@pytest.mark.parametrize("name", ["get", "set", "delete", "call", "invoke", "names", "requests", "subscribe"])
@pytest.mark.parametrize("kind", [Proxy, BlockingProxy])
def test_a_proxy_hides_no_public_name(requests: Requests, kind: type[BaseProxy], name: str) -> None:
    member = getattr(kind(requests, ("sample",)), name)
    member(1)
    assert requests.asked == [("call", ("sample", name), (1,), {})]


@pytest.mark.parametrize("kind", [Proxy, BlockingProxy])
def test_looking_at_a_proxy_asks_for_nothing(requests: Requests, kind: type[BaseProxy]) -> None:
    proxy = kind(requests, ("sample", "a"))
    assert repr(proxy) == "<sample.a on the server>"
    assert dir(proxy) == []
    for name in ("_repr_html_", "_ipython_display_", "__len__", "__array__", "_private"):
        assert not hasattr(proxy, name)
    assert copy.copy(proxy) is copy.deepcopy(proxy) is proxy
    for look in (bool, iter, pickle.dumps):
        with pytest.raises(TypeError, match="on the server"):
            look(proxy)
    assert requests.asked == []


@pytest.mark.parametrize("kind", [Proxy, BlockingProxy])
def test_a_proxy_is_compared_with_proxies_and_not_with_values(requests: Requests, kind: type[BaseProxy]) -> None:
    proxy = kind(requests, ("sample", "a"))
    assert proxy == kind(requests, ("sample", "a"))
    assert proxy != kind(requests, ("sample", "b"))
    assert proxy != kind(Requests(), ("sample", "a"))
    assert len({proxy, kind(requests, ("sample", "a"))}) == 1
    for compare in (lambda: proxy == 2, lambda: proxy != "2", lambda: proxy is None or proxy == None):  # noqa: E711
        with pytest.raises(TypeError, match=r"<sample\.a on the server> is not its value"):
            compare()
    assert requests.asked == []


def test_an_assignment_that_could_not_be_awaited_says_what_to_write(requests: Requests) -> None:
    sample: Any = Proxy(requests, ("sample",))
    with pytest.raises(TypeError, match=r"await rpc\.set\('sample\.a', \.\.\.\)"):
        sample.a = 2
    with pytest.raises(TypeError, match=r"await rpc\.set\('sample\.a', \.\.\.\)"):
        sample["a"] = 2
    with pytest.raises(TypeError, match=r"await rpc\.delete\('sample\.a'\)"):
        del sample.a
    assert requests.asked == []


@pytest.mark.parametrize(
    ("path", "names", "on_the_wire"),
    [
        ("sample.a", ("sample", "a"), "sample.a"),
        (["sample", "list", 3], ("sample", "list", "3"), "sample.list.3"),
        (("sample", "dotted.key"), ("sample", "dotted.key"), ["sample", "dotted.key"]),
        (Proxy(Requests(), ("sample", "a")), ("sample", "a"), "sample.a"),
    ],
)
def test_a_path_may_be_written_in_several_ways(path: Any, names: tuple[str, ...], on_the_wire: Any) -> None:
    assert names_in(path) == names
    assert wire_path(names) == on_the_wire


@pytest.mark.parametrize("path", ["", "sample", "sample.", [], [""], 3, None, ["sample", 1.5], "a" * 2000 + ".b"])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(ValueError, match=r"is no path|names an object"):
        names_in(path)
