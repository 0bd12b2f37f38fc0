import os
import socket
from collections.abc import Iterator

import pytest

from wispy.reload.handover import VARIABLE, Given, Handover, Told, receive, send, taken


@pytest.fixture
def lines() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_messages_arrive_one_by_one_with_their_sockets(lines: tuple[socket.socket, socket.socket]) -> None:
    one, other = lines
    with socket.create_server(("127.0.0.1", 0)) as listening:
        send(one, Told(folders=["/a\n", "/b" * 1000]), [])
        send(one, Told(address="x", port=5), [listening.fileno()])
        text, fds = receive(other)
        assert (b"/b/b" in text, fds) == (True, [])
        text, (fd,) = receive(other)
        assert b'"port":5' in text
        assert not os.get_inheritable(fd)
        with socket.socket(fileno=fd) as same:
            assert same.getsockname() == listening.getsockname()
    one.close()
    assert receive(other) == (b"", [])


def test_sockets_are_taken_over_only_for_the_same_configuration() -> None:
    line, other = socket.socketpair()
    with line, other, socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        given = Given(None, "secret", True, "127.0.0.1", 5000)
        assert Handover(line, given, [one]).sockets("127.0.0.1", 5000) == [one]
        assert Handover(line, given, [two]).sockets("127.0.0.1", 5001) == []
        assert two.fileno() == -1, "nobody listens there any more"


def test_a_program_that_nobody_watches_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert taken() is None
    monkeypatch.setenv(VARIABLE, "0:1234567890")  # inherited from a watched program that started this one
    assert taken() is None
    assert VARIABLE not in os.environ


def test_a_watcher_that_is_gone_is_no_error_of_the_programs(lines: tuple[socket.socket, socket.socket]) -> None:
    one, other = lines
    other.close()
    Handover(one, Given(None, "secret", False), []).tell_folders(["/a"])
