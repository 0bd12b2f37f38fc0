"""TLS to Redis: what `redis.tls` says, as the context that connections are made with."""

import functools
import ssl
from pathlib import Path

from wispy.config.schema import RedisTlsConfig
from wispy.errors import StartError


def context_of(tls: RedisTlsConfig) -> ssl.SSLContext:
    """The context for the next connection: a new one where a file has changed, since certificates are short-lived.

    Raises:
        StartError: a file is missing, or is no certificate or key, or they do not belong together.
    """
    return _make_context(tls, tuple(_changed_at(name, file) for name, file in _files(tls)))


@functools.lru_cache(maxsize=1)  # the system's authorities take some 100 ms to read, and each object has a link
def _make_context(tls: RedisTlsConfig, versions: tuple[int, ...]) -> ssl.SSLContext:
    if tls.key is not None and tls.certificate is None:
        raise StartError("redis.tls.key is the key of redis.tls.certificate, which is missing")
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ValueError) as error:
        raise StartError(f"redis.tls.ca = {tls.ca}: no PEM certificates: {_reason(error)}") from error
    if tls.certificate is not None:
        try:
            # A key that is encrypted would ask for its password on the terminal.
            context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
        except (OSError, ValueError) as error:
            text = f"redis.tls.certificate and redis.tls.key are no PEM certificate and its plain key: {_reason(error)}"
            raise StartError(text) from error
    if tls.verify != "full":
        context.check_hostname = False
    if tls.verify == "none":
        context.verify_mode = ssl.CERT_NONE
    return context


def reason_of(error: ssl.SSLError) -> str:
    """Why there is no TLS with a server, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {error.verify_message}"
    if error.reason == "WRONG_VERSION_NUMBER":
        return "it speaks no TLS at this port"
    return str(error.reason or error)


def _files(tls: RedisTlsConfig) -> list[tuple[str, str]]:
    files = (("ca", tls.ca), ("certificate", tls.certificate), ("key", tls.key))
    return [(name, file) for name, file in files if file is not None]


def _changed_at(name: str, file: str) -> int:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError as error:
        raise StartError(f"redis.tls.{name} = {file}: cannot be read: {error.strerror}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)
