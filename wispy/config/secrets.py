"""What must never be shown: passwords, secrets, and passwords inside URLs.

The one rule for `wispy config`, for the text of errors, for `repr` and for the log.
"""

import re

MASK = "***"

_SECRET_KEYS = frozenset({"password", "secret"})
_LIKE_A_SECRET = re.compile(r"passw|pwd|secret|token|credential|private", re.IGNORECASE)
# Up to the last @ before the path: a password may itself hold an @ that nobody escaped.
_URL_PASSWORD = re.compile(r"(?P<start>[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:)[^\s/]*(?=@)")


def is_secret(key: str) -> bool:
    """Whether the setting of this name (the last part of its path) is a secret."""
    return key in _SECRET_KEYS


def resembles_secret(key: str) -> bool:
    """Whether an unknown key may be a secret's name, misspelt or put elsewhere."""
    return _LIKE_A_SECRET.search(key) is not None


def mask_urls(text: str) -> str:
    """The text with the password of each URL in it replaced."""
    return _URL_PASSWORD.sub(rf"\g<start>{MASK}", text)
