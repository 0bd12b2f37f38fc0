"""What tests of logins share: users with tokens, the settings that let them in, and their requests."""

import json
from pathlib import Path
from typing import Any

from tests.support.rpc_client import Client
from tests.support.stack import Frontend
from wispy.frontend.auth.verifying import digest_of

SECRET = "a secret of frontends and workers, long enough"
LOGIN = "rpc.authenticate"


def write_tokens(file: Path, **users: list[str]) -> None:
    """Users whose token is their name and `-token`, with roles."""
    entries = {user: {"sha256": [digest_of(f"{user}-token")], "roles": roles} for user, roles in users.items()}
    partial = file.with_suffix(".new")
    partial.write_text(json.dumps(entries))
    partial.replace(file)


def settings(**auth: Any) -> dict[str, Any]:
    return {"session.secret": SECRET, **{f"auth.{key.replace('__', '.')}": value for key, value in auth.items()}}


def call(method: str, **params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or []})


def bearer(token: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


async def who(frontend: Frontend, **options: Any) -> Any:
    async with Client(frontend.websocket_url, **options) as client:
        return await client.call("sample.who")
