"""An authority of one's own, and certificates that it has signed, for servers and clients on the loopback."""

import subprocess
from pathlib import Path

DAYS = "2"


class Authority:
    """Signs certificates; `ca` is the file that those who believe it are given.

    Args:
        folder: an empty one for all files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._key = folder / "ca.key"
        _openssl("req", "-x509", *_new_key(self._key), "-subj", "/CN=test authority", "-out", self.ca)

    def sign(self, name: str, subject_alternative: str) -> tuple[Path, Path]:
        """A certificate and its key: for `IP:127.0.0.1`, say."""
        key, certificate = self._folder / f"{name}.key", self._folder / f"{name}.pem"
        _openssl(
            "req", "-x509", *_new_key(key), "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject_alternative}",
            "-addext", "basicConstraints=critical,CA:FALSE", "-CA", self.ca, "-CAkey", self._key, "-out", certificate,
        )  # fmt: skip
        return certificate, key


def _new_key(file: Path) -> tuple[object, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", DAYS, "-keyout", file)


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
