"""The kinds of `auth`: each makes a grant of what a caller shows, or does not.

Rules:
- Whatever is doubtful is no grant. Why is logged, without the token, and told to nobody.
- A file that cannot be read at the start is an error; one that cannot be read again leaves what was known before.
"""

import asyncio
import hashlib
import importlib
import inspect
import logging
import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol, TypeGuard, cast

import jwt
import msgspec

from wispy.config.schema import AuthConfig, JwtConfig, ProxyAuthConfig
from wispy.errors import StartError
from wispy.frontend.auth.credentials import Credentials
from wispy.frontend.auth.key_files import VerifyingKey, read_keys
from wispy.protocol.identity import Bearer, Identity

log = logging.getLogger("wispy.frontend")

MAX_NAME: Final = 256
"""Characters of a user's or a role's name: it travels with every block of requests."""

MAX_ROLES: Final = 64
"""Roles of a user, for the same reason."""


MAX_CHECKS: Final = 64
"""Checks at the same time: the user's function may ask a database, and each sync one takes a thread."""


class Grant(msgspec.Struct, frozen=True):
    """Who a caller is, and until when that counts."""

    identity: Identity
    until: float = math.inf
    """Unix seconds."""

    @property
    def bearer(self) -> Bearer:
        """What goes to workers."""
        assert self.identity.user is not None
        expires_ms = 0 if self.until == math.inf else int(self.until * 1000)
        return Bearer(self.identity.user, tuple(sorted(self.identity.roles)), expires_ms)


class User(msgspec.Struct, frozen=True):
    """What a function of `auth.function` returns for somebody whom it knows."""

    name: str
    roles: tuple[str, ...] | list[str] | set[str] | frozenset[str] = ()
    expires: float | None = None
    """Unix seconds; None: it is asked again at each `auth.recheck`, and not otherwise."""


class Verifier(Protocol):
    """One kind of `auth`."""

    is_rechecked: bool
    """Whether the answer may change before the grant ends."""

    async def verify(self, credentials: Credentials) -> Grant | None:
        """Who shows this; None if that is nobody."""
        ...

    def reload(self) -> None:
        """Read again what lies in a file; in a thread."""
        ...


def grant_of(user: object, roles: object, until: float = math.inf) -> Grant | None:
    """A grant for a name and roles that came from elsewhere; None where they are none."""
    if not _is_name(user) or not isinstance(roles, list | tuple | set | frozenset):
        return None
    listed = cast("list[object]", list(cast("Any", roles)))
    names = [role for role in listed if _is_name(role)]
    if len(names) != len(listed) or len(names) > MAX_ROLES:
        return None
    return Grant(Identity(user, frozenset(names)), until)


def _is_name(value: object) -> TypeGuard[str]:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates: it could not be sent to workers
        return False
    return True


# --- tokens -----------------------------------------------------------------------------------------------------------


class TokenUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One user in the file of `auth.tokens`."""

    sha256: list[str]
    """Of his tokens, in hexadecimal: more than one while he changes from one to the next."""
    roles: list[str] = []


def digest_of(token: str) -> str:
    """What a file keeps of a token. No salt and no stretching: a token has 256 bits, nobody can guess it."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


class StaticTokens:
    """`auth.kind: tokens`.

    Args:
        file: with the users.

    Raises:
        StartError: it cannot be read.
    """

    is_rechecked = True

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._grants = self._read()

    async def verify(self, credentials: Credentials) -> Grant | None:
        # A dict may tell by its time how much of a digest is right; of a digest nobody can choose the parts.
        return None if credentials.token is None else self._grants.get(digest_of(credentials.token))

    def reload(self) -> None:
        try:
            self._grants = self._read()
        except StartError as error:
            log.error("the tokens that were known before stay: %s", error)

    def _read(self) -> dict[str, Grant]:
        try:
            users = msgspec.yaml.decode(self._file.read_bytes(), type=dict[str, TokenUser])
        except OSError as error:
            raise StartError(f"auth.tokens = {self._file}: cannot be read: {error.strerror}") from error
        except msgspec.MsgspecError as error:
            raise StartError(f"auth.tokens = {self._file}: {error}; `wispy token NAME` shows an entry") from error
        grants: dict[str, Grant] = {}
        for name, user in users.items():
            grant = grant_of(name, user.roles)
            if grant is None:
                raise StartError(f"auth.tokens = {self._file}: {name!r} has an impossible name or roles")
            for digest in map(str.lower, user.sha256):
                if len(digest) != 64 or digest in grants:
                    raise StartError(f"auth.tokens = {self._file}: {name!r} has a digest that is none, or another's")
                grants[digest] = grant
        return grants


# --- JWT --------------------------------------------------------------------------------------------------------------


class JwtTokens:
    """`auth.kind: jwt`.

    Args:
        config: of it.

    Raises:
        StartError: the keys cannot be read.
    """

    is_rechecked = True
    """A key may be withdrawn."""

    def __init__(self, config: JwtConfig) -> None:
        assert config.keys is not None
        self._config = config
        self._file = Path(config.keys)
        self._keys = read_keys(self._file, config.algorithms)

    async def verify(self, credentials: Credentials) -> Grant | None:
        if credentials.token is None:
            return None
        try:
            claims = self._claims_of(credentials.token)
        except (jwt.PyJWTError, RecursionError) as error:
            log.info("a token of %s is not good: %s", credentials.remote, error)
            return None
        roles = claims.get(self._config.roles_claim, [])
        until = float(claims["exp"]) + float(self._config.leeway)
        user = claims.get(self._config.user_claim)
        grant = grant_of(user, roles.split() if isinstance(roles, str) else roles, until)
        if grant is None:
            claimed = f"its {self._config.user_claim} is no user's name, or its {self._config.roles_claim} are no roles"
            log.info("a token of %s is not good: %s", credentials.remote, claimed)
        return grant

    def _claims_of(self, token: str) -> dict[str, Any]:
        """What a token says, if one of the keys that fit it has signed it.

        Raises:
            PyJWTError: it is not good.
        """
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        fitting = [key for key in self._keys if key.fits(header.get("kid"), algorithm)]
        for key in fitting:
            try:
                return self._decode(token, key, cast(str, algorithm))
            except jwt.InvalidSignatureError:
                continue  # of keys without names it may be another one
        raise jwt.InvalidSignatureError(f"{len(fitting)} keys fit it, and none has signed it")

    def _decode(self, token: str, key: VerifyingKey, algorithm: str) -> dict[str, Any]:
        config = self._config
        return jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],  # one of the key's own
            issuer=config.issuer,
            audience=config.audience,
            leeway=float(config.leeway),
            options={
                "require": ["exp"],
                "verify_aud": config.audience is not None,
                "verify_iss": config.issuer is not None,
            },
        )

    def reload(self) -> None:
        try:
            self._keys = read_keys(self._file, self._config.algorithms)
        except StartError as error:
            log.error("the keys that were known before stay: %s", error)


# --- proxy ------------------------------------------------------------------------------------------------------------


class ProxyHeaders:
    """`auth.kind: proxy`.

    Args:
        config: of it.
    """

    is_rechecked = False

    def __init__(self, config: ProxyAuthConfig) -> None:
        self._user = config.user_header.lower()
        self._roles = config.roles_header.lower()
        self._lifetime_s = float(config.lifetime)

    async def verify(self, credentials: Credentials) -> Grant | None:
        if not credentials.is_from_proxy:
            return None
        roles = [role.strip() for role in credentials.headers.get(self._roles, "").split(",") if role.strip()]
        return grant_of(credentials.headers.get(self._user), roles, time.time() + self._lifetime_s)

    def reload(self) -> None:
        """There is no file."""


# --- a function of the user's ---------------------------------------------------------------------------------------


class FunctionAuth:
    """`auth.kind: function`.

    Args:
        place: `module:function`.
        timeout_s: seconds within which it has to answer.

    Raises:
        StartError: there is no such function.
    """

    is_rechecked = True

    def __init__(self, place: str, timeout_s: float) -> None:
        module, _, name = place.partition(":")
        if "" not in sys.path:
            sys.path.insert(0, "")  # as the objects' modules are found
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise StartError(f"auth.function = {place}: {error}") from error
        if not callable(function):
            raise StartError(f"auth.function = {place}: is not a function")
        self._function: Callable[[Credentials], Any] = function
        self._is_async = inspect.iscoroutinefunction(function)
        # Of its own: the loop's are few more than the machine has cores. Checks that waited for one would not be done
        # in time, and uploads would wait for a database that hangs.
        self._threads = ThreadPoolExecutor(MAX_CHECKS, "wispy-auth")
        self._timeout_s = timeout_s

    async def verify(self, credentials: Credentials) -> Grant | None:
        async with asyncio.timeout(self._timeout_s):
            if self._is_async:
                user = await self._function(credentials)
            else:
                loop = asyncio.get_running_loop()
                user = await loop.run_in_executor(self._threads, self._function, credentials)
        if user is None:
            return None
        if not isinstance(user, User):
            raise TypeError(f"auth.function must return a wispy.User or None, and returned {type(user).__name__}")
        grant = grant_of(user.name, user.roles, math.inf if user.expires is None else user.expires)
        if grant is None:
            raise ValueError("auth.function returned a user with an impossible name or roles")
        return grant

    def reload(self) -> None:
        """There is no file."""


def verifier_of(config: AuthConfig) -> Verifier | None:
    """What checks callers; None where they need not say who they are.

    Raises:
        StartError: what the kind needs is not there.
    """
    match config.kind:
        case "none":
            return None
        case "tokens":
            return StaticTokens(_needed(config.tokens, "auth.tokens"))
        case "jwt":
            _needed(config.jwt.keys, "auth.jwt.keys")
            return JwtTokens(config.jwt)
        case "proxy":
            return ProxyHeaders(config.proxy)
        case "function":
            return FunctionAuth(_needed(config.function, "auth.function"), float(config.function_timeout))


def _needed(value: str | None, key: str) -> str:
    if value is None:
        raise StartError(f"auth.kind needs {key}")
    return value
