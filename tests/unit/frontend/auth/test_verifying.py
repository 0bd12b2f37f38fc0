"""The kinds of `auth`: who gets a grant, and who does not."""

import asyncio
import base64
import hmac
import json
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from wispy.config.schema import AuthConfig, JwtConfig, ProxyAuthConfig
from wispy.config.units import Seconds
from wispy.errors import StartError
from wispy.frontend.auth.credentials import Credentials
from wispy.frontend.auth.verifying import (
    MAX_CHECKS,
    MAX_NAME,
    MAX_ROLES,
    Grant,
    JwtTokens,
    ProxyHeaders,
    StaticTokens,
    User,
    digest_of,
    grant_of,
    verifier_of,
)
from wispy.protocol.identity import Identity


@pytest.mark.parametrize(
    ("user", "roles"),
    [
        (None, []),
        ("", []),
        (5, []),
        (["alice"], []),
        ("x" * (MAX_NAME + 1), []),
        ("alice", None),
        ("alice", "operator"),
        ("alice", {"operator": True}),
        ("alice", [""]),
        ("alice", [5]),
        ("alice", [["operator"]]),
        ("alice", ["x" * (MAX_NAME + 1)]),
        ("alice", [str(number) for number in range(MAX_ROLES + 1)]),
    ],
)
def test_what_is_doubtful_is_no_grant(user: Any, roles: Any) -> None:
    assert grant_of(user, roles) is None


def test_a_grant_goes_to_workers_with_its_end() -> None:
    grant = grant_of("alice", {"b", "a"}, 12.5)
    assert grant is not None
    assert (grant.bearer.user, grant.bearer.roles, grant.bearer.expires_ms) == ("alice", ("a", "b"), 12500)
    endless = grant_of("alice", ())
    assert endless is not None
    assert endless.bearer.expires_ms == 0


# --- tokens -----------------------------------------------------------------------------------------------------------


def tokens_file(folder: Path, users: Any) -> Path:
    file = folder / "tokens.yaml"
    file.write_text(users if isinstance(users, str) else json.dumps(users))
    return file


async def test_each_of_a_users_tokens_is_his(tmp_path: Path) -> None:
    digests = [digest_of("old"), digest_of("new").upper()]
    tokens = StaticTokens(str(tokens_file(tmp_path, {"alice": {"sha256": digests, "roles": ["operator"]}})))
    for token in ("old", "new"):
        assert await tokens.verify(Credentials(token)) == Grant(Identity("alice", frozenset({"operator"})))
    for token in (None, "", "older", digest_of("old"), "old\ud800"):
        assert await tokens.verify(Credentials(token)) is None


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ("alice: [", "tokens.yaml"),
        ({"alice": {"roles": []}}, "sha256"),
        ({"alice": {"sha256": [], "rolls": []}}, "rolls"),
        ({"alice": {"sha256": ["abc"]}}, "a digest that is none"),
        ({"": {"sha256": []}}, "impossible name"),
        ({"alice": {"sha256": [], "roles": [""]}}, "impossible name or roles"),
        ({name: {"sha256": [digest_of("same")]} for name in ("alice", "bob")}, "or another's"),
        (
            {name: {"sha256": [text]} for name, text in (("a", digest_of("x")), ("b", digest_of("x").upper()))},
            "another",
        ),
    ],
)
def test_a_file_that_cannot_be_meant_is_an_error(tmp_path: Path, users: Any, said: str) -> None:
    with pytest.raises(StartError, match=r"auth\.tokens = ") as caught:
        StaticTokens(str(tokens_file(tmp_path, users)))
    assert said in str(caught.value)


async def test_a_file_that_breaks_later_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tokens_file(tmp_path, {"alice": {"sha256": [digest_of("old")]}})
    tokens = StaticTokens(str(file))
    file.write_text("alice: [")
    tokens.reload()
    assert await tokens.verify(Credentials("old")) is not None
    assert "stay" in caplog.text
    file.write_text("{}")
    tokens.reload()
    assert await tokens.verify(Credentials("old")) is None


# --- JWT --------------------------------------------------------------------------------------------------------------

PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
STRANGER: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem_of(private: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, form)


def as_pem(file: Path, *algorithms: str) -> None:
    file.write_bytes(b"".join(pem_of(PRIVATE[each]) for each in algorithms))


def as_jwks(file: Path, *algorithms: str) -> None:
    rows: list[Any] = []
    for each in algorithms:
        public: Any = jwt.get_algorithm_by_name(each).to_jwk(PRIVATE[each].public_key(), as_dict=True)
        rows.append({**public, "kid": each, "alg": each})
    file.write_text(json.dumps({"keys": rows}))


def sign(algorithm: str, key: Any = None, headers: Any = None, **claims: Any) -> str:
    payload = {"sub": "alice", "exp": time.time() + 60, **claims}
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, key or PRIVATE[algorithm], algorithm=algorithm, headers=headers)


def checks(file: Path, **settings: Any) -> JwtTokens:
    return JwtTokens(JwtConfig(keys=str(file), **settings))


WRITERS: list[Callable[..., None]] = [as_pem, as_jwks]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_tokens_of_each_kind_of_key(tmp_path: Path, write: Callable[..., None], algorithm: str) -> None:
    write(tmp_path / "keys", *PRIVATE)
    tokens = checks(tmp_path / "keys")
    named = sign(algorithm, roles=["operator"], headers={"kid": algorithm})
    grant = await tokens.verify(Credentials(named))
    assert grant is not None
    assert grant.identity == Identity("alice", frozenset({"operator"}))
    assert 60 < grant.until - time.time() < 75  # with the leeway
    assert await tokens.verify(Credentials(sign(algorithm))) is not None  # it names no key
    for bad in (sign(algorithm, STRANGER[algorithm]), named[:-4] + "AAAA", named + "A", "." + named):
        assert await tokens.verify(Credentials(bad)) is None


async def test_of_keys_without_names_each_is_tried(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(pem_of(STRANGER["ES256"]) + pem_of(PRIVATE["ES256"]))
    tokens = checks(tmp_path / "keys")
    for key in (STRANGER, PRIVATE):
        assert await tokens.verify(Credentials(sign("ES256", key["ES256"], {"kid": "whatever"}))) is not None
    third = ec.generate_private_key(ec.SECP256R1())
    assert await tokens.verify(Credentials(sign("ES256", third))) is None


def forged(header: Any, payload: Any, signature: bytes = b"") -> str:
    def part(text: bytes) -> str:
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()

    texts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, payload)]
    return ".".join([*map(part, texts), part(signature)])


async def test_what_a_token_claims_of_its_algorithm_is_not_believed(tmp_path: Path) -> None:
    as_pem(tmp_path / "keys", "RS256")
    tokens = checks(tmp_path / "keys", algorithms=("RS256", "HS256"))
    payload = {"sub": "alice", "exp": time.time() + 60}
    public = pem_of(PRIVATE["RS256"])
    body = forged({"alg": "HS256", "typ": "JWT"}, payload).rpartition(".")[0]
    for token in (
        forged({"alg": "HS256", "typ": "JWT"}, payload, hmac.digest(public, body.encode(), "sha256")),
        forged({"alg": "none"}, payload),
        forged({"alg": "None"}, payload),
        forged({"alg": ["RS256"]}, payload),
        forged({"alg": "RS256", "kid": 5}, payload),
        forged({}, payload),
        forged([], payload),
        forged(b"[" * 9000, payload),
        forged(b"9" * 9000, payload),
        forged(b"\xff", payload),
        "a.b.c",
        "...",
        "",
    ):
        assert await tokens.verify(Credentials(token)) is None, token[:50]


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"nbf": 4e9},
        {"iss": "you"},
        {"iss": None},
        {"iss": "mex"},
        {"aud": "shop"},
        {"aud": None},
        {"sub": ""},
        {"sub": None},
        {"sub": "x" * 1000},
        {"sub": "half \ud83d"},
        {"roles": ["half \ud83d"]},
        {"roles": [1]},
        {"roles": {"operator": 1}},
    ],
)
async def test_claims_that_are_not_good(
    tmp_path: Path, claims: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    as_pem(tmp_path / "keys", "EdDSA")
    tokens = checks(tmp_path / "keys", issuer="me", audience="lab")
    good = {"iss": "me", "aud": ["lab", "shop"], "roles": "a b"}
    grant = await tokens.verify(Credentials(sign("EdDSA", **good)))
    assert grant is not None
    assert grant.identity.roles == {"a", "b"}
    assert await tokens.verify(Credentials(sign("EdDSA", **good | claims), remote="10.0.0.7")) is None
    assert "a token of 10.0.0.7 is not good: " in caplog.text


async def test_claims_of_other_names(tmp_path: Path) -> None:
    as_pem(tmp_path / "keys", "EdDSA")
    tokens = checks(tmp_path / "keys", user_claim="email", roles_claim="groups", leeway=Seconds(0))
    grant = await tokens.verify(Credentials(sign("EdDSA", email="a@b", groups=["x"], exp=4e9)))
    assert grant == Grant(Identity("a@b", frozenset({"x"})), 4e9)


async def test_a_key_that_is_withdrawn_is_good_for_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys"
    as_pem(file, "EdDSA", "ES256")
    tokens = checks(file)
    shown = Credentials(sign("EdDSA"))
    assert await tokens.verify(shown) is not None
    file.write_text("nonsense")
    tokens.reload()
    assert await tokens.verify(shown) is not None
    assert "stay" in caplog.text
    as_pem(file, "ES256")
    tokens.reload()
    assert await tokens.verify(shown) is None
    assert shown.token is not None
    assert shown.token not in caplog.text


# --- proxy, function, and what is missing -----------------------------------------------------------------------------


async def test_headers_of_a_proxy_count_where_it_is_one() -> None:
    proxy = ProxyHeaders(ProxyAuthConfig(user_header="X-User", roles_header="X-Roles", lifetime=Seconds(30)))
    headers = {"x-user": "dave", "x-roles": " staff ,, guests,"}
    grant = await proxy.verify(Credentials(headers=headers, is_from_proxy=True))
    assert grant is not None
    assert grant.identity == Identity("dave", frozenset({"staff", "guests"}))
    assert 20 < grant.until - time.time() <= 30
    assert await proxy.verify(Credentials(headers=headers)) is None
    assert await proxy.verify(Credentials(headers={"x-roles": "staff"}, is_from_proxy=True)) is None
    alone = await proxy.verify(Credentials(headers={"x-user": "dave"}, is_from_proxy=True))
    assert alone is not None
    assert alone.identity.roles == frozenset()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (AuthConfig(kind="tokens"), "auth.kind needs auth.tokens"),
        (AuthConfig(kind="jwt"), "auth.kind needs auth.jwt.keys"),
        (AuthConfig(kind="function"), "auth.kind needs auth.function"),
        (AuthConfig(kind="function", function="no_such_module:f"), "no_such_module"),
        (AuthConfig(kind="function", function="math:no_such"), "no_such"),
        (AuthConfig(kind="function", function="math:pi"), "is not a function"),
    ],
)
def test_what_a_kind_needs(config: AuthConfig, said: str) -> None:
    with pytest.raises(StartError, match=said):
        verifier_of(config)


def test_nobody_has_to_say_who_he_is() -> None:
    assert verifier_of(AuthConfig()) is None


async def test_a_function_may_name_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    made = types.ModuleType("made_for_this_test")
    vars(made)["who"] = lambda request: User("eve", roles={"a"}, expires=99.0)
    monkeypatch.setitem(sys.modules, "made_for_this_test", made)
    verifier = verifier_of(AuthConfig(kind="function", function="made_for_this_test:who"))
    assert verifier is not None
    assert await verifier.verify(Credentials("x")) == Grant(Identity("eve", frozenset({"a"})), 99.0)


async def test_as_many_checks_run_as_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small machine too: those that waited for a thread would not be done in time, and count as a no."""
    all_are_here = threading.Barrier(MAX_CHECKS)

    def who(request: Credentials) -> User:
        all_are_here.wait(10)
        return User(request.token or "")

    made = types.ModuleType("made_for_this_test")
    vars(made)["who"] = who
    monkeypatch.setitem(sys.modules, "made_for_this_test", made)
    verifier = verifier_of(AuthConfig(kind="function", function="made_for_this_test:who"))
    assert verifier is not None
    grants = await asyncio.gather(*[verifier.verify(Credentials(f"user {number}")) for number in range(MAX_CHECKS)])
    assert len({grant.identity.user for grant in grants if grant is not None}) == MAX_CHECKS
