"""Opening a connection: the socket, TLS, logging in, and a look at what kind of server is there."""

import asyncio
import functools
import logging
import re
import ssl
import time
from collections.abc import Callable
from typing import Any

from wispy.broker.connection import Connection
from wispy.broker.errors import BrokerError, ReplyError
from wispy.broker.server import Server
from wispy.broker.tls import context_of, reason_of
from wispy.config.redis_address import RedisAddress
from wispy.errors import StartError

logger = logging.getLogger("wispy.broker")

MakeConnection = Callable[[Callable[[str], None]], Connection]
"""Makes a connection that is not open yet; it calls what it is given, with a reason, at its end."""


class NotServing(BrokerError):  # noqa: N818 - it names a state of the server, like its siblings
    """The server was reached, and cannot serve us: wrong password, loading, a replica."""


async def open_connection(connection: Connection, address: RedisAddress) -> None:
    """Connect to the server at an address, with TLS where it is to be. Raises `NotServing` or `OSError`."""
    loop = asyncio.get_running_loop()
    if address.path is not None:
        await loop.create_unix_connection(lambda: connection, address.path)
    elif address.tls is None:
        await loop.create_connection(lambda: connection, address.host, address.port)
    else:
        try:
            context = context_of(address.tls)
            await loop.create_connection(
                lambda: connection, address.host, address.port, ssl=context, server_hostname=address.host
            )
        except ssl.SSLError as error:
            raise NotServing(f"no TLS with {address.host}:{address.port}: {reason_of(error)}") from error
        except StartError as error:  # a file that was right at the start
            raise NotServing(str(error)) from error


async def log_in(connection: Connection, address: RedisAddress) -> None:
    """Say who we are, where that is asked. Raises `NotServing` if it is refused."""
    try:
        for command in login_of(address):
            await connection.call(*command)
    except ReplyError as error:
        raise NotServing(f"AUTH was refused: {error}") from error


def login_of(address: RedisAddress) -> list[tuple[str | int, ...]]:
    """The commands that say who we are, and in which database."""
    login: list[tuple[str | int, ...]] = []
    if address.password is not None:
        login.append(("AUTH", address.user, address.password) if address.user else ("AUTH", address.password))
    if address.database:
        login.append(("SELECT", address.database))
    return login


async def shake_hands(connection: Connection, address: RedisAddress, name: str) -> Server:
    """Log in, choose the database, and look at the server. Raises `NotServing` where it cannot serve as a master."""
    login = login_of(address)
    look = ("INFO", "server", "replication", "persistence", "memory")  # several sections at once: Redis 7
    # A courtesy to people who look at CLIENT LIST: it may be refused. Names are printable ASCII there, without spaces.
    introduction = ("CLIENT", "SETNAME", "wispy-" + re.sub("[^!-~]", "-", name))
    commands = [*login, look, introduction]
    replies: list[Any] = await asyncio.gather(
        *(connection.call(*command) for command in commands), return_exceptions=True
    )
    for command, reply in zip(commands[:-1], replies, strict=False):
        if isinstance(reply, ReplyError):
            raise NotServing(f"{command[0]} was refused: {reply}")
        if isinstance(reply, BaseException):
            raise reply
    info = _parse_info(replies[len(login)])
    if info.get("loading") == "1":
        raise NotServing("it is loading its data")
    if info.get("redis_mode", info.get("server_mode")) == "cluster" and not address.is_node:
        raise NotServing("it is a node of a Cluster: redis+cluster:// is the scheme for it")
    if info.get("role") != "master":
        raise NotServing("it is a replica, not a master")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        _warn_of_eviction(str(address), policy)
    run_id = info.get("run_id")
    if not run_id:
        raise NotServing("its INFO tells no run_id, without which nobody notices that it has lost its data")
    server = Server(run_id)
    sent_s = time.monotonic()
    server.add_sample(await connection.call("TIME"), sent_s, time.monotonic())
    return server


def _parse_info(reply: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {key: value for key, separator, value in lines if separator}


@functools.cache  # once per process, not once per link and reconnect
def _warn_of_eviction(address: str, policy: str) -> None:
    logger.warning(
        "redis %s: maxmemory-policy is %s: under memory pressure it deletes requests and leases at random; "
        "set it to noeviction",
        address,
        policy,
    )
