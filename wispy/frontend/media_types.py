"""What kind of file a name stands for: its Content-Type, whether it is worth compressing, whether it can act.

The table is Python's own with a few additions, and never the machine's: what a page's files are must not depend on
where they are served, since browsers run no script of another type (`nosniff`).
"""

import mimetypes
from typing import Final

BINARY: Final = "application/octet-stream"

_ADDITIONS: Final = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".ico": "image/x-icon",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".md": "text/markdown",
    ".yaml": "text/plain",
    ".yml": "text/plain",
    ".toml": "text/plain",
    ".log": "text/plain",
}

_TEXT: Final = frozenset(
    {"application/json", "application/manifest+json", "application/xml", "application/xhtml+xml", "image/svg+xml"}
)
_PASSIVE: Final = frozenset({"text/plain", "text/csv", "text/markdown", "application/json", "application/pdf"})
_PASSIVE_KINDS: Final = ("image/", "audio/", "video/", "font/")


def _table() -> mimetypes.MimeTypes:
    table = mimetypes.MimeTypes()  # Python's own: only `mimetypes.init` reads the machine's
    for ending, media_type in _ADDITIONS.items():
        table.add_type(media_type, ending)
    return table


_TABLE: Final = _table()


def media_type_of(name: str) -> str:
    """The media type of a file by its name, without parameters."""
    media_type, encoding = _TABLE.guess_type(f"/{name}")  # with the slash it is never taken for a URL
    if encoding == "gzip":
        return "application/gzip"
    return BINARY if media_type is None or encoding is not None else media_type


def is_text(media_type: str) -> bool:
    """Whether files of the type hold text, which shrinks when it is compressed."""
    return media_type.startswith("text/") or media_type in _TEXT


def passive(media_type: str) -> str:
    """The type, if a browser shows or plays such files and never runs them; else that of mere bytes."""
    return media_type if media_type in _PASSIVE or media_type.startswith(_PASSIVE_KINDS) else BINARY


def content_type(media_type: str) -> str:
    """The header's value: text is UTF-8."""
    return f"{media_type}; charset=utf-8" if is_text(media_type) else media_type
