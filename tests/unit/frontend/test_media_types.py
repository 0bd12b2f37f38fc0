"""What kind of file a name stands for."""

import pytest

from wispy.frontend.media_types import content_type, media_type_of, passive


@pytest.mark.parametrize(
    ("name", "header", "as_uploaded"),
    [
        ("index.html", "text/html; charset=utf-8", "application/octet-stream"),
        ("APP.JS", "text/javascript; charset=utf-8", "application/octet-stream"),
        ("app.mjs", "text/javascript; charset=utf-8", "application/octet-stream"),
        ("style.css", "text/css; charset=utf-8", "application/octet-stream"),
        ("drawing.svg", "image/svg+xml; charset=utf-8", "image/svg+xml"),
        ("feed.xml", None, "application/octet-stream"),
        ("page.xhtml", None, "application/octet-stream"),
        ("module.wasm", "application/wasm", "application/octet-stream"),
        ("photo.jpeg", "image/jpeg", "image/jpeg"),
        ("photo.avif", "image/avif", "image/avif"),
        ("film.mp4", "video/mp4", "video/mp4"),
        ("data.json", "application/json; charset=utf-8", "application/json"),
        ("notes.txt", "text/plain; charset=utf-8", "text/plain"),
        ("font.woff2", "font/woff2", "font/woff2"),
        ("archive.tar.gz", "application/gzip", "application/octet-stream"),
        ("unknown", "application/octet-stream", "application/octet-stream"),
        ("data:text/html,x", "application/octet-stream", "application/octet-stream"),
    ],
)
def test_types(name: str, header: str | None, as_uploaded: str) -> None:
    media_type = media_type_of(name)
    assert header is None or content_type(media_type) == header
    assert passive(media_type) == as_uploaded
