"""Who may use what is served."""

from typing import Annotated, Literal

from msgspec import Meta

from wispy.config import checks
from wispy.config.sections.base import LARGEST_BYTES, Duration, Section, about
from wispy.config.units import Bytes, Seconds

JwtAlgorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256"]


class JwtConfig(Section, frozen=True):
    """Tokens that another service has signed (`auth.kind: jwt`)."""

    keys: Annotated[
        str | None,
        about("file with the public keys: a JWKS (JSON), or in PEM format; it is read again at each `recheck`"),
    ] = None
    algorithms: Annotated[
        tuple[JwtAlgorithm, ...], about("signatures that are accepted; HS256 only with a JWKS that holds its key")
    ] = ("RS256", "ES256", "EdDSA")
    issuer: Annotated[str | None, about("who must have issued a token (`iss`)")] = None
    audience: Annotated[str | None, about("whom a token must be for (`aud`)")] = None
    # Clocks that are kept by NTP differ by less than a second; a minute is the custom.
    leeway: Annotated[
        Annotated[Seconds, Meta(ge=0, le=600)], about("how far clocks may differ, for the times in a token")
    ] = Seconds(10)
    user_claim: Annotated[str, about("the claim that names the user")] = "sub"
    roles_claim: Annotated[str, about("the claim with the user's roles: a list, or a text with spaces between")] = (
        "roles"
    )


class ProxyAuthConfig(Section, frozen=True):
    """A proxy that has logged the user in and says who it is (`auth.kind: proxy`)."""

    user_header: Annotated[str, about("header with the user's name, believed from `trusted_proxies` only")] = (
        "X-Forwarded-User"
    )
    roles_header: Annotated[str, about("header with the user's roles, with commas between")] = "X-Forwarded-Groups"
    lifetime: Annotated[
        Duration, about("after this long a websocket is closed, so that its client comes through the proxy again")
    ] = Seconds(3600)


class AuthConfig(Section, frozen=True):
    """Who may use what is served. Workers need the same section: one that has it runs nothing else."""

    kind: Annotated[
        Literal["none", "tokens", "jwt", "proxy", "function"],
        about("how callers say who they are: not at all, or by what the key of the same name is about"),
    ] = "none"
    tokens: Annotated[
        str | None,
        about(
            "YAML file of users, each with `sha256`, the hashes of his tokens, and `roles`; `wispy token` makes an "
            "entry; it is read again at each `recheck`"
        ),
    ] = None
    jwt: JwtConfig = JwtConfig()
    proxy: ProxyAuthConfig = ProxyAuthConfig()
    function: Annotated[
        str | None,
        about(
            "`module:function` of yours: it gets a request with `token`, `headers` and `remote`, and returns None or a "
            "`wispy.User`; it may be async",
            checks.function,
        ),
    ] = None
    function_timeout: Annotated[Duration, about("the function must have answered after this long")] = Seconds(5)
    cookie: Annotated[
        str | None, about("name of a cookie that may hold the token; it counts only with an Origin", checks.cookie)
    ] = None
    status_roles: Annotated[
        tuple[str, ...] | None,
        about("roles of which a caller needs one to see others' sessions and denials in `rpc.status`; null: all may"),
    ] = ("admin",)
    # Long enough for a page to fetch a token from elsewhere, short enough that nobodies do not fill the connections.
    login_time: Annotated[
        Annotated[Seconds, Meta(ge=0.1, le=600)],
        about("a websocket that has not said who it is after this long is closed"),
    ] = Seconds(10)
    # One out of date, one mistyped, and some patience.
    failed_logins: Annotated[
        Annotated[int, Meta(ge=1, le=1000)],
        about("a websocket that has shown so many tokens that are no good is closed"),
    ] = 5
    # The longest token with room to spare. It is kept, for each who has not logged in, and read as JSON.
    login_size: Annotated[
        Annotated[Bytes, Meta(ge=32 << 10, le=LARGEST_BYTES)],
        about("largest message of a websocket that has not said who it is; `websocket_max_message_size` comes after"),
    ] = Bytes(64 << 10)
    recheck: Annotated[
        Annotated[Seconds, Meta(ge=0.1, le=86400)],
        about("how often it is looked whether what was shown is still good: revoked tokens, the function's users"),
    ] = Seconds(60)

    @property
    def is_on(self) -> bool:
        """Whether callers have to say who they are."""
        return self.kind != "none"
