"""The Redis schema: every key and channel that wispy uses. `docs/reference/redis-schema.md` is its readable form.

All names start with the prefix (`redis.prefix`, "wispy:"), followed by the database number where it is not 0, because
pub/sub ignores databases. All names of one object carry its name in braces (`wispy:{sample}:...`): a Redis Cluster
keeps them on one node, so that one script can use them together. A name that would end the braces, or that no object
can have for another reason, gets no keys: it does not reach Redis.

Every key has a time to live. Keys of objects: `OBJECT_TTL_MS`, set when a key is made and renewed by the owner's
renewals (`ObjectKeys.lasting` names those keys).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from wispy.config import checks
from wispy.protocol import errors

# Longer than a long weekend with everything switched off, short enough that objects nobody serves any more go away.
OBJECT_TTL_MS = 7 * 24 * 3600 * 1000

# Names of objects come from browsers too, so the cache is bounded. Far more than the objects of any one process.
_CACHED_OBJECTS = 1024


@dataclass(frozen=True, slots=True)
class ObjectKeys:
    """The keys and pub/sub channels of one object. `base` is `<prefix>{<object>}:`."""

    base: str
    # hash. The lease: epoch ("<generation>-<nonce>"), generation, renewals, renewed_ms, run_id, lease_ms,
    # released (0 or 1), holder (who, for people). Written by acquire, renew and release only; every other script checks
    # its epoch. Of a shared object, with "kind" = "shared", it is written by join, beat and leave, for all workers.
    owner: str
    # stream, field "e" = one entry: requests of one frontend. Made by acquire or join only (XADD is NOMKSTREAM); one
    # consumer group, named by the epoch. An entry is deleted when its last request is final; bounded by
    # in_flight_per_object.
    requests: str
    # zset, of a shared object only: worker -> when it last said that it lives (Redis' clock, ms). Who has not for a
    # lease is removed by the others.
    workers: str
    # hash. The owner's memory: "<number>" -> a row, one message with replies, "s:<session>" -> "<acknowledged id>:
    # <last seen, ms>:<first row>", and ":<id>,<id>..." where some up to that id are open, "since" -> "<run id>:<ms>"
    # (since when it is complete). Bounded by the owner: acknowledgement and byte quotas.
    log: str
    # hash: channel -> declaration (JSON with "kind": "value" or "event"). At most limits.channels_per_object.
    channels: str
    # hash: channel -> offset of its newest update.
    heads: str
    # hash: value channel -> "<offset>:<value as JSON>".
    values: str
    # string: JSON, what rpc.discover shows of the object.
    interface: str
    # hash: the object's own state, as its snapshot hook returned it: "writer" (names the instance that it is of),
    # "form" ("json" or "bytes"), "data". Bounded by limits.snapshot_bytes.
    state: str
    # pub/sub. Renewals: {"epoch": ..., "heads": {channel: offset}, "renewals": n}; with "released": true at a release.
    notices: str
    # pub/sub. Cancellations: [session, id].
    cancels: str

    @classmethod
    def of(cls, prefix: str, name: str) -> "ObjectKeys":
        base = f"{prefix}{{{name}}}:"
        parts = ("owner", "requests", "workers", "log", "channels", "heads", "values", "interface", "state")
        return cls(base, *(base + part for part in (*parts, "notices", "cancels")))

    def history(self, channel: str) -> str:
        """Stream: the newest updates of a channel. Entry id "<offset>-1", field "v" = JSON. MAXLEN = history length."""
        return f"{self.base}history:{channel}"

    def updates(self, channel: str) -> str:
        """Pub/sub: the updates of a channel, each `["<epoch>",<offset>,<value as JSON>]`."""
        return f"{self.base}updates:{channel}"

    def replies(self, frontend: str) -> str:
        """Pub/sub: the owner's replies to one frontend. At most 1 MiB a message."""
        return f"{self.base}reply:{frontend}"

    def body(self, session: str, request: int | str) -> str:
        """String with a time to live of its own: a reply that is too large for pub/sub; the reply names it."""
        return f"{self.base}body:{session}:{request}"

    def lasting(self, channels: Iterable[str] = ()) -> list[str]:
        """All keys whose time to live the owner renews, with the histories of `channels`."""
        fixed = [
            self.owner,
            self.requests,
            self.log,
            self.channels,
            self.heads,
            self.values,
            self.interface,
            self.state,
        ]
        return fixed + [self.history(channel) for channel in channels]


class Keys:
    """All keys of one deployment: `prefix`, then the database number where it is not 0."""

    def __init__(self, prefix: str = "wispy:", database: int = 0) -> None:
        self.prefix = prefix + (f"{database}:" if database else "")
        # zset: name of an object -> when its owner last said that it serves it (Redis' clock, ms). Owners add and
        # remove their own; whoever adds also removes those older than OBJECT_TTL_MS.
        self.objects = self.prefix + "objects"
        # pub/sub: a frontend that is asked for rpc.status asks all processes what they know. The message names it.
        self.status_wanted = self.prefix + "status"
        self._of: dict[str, ObjectKeys] = {}

    def of(self, name: str) -> ObjectKeys:
        """The keys of the object `name` (cached).

        Raises:
            RPCError: no object can have this name; clients choose it.
        """
        keys = self._of.get(name)
        if keys is None:
            if checks.object_name(name) is not None:
                raise errors.NOT_FOUND()
            if len(self._of) >= _CACHED_OBJECTS:
                self._of.clear()
            keys = self._of[name] = ObjectKeys.of(self.prefix, name)
        return keys


def status_reports(prefix: str, frontend: str) -> str:
    """Pub/sub: where a frontend gets what the processes know; JSON, one message of each."""
    return f"{prefix}status:{frontend}"


def probe_channel(prefix: str, subscriber: str, tag: str = "") -> str:
    """Pub/sub: on which one subscriber hears itself, to know that it still hears. `tag` makes its slot in a Cluster."""
    return f"{prefix}probe:{subscriber}{tag}"
