"""Where Redis is, and as whom to speak to it: the parsed form of `redis.url`. Never shows the password.

redis://[user:password@]host[:port][/database]                              one server
unix:///path.sock[?db=database]                                             one server, on this machine
redis+sentinel://[user:password@]host[:port][,host...]/master[/database]    whichever server Sentinels name
rediss://..., rediss+sentinel://...                                         the same over TLS
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from wispy.config.sections.tls import RedisTlsConfig
from wispy.errors import ConfigError

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379

MAX_HOSTS = 16
"""Sentinels, or nodes to begin with: deployments name three or five, and all may be asked one after the other."""

_ELSEWHERE: Final = "what can be set is in keys of its own, in the section redis"
_FORMS: Final = "redis:// or rediss:// (TLS), either with +sentinel or +cluster before the colon, or unix://"


@dataclass(frozen=True)
class RedisAddress:
    """One Redis server: `path` (a unix socket), or `host` and `port`, or the master `master` that `sentinels` name.

    Or a Cluster, of which `nodes` are some.
    """

    host: str = "localhost"
    port: int = DEFAULT_PORT
    path: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: RedisTlsConfig | None = None
    """How to speak TLS; None: not at all."""
    sentinels: tuple[tuple[str, int], ...] = ()
    """Host and port of each Sentinel; then `host` and `port` say nothing."""
    master: str = ""
    """The name by which Sentinels know the master."""
    sentinel_login: tuple[str | None, str] | None = field(default=None, repr=False)
    """User and password for Sentinels; None: those of the servers."""
    nodes: tuple[tuple[str, int], ...] = ()
    """Host and port of some nodes of a Cluster; then `host` and `port` say nothing."""
    is_node: bool = False
    """Whether it is one node of a Cluster."""

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        tls: RedisTlsConfig | None = None,
    ) -> "RedisAddress":
        """Parse a URL. `user` and `password` are settings of their own and win over those of the URL; `tls` says how
        to speak TLS where the URL says to.

        Raises `ConfigError` for anything else; its text never contains the password.
        """
        try:
            address = _parse(url)
        except ValueError as error:
            raise ConfigError(f"redis.url: {error}") from None
        return replace(
            address,
            user=user or address.user,
            password=password or address.password,
            tls=(tls or RedisTlsConfig()) if is_tls(url) else None,
        )

    def at(self, host: str, port: int) -> "RedisAddress":
        """The server itself, where others have said that it is."""
        is_node = self.is_node or bool(self.nodes)
        return replace(
            self, host=host, port=port, sentinels=(), master="", sentinel_login=None, nodes=(), is_node=is_node
        )

    def with_sentinel_login(self, user: str | None, password: str) -> "RedisAddress":
        """The same, with a user and a password that are for the Sentinels alone."""
        return replace(self, sentinel_login=(user, password))

    def __str__(self) -> str:
        """The address as a URL for logs: without user and password."""
        scheme = "redis" if self.tls is None else "rediss"
        database = f"/{self.database}" if self.database else ""
        if self.sentinels:
            return f"{scheme}+sentinel://{_joined(self.sentinels)}/{self.master}{database}"
        if self.nodes:
            return f"{scheme}+cluster://{_joined(self.nodes)}"
        if self.path is not None:
            return f"unix://{self.path}" + (f"?db={self.database}" if self.database else "")
        return f"{scheme}://{_joined(((self.host, self.port),))}{database}"


def fault_of(url: str) -> str | None:
    """What is wrong with a URL; None if it is one."""
    try:
        _parse(url)
    except ValueError as error:
        return str(error)
    return None


def is_tls(url: str) -> bool:
    """Whether this URL says to speak TLS."""
    return url.startswith(("rediss://", "rediss+"))


def _parse(url: str) -> RedisAddress:
    """Raises `ValueError`, which says what must be otherwise."""
    if any(character.isspace() for character in url):
        raise ValueError("must not have spaces: in a password they are written as %20")
    scheme, _, rest = url.partition("://")
    match scheme:
        case "redis" | "rediss":
            return _parse_server(url)
        case "unix":
            return _parse_socket(url)
        case "redis+sentinel" | "rediss+sentinel":
            return _parse_sentinels(rest)
        case "redis+cluster" | "rediss+cluster":
            return _parse_cluster(rest)
        case _:
            raise ValueError(f"must start with {_FORMS}")


def _parse_server(url: str) -> RedisAddress:
    parts = _split(url)
    return RedisAddress(
        host=parts.hostname or "localhost",
        port=_port(parts, DEFAULT_PORT),
        user=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        database=_database_number(parts.path.strip("/") or _database_in(parts.query)),
    )


def _parse_socket(url: str) -> RedisAddress:
    parts = _split(url)
    path = unquote(parts.path)
    if not path.strip("/") or parts.hostname:
        raise ValueError("must name the socket by an absolute path: unix:///run/redis.sock")
    return RedisAddress(
        path=path,
        user=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        database=_database_number(_database_in(parts.query)),
    )


def _parse_sentinels(rest: str) -> RedisAddress:
    user, password, hosts, path = _parse_hosts(rest, DEFAULT_SENTINEL_PORT)
    master, _, database = path.partition("/")
    if not master:
        raise ValueError("must name the master after the Sentinels: redis+sentinel://host:26379,host2/mymaster")
    return RedisAddress(
        user=user,
        password=password,
        database=_database_number(database.strip("/")),
        sentinels=hosts,
        master=unquote(master),
    )


def _parse_cluster(rest: str) -> RedisAddress:
    user, password, hosts, path = _parse_hosts(rest, DEFAULT_PORT)
    if path.strip("/") not in ("", "0"):
        raise ValueError("must name no database: a Cluster has only 0")
    return RedisAddress(user=user, password=password, nodes=hosts)


def _parse_hosts(rest: str, default_port: int) -> tuple[str | None, str | None, tuple[tuple[str, int], ...], str]:
    """User, password, hosts with their ports, and the path of `user:password@host:port,host:port/path`."""
    login, at, rest = rest.rpartition("@")
    _refuse_unescaped(login)
    if "?" in rest:
        raise ValueError(f"must not have parameters: {_ELSEWHERE}")
    names, _, path = rest.partition("/")
    user, _, password = login.partition(":") if at else ("", "", "")
    hosts = tuple(_host(name, default_port) for name in names.split(","))
    if len(hosts) > MAX_HOSTS:
        raise ValueError(f"must name at most {MAX_HOSTS} hosts, not {len(hosts)}")
    return unquote(user) or None, unquote(password) or None, hosts, path


def _host(text: str, default_port: int) -> tuple[str, int]:
    parts = _split(f"//{text}")
    if not parts.hostname:
        raise ValueError("must name each host: redis+sentinel://a,b,c/mymaster or redis+cluster://a,b,c")
    return parts.hostname, _port(parts, default_port)


def _split(url: str) -> SplitResult:
    """Its parts. The library's own complaints may quote the password, also one that it has taken for something else."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("must be a URL: in a password, [ and ] are written as %5B and %5D") from None
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        _refuse_unescaped(url.rpartition("@")[0].partition("://")[2])
    return parts


def _refuse_unescaped(login: str) -> None:
    """What is shown of an address ends a password where a path begins: there is to be no such character in it."""
    if any(character in login for character in "/?#"):
        raise ValueError(
            "must not have /, ? or # before an @: in a password they are written as %2F, %3F and %23, and an @ in a "
            "path as %40"
        )


def _port(parts: SplitResult, default: int) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("must have a number from 1 to 65535 as port, behind the host's colon")
    return default if port is None else port


def _database_in(query: str) -> str:
    """The database that a URL's parameters name; empty if none."""
    given = parse_qs(query, keep_blank_values=True)
    for name in given:
        if name != "db":
            raise ValueError(f"must have no parameter but db, not {name!r}: {_ELSEWHERE}")
    return given.get("db", [""])[-1]


def _database_number(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"must name the database by its number, not {text!r}")
    return int(text)


def _joined(hosts: Sequence[tuple[str, int]]) -> str:
    return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)
