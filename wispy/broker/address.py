"""Where Redis is, and as whom to speak to it: the parsed form of `redis.url`. Never shows the password."""

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from wispy.errors import ConfigError

DEFAULT_PORT = 6379


@dataclass(frozen=True)
class RedisAddress:
    """One Redis server: either `path` (a unix socket) or `host` and `port`."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    path: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0

    @classmethod
    def parse(
        cls, url: str, *, user: str | None = None, password: str | None = None, database: int | None = None
    ) -> "RedisAddress":
        """Parse `redis://[user:password@]host[:port][/db]` or `unix:///path.sock[?db=0]`.

        `user`, `password` and `database` are settings of their own and win over the same parts of the URL.
        Raises `ConfigError` for anything else; its text never contains the password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORT
        except ValueError as error:
            raise ConfigError(f"redis.url: {error}") from None
        if parts.scheme == "rediss":
            raise ConfigError("redis.url: TLS is not supported yet: use redis:// or unix://")
        if parts.scheme not in ("redis", "unix"):
            raise ConfigError(f"redis.url: must start with redis:// or unix://, not with {parts.scheme + '://'!r}")
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

    def __str__(self) -> str:
        """The address as a URL for logs: without user and password."""
        if self.path is not None:
            return f"unix://{self.path}" + (f"?db={self.database}" if self.database else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis://{host}:{self.port}" + (f"/{self.database}" if self.database else "")


def _database_number(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"redis.url: the database must be a number, not {text!r}")
    return int(text)
