"""Makes tokens: good ones, and what attackers make of them."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

GOOD_CLAIMS = {"sub": "alice", "roles": ["viewer"], "iss": "issuer", "aud": "lab", "exp": 3600}
TIMES = ("exp", "nbf", "iat")


class Issuer:
    """Who signs tokens, with two keys; and a stranger with one of his own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._stranger = ec.generate_private_key(ec.SECP256R1())
        self._rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.good = self.made({})

    def write_keys(self, file: Path) -> None:
        """The public keys, as `auth.jwt.keys` wants them."""
        keys = [
            jwk_of("ES256", self._key) | {"kid": "ec", "alg": "ES256"},
            jwk_of("RS256", self._rsa) | {"kid": "rsa", "alg": "RS256"},
        ]
        file.write_text(json.dumps({"keys": keys}))

    def made(self, row: dict[str, Any]) -> str:
        """The token of a row."""
        if "token" in row:
            return with_good(row["token"], self.good)
        header = changed({"alg": "ES256", "kid": "ec", "typ": "JWT"}, row.get("header", {}))
        if header.get("jwk") == "own":
            header["jwk"] = jwk_of("ES256", self._stranger)
        signed = part(header) + "." + part(claims_of(GOOD_CLAIMS, row.get("claims", {})))
        return f"{signed}.{base64_of(self._signature(row.get('sign', 'issuer'), signed, header))}"

    def _signature(self, sign: str, signed: str, header: dict[str, Any]) -> bytes:
        public = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        if sign == "none":
            return b""
        if sign in ("public", "empty"):
            digest = hashlib.sha512 if header["alg"] == "HS512" else hashlib.sha256
            return hmac.digest(public if sign == "public" else b"", signed.encode(), digest)
        key = self._stranger if sign == "stranger" else self._key
        if sign == "swapped":
            signed = part({"alg": "ES256", "kid": "ec"}) + "." + part(claims_of(GOOD_CLAIMS, {}))
        return jwt.get_algorithm_by_name("ES256").sign(signed.encode(), key)


def resuming_token(row: dict[str, Any], session: str, good: str, secret: str) -> str:
    """A token for going on with a session."""
    if "token" in row:
        return with_good(row["token"], good)
    own = {"sub": session, "user": None, "exp": 3600}
    named = json.loads(
        json.dumps(row.get("claims", {})).replace("{session-}", session[:-1]).replace("{session}", session)
    )
    signed = part({"alg": row.get("algorithm", "none" if row.get("sign") == "none" else "HS256"), "typ": "JWT"})
    signed += "." + part(claims_of(own, named) | ({} if "user" in named else {"user": None}))
    digest = hashlib.sha512 if row.get("algorithm") == "HS512" else hashlib.sha256
    if row.get("sign") == "none":
        return f"{signed}."
    return f"{signed}.{base64_of(hmac.digest(row.get('sign', secret).encode(), signed.encode(), digest))}"


def with_good(text: str, good: str) -> str:
    return text.replace("{good-}", good[:-4]).replace("{good}", good)


def jwk_of(algorithm: str, key: Any) -> dict[str, Any]:
    return dict(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True))


def claims_of(good: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Claims whose times are counted from now."""
    claims = changed(good, new)
    now = int(time.time())
    return {name: now + value if name in TIMES and isinstance(value, int) else value for name, value in claims.items()}


def changed(good: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**good, **new}.items() if value is not None}


def part(members: dict[str, Any]) -> str:
    return base64_of(json.dumps(members).encode())


def base64_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
