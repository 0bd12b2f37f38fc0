import pytest

from wispy.client.address import websocket_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ws://host:5000/ws", "ws://host:5000/ws"),
        ("ws://host:5000", "ws://host:5000/ws"),
        ("http://host:5000/", "ws://host:5000/ws"),
        ("https://host/lab/", "wss://host/lab/ws"),
        ("https://host/lab/ws/", "wss://host/lab/ws"),
        ("wss://host/lab/ws?x=1", "wss://host/lab/ws?x=1"),
        ("localhost:5000", "ws://localhost:5000/ws"),
        ("http://[::1]:5000/news", "ws://[::1]:5000/news/ws"),
        ("http://host#part", "ws://host/ws"),
    ],
)
def test_every_address_leads_to_the_websocket(given: str, expected: str) -> None:
    assert websocket_url(given) == expected


@pytest.mark.parametrize("given", ["", "ftp://host", "http://", "http://host:port", "http://[::1"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        websocket_url(given)


def test_no_password_is_told() -> None:
    with pytest.raises(ValueError, match="is no address") as caught:
        websocket_url("http://ann:s3cret@host:port")
    assert "s3cret" not in str(caught.value)
