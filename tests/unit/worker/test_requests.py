"""From relayed requests to calls: which operation, on which path, with which raw params."""

import msgspec
import pytest

from wispy.protocol import errors
from wispy.protocol.relay import RelayedRequest
from wispy.worker import requests as module
from wispy.worker.calls import Call
from wispy.worker.requests import to_call

TOKEN = object()


def call(method: str, params: bytes = b"null") -> Call:
    return to_call("s1", RelayedRequest(7, 1000, False, method, msgspec.Raw(params)), 12.5, TOKEN)


def refusal(method: str, params: bytes = b"null") -> errors.RPCError:
    with pytest.raises(errors.RPCError) as caught:
        call(method, params)
    assert caught.value.executed == "no"
    assert len(caught.value.message) < 500
    return caught.value


def test_what_a_call_knows_of_its_request() -> None:
    made = call("sample.f", b"[1]")
    assert (made.session, made.id, made.start_by, made.token, made.timeout_s) == ("s1", 7, 12.5, TOKEN, None)


@pytest.mark.parametrize(
    ("method", "params", "path", "given"),
    [
        ("sample.test_sum", b"[4, 5]", ("test_sum",), b"[4, 5]"),
        ("sample.test_sum", b'{"a":4}', ("test_sum",), b'{"a":4}'),
        ("sample.motor.move", b"null", ("motor", "move"), b""),
        ("sample.__class__", b"[]", ("__class__",), b"[]"),  # whether it may be touched is not asked here
    ],
)
def test_method_is_a_call(method: str, params: bytes, path: tuple[str, ...], given: bytes) -> None:
    made = call(method, params)
    assert (made.op, made.path, made.params, made.kwargs) == ("call", path, given, b"")


@pytest.mark.parametrize("operation", ["get", "delete", "describe", "source"])
@pytest.mark.parametrize(
    ("path", "names"),
    [
        (b'"sample.a"', ("a",)),
        (b'["sample","a.b"]', ("a.b",)),
        (b'["sample","rows",3]', ("rows", "3")),
        (b'"sample"', ()),
    ],
)
def test_operations_on_a_path(operation: str, path: bytes, names: tuple[str, ...]) -> None:
    made = call(f"rpc.{operation}", b'{"path":%b}' % path)
    assert (made.op, made.path, made.params, made.kwargs) == (operation, names, b"", b"")


def test_set_passes_the_value_as_it_is() -> None:
    made = call("rpc.set", b'{"path":"sample.a","value":{"$float": "NaN"}}')
    assert (made.op, made.path, made.params) == ("set", ("a",), b'{"$float": "NaN"}')


def test_general_form_of_a_call() -> None:
    made = call("rpc.call", b'{"path":"sample.f","args":[1],"kwargs":{"b":2},"timeout_s":3}')
    assert (made.op, made.path, made.params, made.kwargs, made.timeout_s) == ("call", ("f",), b"[1]", b'{"b":2}', 3.0)
    made = call("rpc.call", b'{"path":"sample.f"}')
    assert (made.params, made.kwargs, made.timeout_s) == (b"[]", b"", None)


@pytest.mark.parametrize("timeout_s", [b"0", b"-1", b"-0.5"])
def test_timeout_is_above_0(timeout_s: bytes) -> None:
    error = refusal("rpc.call", b'{"path":"sample.f","timeout_s":%b}' % timeout_s)
    assert (error.code, error.message) == (errors.INVALID_PARAMS.code, "timeout_s is a number of seconds above 0")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("rpc.get", b"null"),
        ("rpc.get", b"[]"),
        ("rpc.get", b'["sample.a"]'),
        ("rpc.get", b"{}"),
        ("rpc.get", b'{"path":5}'),
        ("rpc.get", b'{"path":[null]}'),
        ("rpc.get", b'{"path":[1.5]}'),
        ("rpc.get", b'{"path":""}'),
        ("rpc.get", b'{"path":[]}'),
        ("rpc.get", b'{"path":"sample..a"}'),
        ("rpc.set", b'{"path":"sample.a"}'),
        ("rpc.call", b'{"path":"sample.f","timeout_s":"1"}'),
        ("rpc.call", b'{"path":"sample.f","timeout_s":1e999}'),
        ("rpc.get", b'{"path":' + b"[" * 5000 + b"]" * 5000 + b"}"),
        ("rpc.get", b'{"path":'),
        ("sample..a", b"[]"),
        ("sample." + "a." * 100 + "a", b"[]"),
        ("sample." + "x" * 100_000, b"[]"),
        ("sample.a\0", b"[]"),
    ],
)
def test_what_is_not_of_the_form_is_refused(method: str, params: bytes) -> None:
    assert refusal(method, params).code == errors.INVALID_PARAMS.code


@pytest.mark.parametrize("method", ["rpc.hello", "rpc.", "rpc.Get", "rpc." + "x" * 100_000])
def test_method_that_owners_do_not_answer(method: str) -> None:
    assert refusal(method, b'{"path":"sample.a"}').code == errors.METHOD_NOT_FOUND.code


def test_long_made_up_methods_are_not_kept() -> None:
    method = "sample." + "x" * module.MAX_REMEMBERED_LENGTH
    before = module._remembered_path.cache_info().currsize
    assert call(method).path == ("x" * module.MAX_REMEMBERED_LENGTH,)
    assert module._remembered_path.cache_info().currsize == before
