"""Files of public keys: what is taken from them, and what is refused with its reason."""

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from wispy.errors import StartError
from wispy.frontend.auth.key_files import MAX_KEYS, read_keys

DEFAULT = ("RS256", "ES256", "EdDSA")
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(private: Any) -> str:
    public = private.public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, form).decode()


def write(folder: Path, text: str) -> Path:
    file = folder / "keys"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("private", "accepted", "algorithms"),
    [
        (RSA, DEFAULT, ("RS256",)),
        (RSA, ("PS256", "RS512"), ("RS512", "PS256")),
        (ec.generate_private_key(ec.SECP256R1()), DEFAULT, ("ES256",)),
        (ec.generate_private_key(ec.SECP384R1()), ("ES256", "ES384"), ("ES384",)),
        (ed25519.Ed25519PrivateKey.generate(), DEFAULT, ("EdDSA",)),
    ],
)
def test_a_pem_key_is_for_the_algorithms_of_its_kind(
    tmp_path: Path, private: Any, accepted: tuple[str, ...], algorithms: tuple[str, ...]
) -> None:
    (key,) = read_keys(write(tmp_path, pem(private)), accepted)
    assert (key.name, key.algorithms) == (None, algorithms)
    assert key.fits(None, algorithms[0])
    assert key.fits("any name", algorithms[0])
    for other in ("none", "HS256", "", None, "ES512"):
        assert not key.fits(None, other)


def test_a_file_may_have_several_with_text_between(tmp_path: Path) -> None:
    text = f"the old one\n{pem(RSA)}\nthe new one\r\n{pem(ed25519.Ed25519PrivateKey.generate())}"
    assert [key.algorithms for key in read_keys(write(tmp_path, text), DEFAULT)] == [("RS256",), ("EdDSA",)]


def test_a_jwks_names_its_keys(tmp_path: Path) -> None:
    public = jwt.get_algorithm_by_name("RS256").to_jwk(RSA.public_key(), as_dict=True)
    text = json.dumps({"keys": [{**public, "kid": "k1", "alg": "RS512"}, {**public, "kid": "k2", "alg": "RS256"}]})
    (key,) = read_keys(write(tmp_path, text), DEFAULT)
    assert (key.name, key.algorithms) == ("k2", ("RS256",))
    assert key.fits("k2", "RS256")
    assert key.fits(None, "RS256")
    assert not key.fits("k1", "RS256")
    assert not key.fits(["k2"], "RS256")


PRIVATE = RSA.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


# SEQUENCE { SEQUENCE { OID 1.2.3.4 } BIT STRING }
DER = base64.b64encode(bytes.fromhex("300b300506032a0304030200ff")).decode()
UNKNOWN = f"-----BEGIN PUBLIC KEY-----\n{DER}\n-----END PUBLIC KEY-----"
"""A key of a kind that the library does not know."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "neither a JWKS nor"),
        ("[]", "neither a JWKS nor"),
        ('{"keys": []}', "neither a JWKS nor"),
        ('{"keys": 5}', "neither a JWKS nor"),
        ("-----BEGIN PUBLIC KEY-----", "no block of it is whole"),
        ("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "neither a JWKS nor"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "which is no public key"),
        (PRIVATE, "there is a private key"),
        (pem(RSA) + PRIVATE, "there is a private key"),
        (pem(dsa.generate_private_key(1024)), "neither RSA, nor"),
        (pem(ec.generate_private_key(ec.SECP521R1())), "neither RSA, nor"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "no key is for one of auth.jwt.algorithms"),
        (pem(RSA) * (MAX_KEYS + 1), "more than 64 keys"),
        (UNKNOWN, "neither a JWKS nor"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StartError) as caught:
        read_keys(write(tmp_path, text), DEFAULT)
    assert said in str(caught.value)
    assert str(caught.value).startswith("auth.jwt.keys = ")
    assert len(str(caught.value)) < 500


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read: No such file"):
        read_keys(tmp_path / "none", DEFAULT)
