"""Debian's Redis 7 behind TLS and access control: the strict server of somebody else's platform team."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
"""What docs/reference/redis-schema.md says a user needs, for the prefixes of test stacks."""


class TlsRedis:
    """A server that wants TLS, a client's certificate, a user and a password."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self.port = free_port()
        self.authority = authority
        self.certificate, self.key = authority.sign("client", "DNS:client")
        server, server_key = authority.sign("server", "IP:127.0.0.1")
        self._log = folder / "log"
        acl = folder / "users.acl"
        acl.write_text(f"user default off\nuser admin on >admin ~* &* +@all\nuser {USER} on >{PASSWORD} {RIGHTS}\n")
        self._arguments = [
            "--port", "0", "--tls-port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "",
            "--tls-cert-file", str(server), "--tls-key-file", str(server_key), "--tls-ca-cert-file", str(authority.ca),
            "--tls-auth-clients", "yes", "--aclfile", str(acl),
        ]  # fmt: skip

    @property
    def url(self) -> str:
        return f"rediss://127.0.0.1:{self.port}"

    @property
    def tls(self) -> RedisTlsConfig:
        """The settings of `redis.tls` that it takes."""
        return RedisTlsConfig(ca=str(self.authority.ca), certificate=str(self.certificate), key=str(self.key))

    def admin(self) -> redis.Redis:
        return redis.Redis(
            host="127.0.0.1", port=self.port, username="admin", password="admin", protocol=2, ssl=True,
            ssl_ca_certs=str(self.authority.ca), ssl_certfile=str(self.certificate), ssl_keyfile=str(self.key),
        )  # fmt: skip

    @contextmanager
    def running(self) -> Iterator[None]:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("Debian's redis-server is not installed: make programs")
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
