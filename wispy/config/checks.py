"""The rules of single values that a type and a range cannot say.

Each check takes a value of the right type and returns why it is impossible, or None; the text follows
"port = 80: ".
"""

import ipaddress
import re

from wispy.config.redis_address import fault_of

_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_ROUTE = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")
_NAME = re.compile(r"[a-z0-9._-]+")
_IPV6 = re.compile(r"[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*")
# 16 characters of hexadecimal digits are 64 bits; shorter keys can be found by trying.
_SHORTEST_SECRET = 16
# Characters: an object's name is part of all of its Redis keys, which are kept for each name that clients ask for.
LONGEST_OBJECT_NAME = 100
# Headers that say how an answer travels, or that have a key of their own.
_OWN_HEADERS = frozenset({"connection", "date", "etag", "referrer-policy", "transfer-encoding", "vary", "upgrade"})


def base_path(value: str) -> str | None:
    """Empty, or `/a/b`."""
    if value and not value.startswith("/"):
        return "must start with '/'"
    if value.endswith("/"):
        return "must not end with '/'" if len(value) > 1 else "must be empty to serve at the root"
    if not _BASE_PATH.fullmatch(value) or _climbs(value):
        return "must be a plain path such as /lab/microscope"
    return None


def route(value: str) -> str | None:
    """A path below `base_path`, without a slash at either end."""
    if not _ROUTE.fullmatch(value) or _climbs(value):
        return "must be a plain path without '/' at its start and end"
    return None


def address(value: str) -> str | None:
    """What a server can bind to; empty means all interfaces."""
    if re.search(r"[\s/]", value):
        return "must be an IP address or a host name"
    if value.count(":") == 1:
        return "must be an address alone: the port has a key of its own, port"
    return None


def redis_url(value: str) -> str | None:
    """Where Redis is."""
    return fault_of(value)


def redis_prefix(value: str) -> str | None:
    """A start for keys that leaves the hash tags to the objects' names."""
    if re.search(r"[\s{}]", value):
        return "must not hold spaces or braces: braces mark the part of a key that Redis Cluster hashes"
    return None


def secret(value: str) -> str | None:
    """A key to sign with."""
    if len(value) < _SHORTEST_SECRET:
        return f"must have at least {_SHORTEST_SECRET} characters"
    return None


def origins(value: tuple[str, ...]) -> str | None:
    """Origins as a browser sends them."""
    for origin in value:
        scheme, _, rest = origin.partition("://")
        if scheme not in ("http", "https") or not _is_origin_host(rest):
            return f"{origin!r} must be an origin as browsers send it, such as https://lab.example.org:8443"
    return None


def hosts(value: tuple[str, ...]) -> str | None:
    """Host names as a browser sends them."""
    for host in value:
        if not (_NAME.fullmatch(host) or _IPV6.fullmatch(host)):
            return f"{host!r} must be a host name or an address alone, in lower case and without a port"
    return None


def host(value: str) -> str | None:
    """One host name."""
    return hosts((value,)) if value else "must be a host name; null for none"


def networks(value: tuple[str, ...]) -> str | None:
    """Addresses and networks."""
    for network in value:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            return f"{network!r} must be an IP address or a network such as 10.0.0.0/8: {error}"
    return None


def homepage(value: str) -> str | None:
    """A path below `base_path`, as a link would have it."""
    if re.search(r"[\\\s\x00-\x1f]|//|^[A-Za-z]+:", value):
        return "must be a path below base_path, such as static/index.html"
    return None


def filetypes(value: str | tuple[str, ...]) -> str | None:
    """Endings of names, with or without a dot before."""
    for ending in () if isinstance(value, str) else value:
        if not re.fullmatch(r"\.?[^\W_]+([.-][^\W_]+)*", ending):
            return f"{ending!r} must be the ending of a name, such as png or tar.gz"
    return None


def path_patterns(value: tuple[str, ...]) -> str | None:
    """Patterns that can match an absolute path."""
    for pattern in value:
        if "\\" in pattern:
            return f"{pattern!r} must be written with '/', also on Windows"
        if not re.match(r"[*/?\[]|[A-Za-z]:/", pattern):
            return f"{pattern!r} matches no absolute path: begin it with '*' or '/'"
    return None


def function(value: str | None) -> str | None:
    """`module:function`."""
    if value is None or re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", value):
        return None
    return "must be module:function"


def cookie(value: str | None) -> str | None:
    """A name that a cookie can have."""
    return None if value is None or re.fullmatch(r"[A-Za-z0-9_.-]+", value) else "must be the name of a cookie"


def header_text(value: str | None) -> str | None:
    """What can stand in a header."""
    return None if value is None or re.fullmatch(r"[\x20-\x7e]*", value) else "must be one line of ASCII characters"


def policy(value: str) -> str | None:
    """A Content-Security-Policy."""
    return header_text(value) if value.strip() else "must say something: the console has a policy in any case"


def headers(value: dict[str, str]) -> str | None:
    """Headers that wispy does not write itself."""
    for name, text in value.items():
        if not re.fullmatch(r"[A-Za-z0-9-]+", name):
            return f"{name!r} must be the name of a header"
        if name.lower() in _OWN_HEADERS or name.lower().startswith("content-"):
            return f"{name!r} is written by wispy"
        if (reason := header_text(text)) is not None:
            return f"{name} {reason}"
    return None


def object_name(value: str) -> str | None:
    """A name that can start a path."""
    if len(value) > LONGEST_OBJECT_NAME:
        return f"must be the name of an object, of at most {LONGEST_OBJECT_NAME} characters"
    return None if value and not re.search(r"[\s.{}]", value) else "must be the name of an object"


def folders(value: str | tuple[str, ...] | dict[str, str]) -> str | None:
    """Folders to serve: routes that are paths, and are different."""
    listed = (value,) if isinstance(value, str) else tuple(value)
    if isinstance(value, dict):
        for name in value:
            if (reason := route(name)) is not None:
                return f"the route {name!r} {reason}"
        listed = tuple(value.values())
    if not all(listed):
        return "a folder must not be empty"
    if not isinstance(value, dict):
        routes = [folder_route(folder) for folder in listed]
        if not all(routes):
            return "a folder must have a name to be served under; write it as a map of routes to folders"
        if len(set(routes)) < len(routes):
            return "two folders have the same name; write them as a map of routes to folders"
    return None


def folder_route(folder: str) -> str:
    """The route of a folder that is given without one: its name; empty where it has none, such as `.`."""
    name = folder.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "" if name in (".", "..") else name


def _is_origin_host(text: str) -> bool:
    """Whether this is a host in lower case, with or without a port."""
    match = re.fullmatch(r"(?P<name>[^:\[\]]+)(:\d{1,5})?|\[(?P<ipv6>[^\[\]]+)\](:\d{1,5})?", text, re.ASCII)
    if match is None:
        return False
    return _NAME.fullmatch(match["name"]) is not None if match["name"] else _IPV6.fullmatch(match["ipv6"]) is not None


def _climbs(path: str) -> bool:
    return any(part in (".", "..") for part in path.split("/"))
