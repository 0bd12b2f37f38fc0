"""Where the master is: asked of Sentinels at each attempt to connect, so that a failover is followed.

Rules:
- The Sentinels are asked one after the other, beginning with another one at each attempt: one that knows an outdated
  master, or none, does not stand in the way of the others.
- What a Sentinel says is a hint. Whether the server is a master is for the handshake to see (`INFO`): a replica that
  has not been promoted yet is refused there, and the Sentinels are asked again.
- A Sentinel that wants a password gets its own, where there is one, and else that of the servers. One that wants none
  is not told any: it would refuse that.
"""

import asyncio
from typing import Any, Final

from wispy.broker.errors import BrokerError, ReplyError
from wispy.broker.opening import MakeConnection, open_connection
from wispy.config.redis_address import RedisAddress

SENTINEL_TIMEOUT_S = 1.0
"""How long one Sentinel may take to answer: they are in the same network, and the next one is waiting to be asked."""


_WANT_LOGIN: Final = frozenset({"NOAUTH", "NOPERM"})
"""Who does not log in may ask nothing; or, by the Sentinel's access control, not this."""


class NoMaster(BrokerError):  # noqa: N818 - it names a state of the deployment, like its siblings
    """No Sentinel has named a master."""


async def find_master(address: RedisAddress, make_connection: MakeConnection, attempt: int) -> RedisAddress:
    """The address of the master that the Sentinels of `address` name; `attempt` chooses which of them is asked first.

    Raises:
        NoMaster: none of them has named one; the text says what each has said.
    """
    sentinels = address.sentinels
    start = attempt % len(sentinels)
    reasons: list[str] = []
    for host, port in sentinels[start:] + sentinels[:start]:
        try:
            async with asyncio.timeout(SENTINEL_TIMEOUT_S):
                found = await _ask(address, host, port, make_connection)
        except TimeoutError:
            reasons.append(f"{host}:{port} does not answer")
        except (OSError, BrokerError) as error:
            reasons.append(f"{host}:{port}: {getattr(error, 'strerror', None) or error}")
        else:
            if found is not None:
                return address.at(*found)
            reasons.append(f"{host}:{port} does not know {address.master!r}")
    raise NoMaster(f"no Sentinel names a master ({'; '.join(reasons)})")


async def _ask(address: RedisAddress, host: str, port: int, make_connection: MakeConnection) -> tuple[str, int] | None:
    connection = make_connection(_ignore)
    try:
        await open_connection(connection, address.at(host, port))
        question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.master)
        try:
            reply: Any = await connection.call(*question)
        except ReplyError as error:
            user, password = address.sentinel_login or (address.user, address.password)
            if error.code not in _WANT_LOGIN or password is None:
                raise
            await connection.call("AUTH", *([user] if user else []), password)
            reply = await connection.call(*question)
    finally:
        connection.drop("the Sentinel was asked")
    return None if reply is None else (reply[0].decode(), int(reply[1]))


def _ignore(_: str) -> None:
    """The end of a connection to a Sentinel means nothing."""
