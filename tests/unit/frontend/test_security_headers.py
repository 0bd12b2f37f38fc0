"""What each kind of answer tells browsers."""

from wispy.config.schema import HeadersConfig
from wispy.frontend.security_headers import headers_of

POLICY = "Content-Security-Policy"


def test_each_kind_has_its_policy() -> None:
    made = headers_of(HeadersConfig(policy="a", console_policy="b", referrer_policy="origin"), "c")
    assert {kind: dict(pairs)[POLICY] for kind, pairs in made.items()} == {
        "data": "default-src 'none'; frame-ancestors 'none'",
        "page": "a",
        "console": "b",
        "landing": "c",
    }
    for pairs in made.values():
        assert dict(pairs)["X-Content-Type-Options"] == "nosniff"
        assert dict(pairs)["Referrer-Policy"] == "origin"


def test_pages_may_have_none_and_all_may_have_more() -> None:
    made = headers_of(HeadersConfig(policy=None, more={"X-Content-Type-Options": "x", "A": "b"}), "c")
    assert POLICY not in dict(made["page"])
    assert POLICY in dict(made["console"])
    assert all(dict(pairs)["A"] == "b" and dict(pairs)["X-Content-Type-Options"] == "x" for pairs in made.values())
