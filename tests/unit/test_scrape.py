"""Listening on a port: what is said where that cannot be."""

import socket

import pytest

from wispy.errors import StartError
from wispy.scrape import bind


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StartError, match="Address already in use; take another port"):
            bind("127.0.0.1", taken.getsockname()[1], "take another port")


@pytest.mark.parametrize("address", ["192.0.2.1", "[::1]", "a" * 64])
def test_another_port_does_not_mend_an_address(address: str) -> None:
    with pytest.raises(StartError, match="; `address` is one of this machine's, or empty for all of them"):
        bind(address, 0, "take another port")
