"""The seal on an entry of a request stream: a worker runs only what a frontend with the same secret has sent. Pure.

Rules (docs/design/identity.md has the reasons):
- The seal covers every byte of the entry, which names the frontend, each session with who it is, and each request with
  its id and stamp, and beside it the stream's key, which names deployment and object.
- What has no good seal is not even decoded.
- A whole entry that is written once more is harmless: the owner's memory knows its requests by session, id and stamp.
"""

import hmac
from hashlib import sha256
from typing import Final

MARK: Final = b"\x01"
"""The first byte of a sealed entry. One without a seal begins with a bracket."""

_SEAL_BYTES: Final = 32
_START: Final = len(MARK) + _SEAL_BYTES
_PURPOSE: Final = b"wispy entry seal 1"


class Seal:
    """Seals the entries of one object's stream.

    Args:
        secret: what frontends and workers share (`session.secret`); it also signs session tokens, so that the key here
            is derived from it for this purpose alone.
        stream: the stream's key in Redis.
    """

    def __init__(self, secret: str, stream: str) -> None:
        key = hmac.digest(secret.encode(), _PURPOSE, sha256)
        name = stream.encode()
        # The stream's name comes first, with its length, so that it cannot be mistaken for the entry's beginning.
        self._begun = hmac.new(key, b"%d:%b" % (len(name), name), sha256)

    def seal(self, entry: bytes) -> bytes:
        """The entry as it is written."""
        return b"".join((MARK, self._digest(entry), entry))

    def opened(self, data: bytes) -> bytes | None:
        """The entry in what was read; None if it has no seal, or not the right one."""
        if not data.startswith(MARK):
            return None
        entry = data[_START:]
        return entry if hmac.compare_digest(data[len(MARK) : _START], self._digest(entry)) else None

    def _digest(self, entry: bytes) -> bytes:
        mac = self._begun.copy()
        mac.update(entry)
        return mac.digest()
