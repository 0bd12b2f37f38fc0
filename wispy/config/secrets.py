"""What must never be shown: passwords, secrets, and passwords inside URLs.

The one rule for `wispy config`, for the text of errors, for `repr` and for the log.
"""

import re

MASK = "***"

_SECRET_KEYS = frozenset({"password", "secret"})
_LIKE_A_SECRET = re.compile(r"passw|pwd|secret|token|credential|private", re.IGNORECASE)
# Up to the last @ before the path: a password may itself hold an @ that nobody escaped. Every text that is logged is
# searched, however long: no part of it is looked at twice.
_URL_PASSWORD = re.compile(r"(?P<start>://[^\s/:@]*:)[^\s/]*(?=@)")


def is_secret(key: str) -> bool:
    """Whether the setting of this name (the last part of its path) is a secret."""
    return key in _SECRET_KEYS


def resembles_secret(key: str) -> bool:
    """Whether an unknown key may be a secret's name, misspelt or put elsewhere."""
    return _LIKE_A_SECRET.search(key) is not None


def mask_urls(text: str) -> str:
    """The text with the password of each URL in it replaced."""
    return _URL_PASSWORD.sub(rf"\g<start>{MASK}", text)


def mask_url(text: str) -> str:
    """One URL, which need not be a right one: whatever stands where its password may be is replaced."""
    start, at, rest = text.rpartition("@")
    scheme, separator, login = start.partition("://")
    user, colon, _ = login.partition(":")
    return f"{scheme}{separator}{user}:{MASK}@{rest}" if at and separator and colon else text
