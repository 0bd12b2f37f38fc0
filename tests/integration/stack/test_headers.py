"""What answers tell browsers, over the wire."""

import http.client
import json
from pathlib import Path
from typing import Any

import httpx

from tests.integration.stack.conftest import MakeStack
from tests.support.stack import Frontend
from wispy.config.sections.headers import CONSOLE_POLICY, PAGES_POLICY

POLICY = "Content-Security-Policy"
DATA = "default-src 'none'; frame-ancestors 'none'"


def start(make_stack: MakeStack, folder: Path, **config: Any) -> Frontend:
    (folder / "page.html").write_text("<!DOCTYPE html><script>1</script>")
    given = {"static.folders": f"{{static: {folder}}}", "console": "true", "metrics": "true", **config}
    return make_stack().frontend(**given)


def policy(frontend: Frontend, path: str, status: int = 200) -> str | None:
    answer = httpx.get(f"{frontend.url}/{path}", trust_env=False, timeout=30)
    assert answer.status_code == status, path
    assert answer.headers["X-Content-Type-Options"] == "nosniff", path
    assert answer.headers["Referrer-Policy"] == "same-origin", path
    return answer.headers.get(POLICY)


def test_pages_may_have_scripts_inside_and_the_rest_may_have_none(make_stack: MakeStack, tmp_path: Path) -> None:
    frontend = start(make_stack, tmp_path)
    assert policy(frontend, "static/page.html") == policy(frontend, "wispyjs/rpc.js") == PAGES_POLICY
    assert "script" not in PAGES_POLICY
    assert policy(frontend, "console/") == policy(frontend, "console/rpc.js") == CONSOLE_POLICY
    landing = policy(frontend, "")
    assert landing is not None
    assert landing.startswith("default-src 'none'; script-src 'self'; style-src 'sha256-")
    for path in ("openrpc.json", "healthz", "metrics"):
        assert policy(frontend, path) == DATA, path
    assert policy(frontend, "absent", 404) == DATA
    assert policy(frontend, "console", 302) == DATA
    answer = frontend.post_text("{}", Origin="http://evil.example")
    assert (answer.status_code, answer.headers[POLICY]) == (403, DATA)


def test_they_can_be_chosen(make_stack: MakeStack, tmp_path: Path) -> None:
    more = {"headers.more": json.dumps({"Permissions-Policy": "camera=()"})}
    strict = "default-src 'self'"
    frontend = start(make_stack, tmp_path, **{"headers.policy": strict, "headers.console_policy": "img-src *", **more})
    assert policy(frontend, "static/page.html") == strict
    assert policy(frontend, "console/") == "img-src *"
    for path in ("static/page.html", "healthz", "absent", "console"):
        assert (
            httpx.get(f"{frontend.url}/{path}", trust_env=False, timeout=30).headers["Permissions-Policy"]
            == "camera=()"
        ), path
    assert policy(start(make_stack, tmp_path, **{"headers.policy": "null"}), "static/page.html") is None


def test_a_foreign_host_is_refused_everywhere(make_stack: MakeStack, tmp_path: Path) -> None:
    frontend = start(make_stack, tmp_path)
    for path in ("", "static/page.html", "wispyjs/rpc.js", "console", "console/", "openrpc.json", "healthz", "absent"):
        answer = httpx.get(f"{frontend.url}/{path}", headers={"Host": "evil.example"}, trust_env=False, timeout=30)
        assert answer.status_code == 421, path


def test_an_answer_says_whether_the_connection_goes_on(make_stack: MakeStack, tmp_path: Path) -> None:
    """A client that goes on over one that is about to be closed gets no answer."""
    frontend = start(make_stack, tmp_path)
    connection = http.client.HTTPConnection(frontend.address, timeout=30)
    for path, method, host, status, goes_on in [
        ("/healthz", "GET", frontend.address, 200, True),
        ("/absent", "GET", frontend.address, 404, True),
        ("/static/absent", "HEAD", frontend.address, 404, True),
        ("/healthz", "GET", "evil.example", 421, False),
        ("/static/page.html", "HEAD", "evil.example", 421, False),
    ]:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.headers["Connection"]) == (status, None if goes_on else "close"), (path, method)
    connection.close()


def test_who_asks_for_the_head_alone_gets_it_and_a_wrong_method_is_told_the_right_ones(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    frontend = start(make_stack, tmp_path, **{"upload.folders": f"{{uploads: {tmp_path}}}"})
    for path in ("", "healthz", "readyz", "openrpc.json", "metrics", "console/", "static/page.html", "uploads/"):
        url = f"{frontend.url}/{path}"
        head = httpx.head(url, trust_env=False, timeout=30)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["Content-Type"] == httpx.get(url, trust_env=False, timeout=30).headers["Content-Type"]
        assert int(head.headers["Content-Length"]) > 0, path
        refused = httpx.delete(url, trust_env=False, timeout=30)
        allowed = "GET, HEAD, POST, PUT" if path == "uploads/" else "GET, HEAD"
        assert (refused.status_code, refused.headers["Allow"]) == (405, allowed), path
    with httpx.Client(trust_env=False, timeout=30) as client:
        for method in ("GET", "PUT", "OPTIONS"):
            refused = client.request(method, f"{frontend.url}/rpc", content=b"{}")
            assert (refused.status_code, refused.headers["Allow"]) == (405, "POST"), method
            assert "close" not in refused.headers.get("Connection", ""), "the next request may come"
