"""The structures that pass, as JSON, between the harness and the load generator."""

from typing import Literal

import msgspec

from benchmarks.publisher import UPDATE_LENGTH

# What a server expects, and how its answers are checked:
#   echo    the answer is the request
#   plain   JSON-RPC without rpc.hello, as any client sends it
#   hello   a session with ids, acknowledgements and stamps, as a browser has it
Dialect = Literal["echo", "plain", "hello"]
Method = Literal["add", "add_async", "add_unchecked", "add_for_role", "get", "wait", "compute"]
Watch = dict[str, list[int]]  # role of a server process ("frontend") -> process ids


class Group(msgspec.Struct, frozen=True):
    """Connections that do the same: each keeps `in_flight` calls going; with `rate`, all start that many a second."""

    connections: int
    in_flight: int = 1
    rate: float = 0


class CallLoad(msgspec.Struct, frozen=True, tag="calls"):
    """Calls from groups of connections at once."""

    dialect: Dialect
    groups: list[Group]
    method: Method = "add"


class FanoutLoad(msgspec.Struct, frozen=True, tag="fanout"):
    """Updates to many subscribers: `rate` updates a second, or batches of `batch` as fast as they are delivered.

    Beside them are `stalled` subscribers, which read nothing until the window is over, and then come to the newest one.
    """

    subscribers: int
    rate: float = 0
    batch: int = 1
    channel: Literal["tick", "event"] = "tick"
    stalled: int = 0
    length: int = UPDATE_LENGTH


class IdleLoad(msgspec.Struct, frozen=True, tag="idle"):
    """Connections that were greeted once and then do nothing."""

    connections: int


class Job(msgspec.Struct, frozen=True):
    """One run of the load generator."""

    load: CallLoad | FanoutLoad | IdleLoad
    url: str
    watch: Watch
    warmup_s: float
    seconds: float
    cpus: list[int]  # the cores the load generator may use; empty for all
    token: str | None = None  # what its connections log in with


class GroupMeasure(msgspec.Struct):
    """What one group saw in the window; an operation is a call answered or an update delivered."""

    operations: int
    p50_ms: float
    p99_ms: float
    least_of_a_connection: int
    mean_of_a_connection: float

    @property
    def fairness(self) -> float:
        """1 if all connections got the same, 0 if one got nothing."""
        return self.least_of_a_connection / self.mean_of_a_connection if self.mean_of_a_connection else 0.0


class Measure(msgspec.Struct, tag="measure"):
    """One measured window."""

    seconds: float
    groups: list[GroupMeasure]
    cpu_s: dict[str, list[float]]  # role -> CPU seconds, one figure a process
    generator_cpu_s: float
    errors: dict[str, int]  # what went wrong -> how often; empty in a good run
    skipped: int = 0  # updates that a subscriber of a value channel was spared
    stalled_got: list[int] = []  # of the updates since it subscribed, how many each stalled subscriber got in the end
    bytes_grown: dict[str, int] = {}  # role -> growth of resident memory from before the load until the window's end

    @property
    def operations(self) -> int:
        return sum(group.operations for group in self.groups)

    @property
    def per_second(self) -> float:
        return self.operations / self.seconds

    @property
    def cores_used(self) -> float:
        """By the servers and the load generator together."""
        return (sum(map(sum, self.cpu_s.values())) + self.generator_cpu_s) / self.seconds

    def us_per_operation(self, role: str | None = None) -> float:
        """CPU microseconds for one operation, of one role or of all server processes together."""
        roles = self.cpu_s if role is None else [role]
        total = sum(sum(self.cpu_s.get(name, [])) for name in roles)
        return total / self.operations * 1e6 if self.operations else float("inf")


class IdleMeasure(msgspec.Struct, tag="idle"):
    """What idle connections cost."""

    connections: int
    bytes_per_connection: dict[str, float]  # role -> growth of resident memory
    cpu_share: float  # of one core, all server processes, while the connections are open


Result = Measure | IdleMeasure
