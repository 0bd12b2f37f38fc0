"""Where the websocket of a wispy is, from what a user writes."""

from typing import Final
from urllib.parse import urlsplit, urlunsplit

from wispy.config.secrets import mask_url

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def websocket_url(url: str) -> str:
    """The address of the websocket: `/ws` below the base path.

    Args:
        url: of the websocket or of the site, as `http://host:port/base_path`; without a scheme it is taken for http.

    Raises:
        ValueError: it is no such address.
    """
    given = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{mask_url(url)!r} is no address: {error}") from error
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not host:
        raise ValueError(
            f"{mask_url(url)!r} is no address of a wispy: one looks like http://host:port or ws://host:port/ws"
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/ws"):
        path += "/ws"
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))
