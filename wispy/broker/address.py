"""Where Redis is, and as whom to speak to it: the parsed form of `redis.url`. Never shows the password."""

from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, unquote, urlsplit

from wispy.errors import ConfigError

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379

MAX_SENTINELS = 16
"""Sentinels of one address: deployments have three or five, and all of them may be asked one after the other."""

_SCHEMES = "redis://, unix:// or redis+sentinel://"


@dataclass(frozen=True)
class RedisAddress:
    """One Redis server: `path` (a unix socket), or `host` and `port`, or the master `master` that `sentinels` name."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    path: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    sentinels: tuple[tuple[str, int], ...] = ()
    """Host and port of each Sentinel; then `host` and `port` say nothing."""
    master: str = ""
    """The name by which Sentinels know the master."""

    @classmethod
    def parse(
        cls, url: str, *, user: str | None = None, password: str | None = None, database: int | None = None
    ) -> "RedisAddress":
        """Parse `redis://[user:password@]host[:port][/db]`, `unix:///path.sock[?db=0]` or
        `redis+sentinel://[user:password@]host[:port][,host[:port]...]/master[/db]`.

        `user`, `password` and `database` are settings of their own and win over the same parts of the URL.
        Raises `ConfigError` for anything else; its text never contains the password.
        """
        if url.startswith("redis+sentinel://"):
            return cls._parse_sentinel(url, user, password, database)
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORT
        except ValueError as error:
            raise ConfigError(f"redis.url: {error}") from None
        if parts.scheme == "rediss":
            raise ConfigError("redis.url: TLS is not supported yet: use redis:// or unix://")
        if parts.scheme not in ("redis", "unix"):
            raise ConfigError(f"redis.url: must start with {_SCHEMES}, not with {parts.scheme + '://'!r}")
        named = parse_qs(parts.query).get("db", [""])[-1]
        path: str | None = None
        if parts.scheme == "unix":
            path = unquote(parts.path)
            if not path.strip("/") or parts.hostname:
                raise ConfigError("redis.url: unix:// needs an absolute path: unix:///run/redis.sock")
        else:
            named = parts.path.strip("/") or named
        return cls(
            host=parts.hostname or "localhost",
            port=port,
            path=path,
            user=user or (unquote(parts.username) if parts.username else None),
            password=password or (unquote(parts.password) if parts.password else None),
            database=_database_number(named) if database is None else database,
        )

    @classmethod
    def _parse_sentinel(cls, url: str, user: str | None, password: str | None, database: int | None) -> "RedisAddress":
        login, at, rest = url.removeprefix("redis+sentinel://").rpartition("@")
        hosts, _, path = rest.partition("/")
        master, _, named = path.partition("/")
        if not master:
            raise ConfigError(
                "redis.url: redis+sentinel:// needs the master's name: redis+sentinel://host:26379/mymaster"
            )
        url_user, _, url_password = login.partition(":") if at else ("", "", "")
        sentinels = tuple(_sentinel(part) for part in hosts.split(","))
        if len(sentinels) > MAX_SENTINELS:
            raise ConfigError(f"redis.url: at most {MAX_SENTINELS} Sentinels, not {len(sentinels)}")
        return cls(
            user=user or unquote(url_user) or None,
            password=password or unquote(url_password) or None,
            database=_database_number(named.strip("/")) if database is None else database,
            sentinels=sentinels,
            master=unquote(master),
        )

    def at(self, host: str, port: int) -> "RedisAddress":
        """The server itself, where its Sentinels have said that it is."""
        return replace(self, host=host, port=port, sentinels=(), master="")

    def __str__(self) -> str:
        """The address as a URL for logs: without user and password."""
        if self.sentinels:
            hosts = ",".join(_host_and_port(*each) for each in self.sentinels)
            return f"redis+sentinel://{hosts}/{self.master}" + (f"/{self.database}" if self.database else "")
        if self.path is not None:
            return f"unix://{self.path}" + (f"?db={self.database}" if self.database else "")
        return f"redis://{_host_and_port(self.host, self.port)}" + (f"/{self.database}" if self.database else "")


def _database_number(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"redis.url: the database must be a number, not {text!r}")
    return int(text)


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _sentinel(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port or DEFAULT_SENTINEL_PORT
    except ValueError as error:
        raise ConfigError(f"redis.url: {error}") from None
    if not host:
        raise ConfigError(
            "redis.url: redis+sentinel:// needs the host of each Sentinel: redis+sentinel://a,b,c/mymaster"
        )
    return host, port
