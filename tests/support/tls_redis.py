"""Debian's Redis 7 behind TLS and access control: the strict server of somebody else's platform team."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.certificates import Authority
from tests.support.stack import free_port
from tests.support.waiting import wait_until_blocking
from wispy.config.schema import RedisTlsConfig

USER = "wispy"
PASSWORD = "se/cret@1"  # characters that a URL has to quote

RIGHTS = (
    "~stack-* &stack-* +@hash +@stream +@string +@sortedset +@pubsub +@scripting +@connection +@keyspace +time +info "
    "-@admin"
)
"""What docs/how-to/redis.md says a user needs, for the prefixes of test stacks."""


def debians_server() -> str:
    """The program; the test is skipped where it is missing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Debian's redis-server is not installed: make programs")
    return program


class Strictness:
    """What strict servers want of those who connect: a certificate of the same authority, a user and a password.

    Args:
        authority: signs all certificates, for 127.0.0.1.
        folder: for the file of the users.
        rights: of wispy's user.
    """

    def __init__(self, authority: Authority, folder: Path, rights: str = RIGHTS) -> None:
        self.authority = authority
        self.certificate, self.key = authority.sign("client", "DNS:client")
        server, server_key = authority.sign("server", "IP:127.0.0.1")
        acl = folder / "users.acl"
        acl.write_text(f"user default off\nuser admin on >admin ~* &* +@all\nuser {USER} on >{PASSWORD} {rights}\n")
        self.arguments = [
            "--tls-cert-file", str(server), "--tls-key-file", str(server_key), "--tls-ca-cert-file", str(authority.ca),
            "--tls-auth-clients", "yes", "--aclfile", str(acl),
        ]  # fmt: skip
        """Of a server, beside its port."""

    @property
    def tls(self) -> RedisTlsConfig:
        """The settings of `redis.tls` that such a server takes."""
        return RedisTlsConfig(ca=str(self.authority.ca), certificate=str(self.certificate), key=str(self.key))

    @property
    def settings(self) -> dict[str, Any]:
        """All settings of wispy that it takes, by dotted key, beside the URL."""
        files = {f"redis.tls.{name}": getattr(self.tls, name) for name in ("ca", "certificate", "key")}
        return {"redis.user": USER, "redis.password": PASSWORD, **files}

    def admin(self, port: int, **options: Any) -> redis.Redis:
        return redis.Redis(
            host="127.0.0.1", port=port, username="admin", password="admin", protocol=2, ssl=True,
            ssl_ca_certs=str(self.authority.ca), ssl_certfile=str(self.certificate), ssl_keyfile=str(self.key),
            **options,
        )  # fmt: skip


class TlsRedis:
    """A server that wants TLS, a client's certificate, a user and a password."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self.port = free_port()
        self.authority = authority
        self.strictness = Strictness(authority, folder)
        self.certificate, self.key, self.tls = self.strictness.certificate, self.strictness.key, self.strictness.tls
        self._log = folder / "log"
        self._arguments = [
            "--port", "0", "--tls-port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "",
            *self.strictness.arguments,
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"rediss://127.0.0.1:{self.port}"

    def admin(self) -> redis.Redis:
        return self.strictness.admin(self.port)

    @contextmanager
    def running(self) -> Iterator[None]:
        program = debians_server()
        with self._log.open("wb") as log:
            process = subprocess.Popen([program, *self._arguments], stdout=log, stderr=log)
        try:
            wait_until_blocking(self._answers, lambda: f"the server answers: {self._log.read_text()}")
            yield
        finally:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.admin() as admin:
            return admin.ping()
        return False
