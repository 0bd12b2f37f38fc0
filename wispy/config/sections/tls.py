"""Sections on TLS: of the frontend's own port, and to Redis."""

from typing import Annotated, Literal

from wispy.config.sections.base import Section, about


class TlsConfig(Section, frozen=True):
    """TLS in the frontend itself, for a server without a proxy before it; both files, or neither."""

    certificate: Annotated[str | None, about("file with the certificate and its chain, in PEM format")] = None
    key: Annotated[str | None, about("file with the certificate's private key, in PEM format")] = None

    @property
    def is_on(self) -> bool:
        """Whether the port speaks TLS."""
        return self.certificate is not None or self.key is not None


class RedisTlsConfig(Section, frozen=True):
    """TLS to Redis, where `redis.url` begins with `rediss`."""

    ca: Annotated[
        str | None,
        about("file with the certificates of the authorities that are believed, in PEM format; null: the system's"),
    ] = None
    certificate: Annotated[
        str | None, about("file with our own certificate and its chain, for a server that asks for one")
    ] = None
    key: Annotated[str | None, about("file with our certificate's private key")] = None
    verify: Annotated[
        Literal["full", "chain", "none"],
        about(
            "what is checked of the server's certificate. full: who signed it, and that it is for the host that is "
            "connected to; chain: who signed it (for servers that Sentinels or a Cluster name by addresses that are "
            "not in their certificates); none: nothing, so that whoever sits in between reads and writes along"
        ),
    ] = "full"
