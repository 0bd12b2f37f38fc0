"""The functions of `auth.function` in `auth/test_tokens.py`."""

import asyncio
import time

from wispy import AuthRequest, User

SLOW_S = 4
"""More than the tests have the function take."""

_brief = time.monotonic()


def of_token(request: AuthRequest) -> User | None:
    """Knows everybody who gives a name, but a few."""
    match request.token:
        case None | "nobody":
            return None
        case "slow":
            time.sleep(SLOW_S)
            return None
        case "broken":
            raise RuntimeError("a secret place")
        case "wrong":
            return "somebody"  # pyright: ignore[reportReturnType]
        case "brief":
            return User("brief") if time.monotonic() - _brief < _age() else None
        case token:
            assert request.headers["authorization"] == f"Bearer {token}"
            return User(token, roles=[f"from {request.remote}"])


_asked: list[float] = []


def _age() -> float:
    """Half a second more than when this was asked first."""
    _asked.append(time.monotonic() - _brief + 0.5)
    return _asked[0]


async def of_token_later(request: AuthRequest) -> User | None:
    if request.token == "slow":
        await asyncio.sleep(SLOW_S)
    return of_token(request)
