"""Static folders as a browser, a proxy and an attacker see them."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.stack.attacks import FORGED_PATHS, SECRET, raw_request
from tests.support.stack import Frontend, Stack, clean_stack
from wispy.broker.embedded import EmbeddedServer

PAGE = "<!DOCTYPE html><title>page</title>" + "<p>words and more words</p>" * 200


class Site:
    """A frontend and its folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = folder / "pages"
        self.data = folder / "data"
        for each in (self.pages / "inner", self.data, folder / "outside"):
            each.mkdir(parents=True)
        (folder / "outside" / "secret.txt").write_text(SECRET)
        (self.pages / "index.html").write_text(PAGE)
        (self.pages / "inner" / "index.html").write_text(PAGE)
        (self.pages / "app.mjs").write_text("export const a = 1;\n")
        (self.pages / ".env").write_text(SECRET)
        (self.pages / ".well-known").mkdir()
        (self.pages / ".well-known" / "security.txt").write_text("Contact: mailto:lab@example.org\n")
        (self.pages / "inward.html").symlink_to(self.pages / "index.html")
        (self.pages / "outward.txt").symlink_to(folder / "outside" / "secret.txt")
        (self.pages / "outward").symlink_to(folder / "outside")
        (self.data / "numbers.bin").write_bytes(bytes(range(256)) * 1000)
        self.frontend: Frontend

    def start(self, stack: Stack) -> None:
        folders = f"{{pages: {self.pages}, pages/deep: {self.data}, data: {self.data}}}"
        config: dict[str, Any] = {"base_path": "/lab.x", "static.folders": folders}
        config["static.homepage"] = "pages/index.html"
        self.frontend = stack.frontend(**config)

    def get(self, path: str, **headers: str) -> httpx.Response:
        given = {"Accept-Encoding": "identity", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx.get(f"{self.frontend.url}/{path}", headers=given, trust_env=False, verify=False, timeout=20)


@pytest.fixture(scope="module")
def site(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with clean_stack(valkey_server, tmp_path_factory, folder=folder) as stack:
        site = Site(folder)
        site.start(stack)
        yield site


def test_several_folders_and_types_that_do_not_depend_on_the_machine(site: Site) -> None:
    page = site.get("pages/index.html")
    assert (page.status_code, page.text, page.headers["Content-Type"]) == (200, PAGE, "text/html; charset=utf-8")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert site.get("pages/app.mjs").headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert site.get("wispyjs/rpc.js").headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert len(site.get("data/numbers.bin").content) == 256_000
    assert site.get("pages/deep/numbers.bin").status_code == 200, "the longer route wins"
    assert site.get("pages/").text == site.get("pages/inner/").text == site.get("pages/inward.html").text == PAGE
    assert site.get("pages/absent.html").status_code == 404
    assert site.get("pages/.well-known/security.txt").status_code == 200


def test_the_homepage_and_folders_without_a_slash_redirect_below_base_path(site: Site) -> None:
    for path, place in {
        "": "/lab.x/pages/index.html",
        "?a=1": "/lab.x/pages/index.html?a=1",
        "pages": "/lab.x/pages/",
        "pages/inner": "/lab.x/pages/inner/",
    }.items():
        response = site.get(path)
        assert response.status_code in (301, 302)
        assert response.headers["Location"] == place
    root = site.frontend.url.removesuffix("/lab.x")
    for path in ("/pages/index.html", "/labyx/pages/index.html", "/ws", "/rpc"):
        assert httpx.get(root + path, trust_env=False, verify=False, timeout=30).status_code == 404, path


def test_a_page_that_changes_is_never_stale(site: Site) -> None:
    page = site.pages / "changing.html"
    page.write_text("first")
    first = site.get("pages/changing.html")
    assert first.headers["Cache-Control"] == "no-cache"
    assert site.get("pages/changing.html", If_None_Match=first.headers["ETag"]).status_code == 304
    assert site.get("pages/changing.html", If_Modified_Since=first.headers["Last-Modified"]).status_code == 304
    page.write_text("other")  # as long, and within the same second
    os.utime(page, ns=(page.stat().st_atime_ns, page.stat().st_mtime_ns + 1))
    other = site.get("pages/changing.html", If_None_Match=first.headers["ETag"])
    assert (other.status_code, other.text) == (200, "other")


def test_a_url_with_a_version_is_kept(site: Site) -> None:
    assert "max-age=31536000, immutable" in site.get("pages/app.mjs?v=3").headers["Cache-Control"]


def test_ranges(site: Site) -> None:
    whole = site.get("data/numbers.bin")
    assert whole.headers["Accept-Ranges"] == "bytes"
    part = site.get("data/numbers.bin", Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert part.headers["Content-Range"] == "bytes 10-19/256000"
    assert site.get("data/numbers.bin", Range="bytes=-2").content == b"\xfe\xff"
    assert site.get("data/numbers.bin", Range="bytes=256000-").status_code == 416
    resumed = site.get("data/numbers.bin", Range="bytes=10-19", If_Range=whole.headers["ETag"])
    assert resumed.status_code == 206
    changed = site.get("data/numbers.bin", Range="bytes=10-19", If_Range='"another"')
    assert (changed.status_code, len(changed.content)) == (200, 256_000), "never a part of another file"


def test_text_is_compressed_where_it_pays(site: Site) -> None:
    with httpx.stream(
        "GET",
        f"{site.frontend.url}/pages/index.html",
        headers={"Accept-Encoding": "br, gzip"},
        trust_env=False,
        timeout=30,
    ) as response:
        raw = b"".join(response.iter_raw())
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert int(response.headers["Content-Length"]) == len(raw) < len(PAGE) / 4
    assert gzip.decompress(raw).decode() == PAGE
    tag = response.headers["ETag"]
    assert site.get("pages/index.html", Accept_Encoding="gzip", If_None_Match=tag).status_code == 304
    assert site.get("pages/index.html", If_None_Match=tag).status_code == 200, "the plain one is another"
    for path in ("pages/app.mjs", "data/numbers.bin"):
        assert "Content-Encoding" not in site.get(path, Accept_Encoding="gzip").headers, path
    assert "Content-Encoding" not in site.get("pages/index.html", Accept_Encoding="gzip;q=0").headers
    part = site.get("pages/index.html", Accept_Encoding="gzip", Range="bytes=0-3")
    assert (part.status_code, part.text) == (206, PAGE[:4])


def test_head_tells_what_get_would(site: Site) -> None:
    url = f"{site.frontend.url}/pages/index.html"
    response = httpx.head(url, headers={"Accept-Encoding": "identity"}, trust_env=False, verify=False, timeout=30)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Length"] == str(len(PAGE))


def test_nothing_outside_and_nothing_hidden_is_read(site: Site) -> None:
    for path in ("pages/.env", "pages/outward.txt", "pages/outward/secret.txt", "pages/outward", "pages/outward/"):
        response = site.get(path)
        assert response.status_code in (403, 404), path
        assert SECRET not in response.text
        assert str(site.folder) not in response.text


@pytest.mark.parametrize("path", FORGED_PATHS)
async def test_forged_paths_read_nothing(site: Site, path: str) -> None:
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        answer = await raw_request(site.frontend.address, method, f"/lab.x/pages/{path}")
        status = int(answer.split(maxsplit=2)[1])
        assert 300 <= status < 500, answer[:200]
        assert SECRET.encode() not in answer
        assert b"Traceback" not in answer
        assert str(site.folder).encode() not in answer
    assert "Traceback" not in site.frontend.output


def test_other_methods_are_refused(site: Site) -> None:
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        response = httpx.request(
            method, f"{site.frontend.url}/pages/index.html", trust_env=False, verify=False, timeout=30
        )
        assert response.status_code == 405, method
    assert (site.pages / "index.html").read_text() == PAGE
