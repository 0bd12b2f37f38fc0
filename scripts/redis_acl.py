"""The users of wispy in Redis and Valkey, each with the rights that its role needs: `deploy/redis/users.acl`, and the
demo's on Kubernetes.

Rules:
- A command is granted together with the keys and channels that it is for, in a selector (Redis 7): so a frontend
  publishes cancellations, and hears updates, and cannot publish an update.
- `EVAL` names its keys without saying what becomes of them, so that a right to write is asked for all of them; what a
  script does is still checked, command by command. A script that only reads is run by `EVAL_RO`.
- An ACL file takes no comments: the reasons stand here.
"""

from collections.abc import Sequence
from typing import Final

CONNECTION: Final = (
    *("+hello", "+client|setname", "+select", "+info", "+time", "+ping", "+subscribe", "+unsubscribe"),
    *("+cluster|slots", "+asking", "+ssubscribe", "+sunsubscribe"),  # of a Cluster
)
"""What every connection says. `INFO` tells the server's run id and role."""

PUBLISH: Final = "+publish +spublish"
"""To all, and in a Cluster on the node of the channel's slot."""

Selector = tuple[str, Sequence[str]]
"""Commands, and the keys (`~`, or `%R~` to read) and channels (`&`) that they are for; all below an object's name."""

FRONTEND: Final[tuple[Selector, ...]] = (
    # rpc.subscribe, rpc.channels, rpc.discover, rpc.status: what owners tell.
    (
        "+exists +get +hgetall +hget +hmget +eval_ro +evalsha_ro",
        ("%R~owner", "%R~requests", "%R~workers", "%R~channels", "%R~heads", "%R~values", "%R~interface"),
    ),
    ("+zcard", ("%R~workers",)),
    ("+xrange", ("%R~history:*",)),
    # Requests go in, and those that no owner has taken are withdrawn again.
    ("+xadd +xdel +xrange +xrevrange +xlen +xinfo|groups +eval +evalsha", ("~requests",)),
    ("+getdel", ("~body:*",)),
    (PUBLISH, ("&cancels",)),
)

WORKER: Final[tuple[Selector, ...]] = (
    ("+eval +evalsha +eval_ro +evalsha_ro", ("~*",)),
    (
        "+exists +hget +hmget +hgetall +hscan +hset +hdel +hlen +hincrby +pexpire",
        ("~owner", "~log", "~channels", "~heads", "~values", "~state"),
    ),
    ("+del", ("~log",)),  # of another run of the server
    ("+zcard +del +pexpire", ("~workers",)),  # of an object that was shared before
    # Read, and made, but not written to: a worker does not ask objects.
    (
        "+exists +pexpire +xreadgroup +xrange +xlen +xdel +xinfo|stream +xinfo|groups +xgroup|create +xgroup|destroy",
        ("~requests",),
    ),
    ("+xadd +xlen +del +pexpire", ("~history:*",)),
    ("+set +pexpire +exists", ("~interface", "~body:*")),
    (PUBLISH, ("&updates:*", "&notices", "&reply:*")),
)

ANNOUNCING: Final = ("(+zadd +zrem +zremrangebyscore +pexpire ~{prefix}objects)",)

SHARED: Final[tuple[Selector, ...]] = (
    *WORKER,
    # Who lives, and what became of the others' entries; what is handed on at the end is written once more.
    ("+zadd +zrem +zscore +zremrangebyscore", ("~workers",)),
    ("+del", ("~log", "~channels", "~workers")),  # in one command
    ("+xadd +xack +xclaim +xpending +xrevrange +xinfo|consumers +xgroup|delconsumer", ("~requests",)),
)

OF_ROLES: Final[dict[str, tuple[tuple[Selector, ...], Sequence[str], Sequence[str]]]] = {
    # Role: its selectors of an object; what it listens to, of an object; the deployment's keys.
    "frontend": (FRONTEND, ("updates:*", "notices", "reply:*"), ("(+zrangebyscore %R~{prefix}objects)",)),
    "worker": (WORKER, ("cancels",), ANNOUNCING),
    "shared": (SHARED, ("cancels",), ANNOUNCING),
}


def rules(role: str, prefix: str, objects: str = "*") -> list[str]:
    """The rights of a role, as `ACL SETUSER` takes them.

    Args:
        role: `frontend`, `worker`, or `shared`: a worker of shared objects.
        prefix: of the deployment (`redis.prefix`).
        objects: a pattern of the objects' names: a worker for one object needs no right to another's keys.
    """
    selectors, heard, deployment = OF_ROLES[role]
    below = f"{prefix}{{{objects}}}:"

    def placed(pattern: str) -> str:
        kind = pattern[: pattern.index("~") + 1] if "~" in pattern else "&"
        return kind + below + pattern.removeprefix(kind)

    everybody = [f"{prefix}status", f"{prefix}status:*", f"{prefix}probe:*"]
    listening = [f"&{below}{channel}" for channel in heard] + [f"&{channel}" for channel in everybody]
    return [
        "resetkeys",
        "resetchannels",
        "-@all",
        *CONNECTION,
        *listening,
        f"({PUBLISH} {' '.join(f'&{channel}' for channel in everybody)})",
        *(selector.format(prefix=prefix) for selector in deployment),
        *(f"({commands} {' '.join(map(placed, places))})" for commands, places in selectors),
    ]


def users(prefix: str = "wispy:") -> str:
    """The ACL file: passwords are to be put in place of the words in capitals."""
    lines = [
        # Whoever does not log in may ask whether the server lives, for health checks.
        "user default on nopass resetkeys resetchannels -@all +ping",
        "user admin on >ADMIN_PASSWORD ~* &* +@all",
        *(f"user {role} on >{role.upper()}_PASSWORD {' '.join(rules(role, prefix))}" for role in OF_ROLES),
    ]
    return "\n".join(lines) + "\n"


def demo_users() -> str:
    """The same for the demo on Kubernetes, of which nothing is secret: its Secrets hold the same passwords."""
    lines = [line for line in users().splitlines() if line.split()[1] in ("default", "frontend", "worker")]
    return "\n".join(lines).replace("FRONTEND_PASSWORD", "demo-only").replace("WORKER_PASSWORD", "demo-only") + "\n"
