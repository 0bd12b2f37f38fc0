"""Reads the public keys that JWTs are checked with: a JWKS, or PEM blocks.

Rules:
- A key says with which algorithms it may be used; what a token claims is not asked. So nobody can use the text of a
  public key as a secret.
- A key in PEM format has no name: it may be the one that a token means, whatever the token calls it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt

from wispy.errors import StartError

MAX_KEYS: Final = 64
"""Keys in a file: a token that names none is tried with each, at some 100 us. Issuers have two to ten."""

_BEGIN: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)

_OF_CURVE: Final = {"secp256r1": ("ES256",), "secp384r1": ("ES384",)}

_OF_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """One key that signatures are checked with."""

    name: str | None
    """Its `kid`; None: it has none, and fits every token."""
    algorithms: tuple[str, ...]
    key: Any
    """As PyJWT takes it."""

    def fits(self, name: object, algorithm: object) -> bool:
        """Whether a token that names this key and this algorithm may be checked with it."""
        return algorithm in self.algorithms and (name is None or self.name is None or name == self.name)


def read_keys(file: Path, accepted: tuple[str, ...]) -> list[VerifyingKey]:
    """The keys in a file, as far as they are for one of the accepted algorithms, and for those alone.

    Raises:
        StartError: there are none, or it cannot be read.
    """
    place = f"auth.jwt.keys = {file}"
    try:
        text = file.read_text()
        keys = _from_pem(text) if "-----BEGIN" in text else _from_jwks(text)
    except OSError as error:
        raise StartError(f"{place}: cannot be read: {error.strerror}") from error
    except ImportError as error:
        raise StartError(f"{place}: needs a package more: pip install cryptography") from error
    except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartError(f"{place}: holds neither a JWKS nor public keys in PEM format: {error}") from error
    if len(keys) > MAX_KEYS:
        raise StartError(f"{place}: has more than {MAX_KEYS} keys")
    limited = [
        VerifyingKey(key.name, tuple(each for each in key.algorithms if each in accepted), key.key) for key in keys
    ]
    good = [key for key in limited if key.algorithms]
    if not good:
        raise StartError(f"{place}: no key is for one of auth.jwt.algorithms")
    return good


def _from_jwks(text: str) -> list[VerifyingKey]:
    return [VerifyingKey(key.key_id, (key.algorithm_name,), key.key) for key in jwt.PyJWKSet.from_json(text).keys]


def _from_pem(text: str) -> list[VerifyingKey]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    keys: list[VerifyingKey] = []
    for block in _BEGIN.finditer(text):
        if "PRIVATE" in block[1]:
            raise ValueError("there is a private key: who checks needs the public one alone (openssl pkey -pubout)")
        if not block[1].endswith("PUBLIC KEY"):
            raise ValueError(f"there is a {block[1]}, which is no public key")
        try:
            key = serialization.load_pem_public_key(block[0].encode())
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from error
        keys.append(VerifyingKey(None, _algorithms_of(key), key))
    if not keys:
        raise ValueError("no block of it is whole")
    return keys


def _algorithms_of(key: object) -> tuple[str, ...]:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, RSAPublicKey):
        return _OF_RSA
    if isinstance(key, Ed25519PublicKey):
        return ("EdDSA",)
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _OF_CURVE:
        return _OF_CURVE[key.curve.name]
    raise ValueError("there is a key that is neither RSA, nor P-256, P-384 or Ed25519")
