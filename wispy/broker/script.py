"""Lua scripts, run by their hash: sent whole once per connection, so that Redis knows them from then on."""

import asyncio
import functools
import hashlib
import importlib.resources
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from wispy.broker.connection import Argument, OnReply, settle
from wispy.broker.errors import ReplyError
from wispy.broker.route import Route


class Script:
    """One script of `wispy/broker/scripts` on one link.

    Its first use on a connection, by whatever instance, is an EVAL, the others EVALSHA: in a pipeline nothing can
    overtake the loading. If Redis forgets the script meanwhile (SCRIPT FLUSH), what was refused with NOSCRIPT is sent
    again whole. A script that only reads is run as such, so that its user needs no right to write.
    """

    def __init__(self, link: Route, name: str) -> None:
        self._link = link
        self._text, self._hash, is_read_only = _load(name, is_sharded=link.is_sharded)
        self._eval, self._evalsha = ("EVAL_RO", "EVALSHA_RO") if is_read_only else ("EVAL", "EVALSHA")
        self._loaded_on = link.scripts

    def send(
        self, keys: Sequence[str], args: Iterable[Argument], on_reply: OnReply, *, will_flush: bool = False
    ) -> None:
        """Run it; `on_reply` gets its reply or a `BrokerError` instance. `will_flush`: as for the link's `send`."""
        call = (len(keys), *keys, *args)
        connection = self._link.connection
        if self._loaded_on.get(self._hash) != connection:
            self._loaded_on[self._hash] = connection
            self._link.send((self._eval, self._text, *call), on_reply, will_flush=will_flush)
        else:
            take = partial(self._take_reply, call, on_reply)
            self._link.send((self._evalsha, self._hash, *call), take, will_flush=will_flush)

    async def run(self, keys: Sequence[str], *args: Argument) -> Any:
        """Run it and wait for its reply; raises `BrokerError`."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(keys, args, partial(settle, future))
        return await future

    def _take_reply(self, call: tuple[Argument, ...], on_reply: OnReply, reply: Any) -> None:
        if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT":
            self._link.send((self._eval, self._text, *call), on_reply)
        else:
            on_reply(reply)


@functools.cache
def _load(name: str, *, is_sharded: bool) -> tuple[str, str, bool]:
    """A script, its hash, and whether it only reads; in a Cluster its messages go to the node that has the object."""
    text = importlib.resources.files("wispy.broker").joinpath("scripts", f"{name}.lua").read_text("utf-8")
    if is_sharded:
        text = text.replace("redis.call('PUBLISH'", "redis.call('SPUBLISH'")
    is_read_only = "no-writes" in text.partition("\n")[0]
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), is_read_only
