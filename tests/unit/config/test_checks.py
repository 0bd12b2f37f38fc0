from collections.abc import Callable
from typing import Any

import pytest

from wispy.config import checks


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (checks.base_path, ""),
        (checks.base_path, "/test"),
        (checks.base_path, "/lab/microscope-2"),
        (checks.route, "wispyjs"),
        (checks.route, "js/wispy"),
        (checks.address, ""),
        (checks.address, "0.0.0.0"),
        (checks.address, "::1"),
        (checks.address, "localhost"),
        (checks.redis_url, "redis://localhost"),
        (checks.redis_url, "redis://user:pass@host:6379/1"),
        (checks.redis_url, "rediss://host"),
        (checks.redis_url, "unix:///run/valkey.sock?db=2"),
        (checks.redis_url, "redis:///3"),
        (checks.object_name, "sample"),
        (checks.redis_prefix, "lab-3:"),
        (checks.redis_prefix, ""),
        (checks.secret, "0123456789abcdef"),
        (checks.origins, ("https://lab.example.org", "http://localhost:8080", "http://[::1]:80")),
        (checks.hosts, ("lab.example.org", "10.0.0.1", "::1")),
        (checks.folders, "./static"),
        (checks.folders, ("static", "../files/")),
        (checks.folders, {"a/b": ".", "c": "/srv/c"}),
        (checks.folders, {}),
        (checks.host, "0.0.0.0"),
        (checks.header_text, None),
        (checks.policy, "default-src 'self'"),
        (checks.headers, {"Permissions-Policy": "camera=()", "Strict-Transport-Security": "max-age=1"}),
        (checks.networks, ("10.0.0.0/8", "::1", "192.0.2.7", "2001:db8::/32")),
        (checks.homepage, "static/index.html?a=1#top"),
        (checks.homepage, "/console/"),
        (checks.filetypes, "all"),
        (checks.filetypes, ("png", ".TXT", "tar.gz")),
        (checks.path_patterns, ("*/server/uploads/*.png", "/srv/*", "C:/data/*", "[/]srv/?")),
    ],
)
def test_possible(check: Callable[[Any], str | None], value: Any) -> None:
    assert check(value) is None


@pytest.mark.parametrize(
    ("check", "value", "reason"),
    [
        (checks.base_path, "test", "start with '/'"),
        (checks.host, "", "null for none"),
        (checks.host, "lab:80", "without a port"),
        (checks.networks, ("proxy.example",), "IP address or a network"),
        (checks.networks, ("10.0.0.1/8",), "host bits"),
        (checks.header_text, "a\r\nSet-Cookie: b", "one line"),
        (checks.header_text, "ä", "one line of ASCII"),
        (checks.policy, " ", "must say something"),
        (checks.headers, {"A b": "c"}, "name of a header"),
        (checks.headers, {"": "c"}, "name of a header"),
        (checks.headers, {"Content-Length": "5"}, "written by wispy"),
        (checks.headers, {"content-security-policy": "x"}, "written by wispy"),
        (checks.headers, {"A": "b\nc"}, "A must be one line"),
        (checks.homepage, "https://evil.example", "below base_path"),
        (checks.homepage, "//evil.example", "below base_path"),
        (checks.homepage, "a\r\nX: y", "below base_path"),
        (checks.filetypes, ("*.png",), "such as png"),
        (checks.filetypes, ("image/png",), "such as png"),
        (checks.path_patterns, ("uploads/*.png",), "begin it with"),
        (checks.path_patterns, ("C:\\data\\*",), "written with '/'"),
        (checks.base_path, "/test/", "not end with '/'"),
        (checks.base_path, "/", "empty"),
        (checks.base_path, "/a//b", "plain path"),
        (checks.base_path, "/a/../b", "plain path"),
        (checks.base_path, "/a b", "plain path"),
        (checks.base_path, "/(.*)", "plain path"),
        (checks.route, "/wispyjs", "plain path"),
        (checks.route, "../wispyjs", "plain path"),
        (checks.route, "", "plain path"),
        (checks.address, "0.0.0.0:80", "port"),
        (checks.address, "http://host", "IP address"),
        (checks.redis_url, "localhost:6379", "redis://"),
        (checks.redis_url, "redis://host/first", "number"),
        (checks.redis_url, "unix:///s?db=x", "number"),
        (checks.redis_url, "unix://run/valkey.sock", "absolute"),
        (checks.redis_url, "redis://host:99999", "as port"),
        (checks.redis_url, "unix://", "socket"),
        (checks.redis_prefix, "wispy:{a}", "braces"),
        (checks.object_name, "", "name"),
        (checks.object_name, "a.b", "name"),
        (checks.secret, "short", "16"),
        (checks.origins, ("https://lab.example.org/",), "origin"),
        (checks.origins, ("lab.example.org",), "origin"),
        (checks.origins, ("*",), "origin"),
        (checks.origins, ("null",), "origin"),
        (checks.origins, ("https://a:port",), "origin"),
        (checks.hosts, ("http://host",), "host name"),
        (checks.hosts, ("Host",), "lower case"),
        (checks.hosts, ("",), "host name"),
        (checks.hosts, ("host:80",), "without a port"),
        (checks.folders, ".", "name"),
        (checks.folders, ("a/x", "b/x"), "same name"),
        (checks.folders, {"/a": "b"}, "route"),
        (checks.folders, {"a": ""}, "empty"),
    ],
)
def test_impossible(check: Callable[[Any], str | None], value: Any, reason: str) -> None:
    said = check(value)
    assert said is not None
    assert reason in said
