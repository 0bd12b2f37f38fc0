"""The configuration: one typed, frozen structure for all processes, and the only list of its keys.

Rules:
- A field is declared once, here or in its section (`wispy.config.sections`): its type, range, default and meaning. The
  loader, the flags, `wispy config` and docs/reference/configuration.md are made from it.
- The names and meanings of the seed's keys stay. A default is safe on a laptop: loopback, nothing writable.
- A value that is here is possible: `wispy.config.load` checks before it builds. (Constructors alone check nothing.)
- The rest of wispy imports the sections from here.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from wispy.config import checks
from wispy.config.sections.audit import AuditConfig
from wispy.config.sections.auth import AuthConfig, JwtConfig, ProxyAuthConfig
from wispy.config.sections.base import Duration, Section, Size, about
from wispy.config.sections.connections import SessionConfig, WebsocketConfig
from wispy.config.sections.files import StaticConfig, UploadConfig, UploadRulesConfig
from wispy.config.sections.headers import HeadersConfig
from wispy.config.sections.limits import LimitsConfig
from wispy.config.sections.logs import LoggingConfig
from wispy.config.sections.objects import (
    FuncCallerConfig,
    HistoryConfig,
    InstanceConfig,
    InterfaceConfig,
    LeaseConfig,
    SynchronousTaskLockConfig,
)
from wispy.config.sections.redis import RedisConfig, RedisSentinelConfig
from wispy.config.sections.tls import RedisTlsConfig, TlsConfig
from wispy.config.units import Bytes, Seconds

__all__ = [
    "LOOPBACK_NAMES",
    "AuditConfig",
    "AuthConfig",
    "Config",
    "FuncCallerConfig",
    "HeadersConfig",
    "HistoryConfig",
    "InstanceConfig",
    "InterfaceConfig",
    "JwtConfig",
    "LeaseConfig",
    "LimitsConfig",
    "LoggingConfig",
    "ProxyAuthConfig",
    "RedisConfig",
    "RedisSentinelConfig",
    "RedisTlsConfig",
    "Section",
    "SessionConfig",
    "StaticConfig",
    "SynchronousTaskLockConfig",
    "TlsConfig",
    "UploadConfig",
    "UploadRulesConfig",
    "WebsocketConfig",
    "from_json",
    "to_json",
]

# Names of this machine that only it can connect to.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Config(Section, frozen=True):
    """All settings of all processes; each reads what concerns it."""

    multiprocessed: Annotated[bool, about("whether the frontend runs in child processes, beside the objects")] = True
    processes: Annotated[Annotated[int, Meta(ge=1, le=256)], about("frontend processes that share the port")] = 1
    base_path: Annotated[str, about("path that all routes start with, such as `/test`", checks.base_path)] = ""
    port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)],
        about("port to serve on; 0: any free one (80 is http's own, 443 https': see `tls`)"),
    ] = 5000
    address: Annotated[
        str, about("address to listen on; empty: all interfaces, so that other machines can connect", checks.address)
    ] = "127.0.0.1"
    default_host: Annotated[
        str | None, about("host that a request without a Host header (HTTP/1.0) is taken to mean", checks.host)
    ] = None
    debug: Annotated[bool, about("for development: the same as `autoreload`")] = False
    autoreload: Annotated[
        bool, about("for development: whether a program starts again when one of its source files changes")
    ] = False
    websocket_max_message_size: Annotated[Size, about("largest websocket message that is taken")] = Bytes(100 << 20)
    wispy_static_path: Annotated[str, about("path, below `base_path`, of the wispyjs files", checks.route)] = "wispyjs"
    console: Annotated[
        Literal["auto"] | bool,
        about(
            "whether the console is served, and `rpc.status` answered; auto: with `debug`, and by `RPCWebApp` and "
            "`wispy serve` where only this machine can connect (`address` is loopback)"
        ),
    ] = "auto"
    metrics: Annotated[
        Literal["auto"] | bool,
        about(
            "whether frontends serve `/metrics`, to whoever can reach their port, unless there is a `metrics_port`; "
            "auto: where `console` is on by itself"
        ),
    ] = "auto"
    metrics_port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        about(
            "port, at `address`, on which frontends serve `/metrics`, so that their own port does not, and `/healthz` "
            "and `/readyz`, also while the limits of that one are reached: plain HTTP, for scrapers and probes only; "
            "0: any free one; null: none"
        ),
    ] = None
    health_port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        about(
            "port, at `address`, on which a worker serves `/healthz`, `/readyz` and `/metrics`; 0: any free one; "
            "null: none"
        ),
    ] = None
    # The default run time-out: all who called have their answers by then, and only another process can go on.
    health_hang: Annotated[
        Duration, about("a worker's `/healthz` fails once an object's code has held the objects' thread for this long")
    ] = Seconds(60)
    launch: Annotated[
        Literal["auto", "always", "never"],
        about("whether to open the page in a browser at the start; auto: where there is a desktop"),
    ] = "auto"
    add_attributes: Annotated[
        bool, about("whether objects get wispy's own attributes, such as `publish`, where they have none of that name")
    ] = True
    shared: Annotated[
        bool,
        about(
            "whether objects are stateless and served by all workers that name them, each with an instance of its own; "
            "else one worker at a time owns an object"
        ),
    ] = False
    allowed_origins: Annotated[
        tuple[str, ...],
        about(
            "origins, other than the server's own, whose pages may connect: `https://lab.example.org`", checks.origins
        ),
    ] = ()
    allowed_hosts: Annotated[
        tuple[str, ...],
        about("host names, other than loopback, that the server answers to: `lab.example.org`", checks.hosts),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        about(
            "addresses or networks of proxies whose `X-Forwarded-For`, `-Proto` and `-Host` are believed: `10.0.0.0/8`",
            checks.networks,
        ),
    ] = ()
    tls: TlsConfig = TlsConfig()
    static: StaticConfig = StaticConfig()
    upload: UploadConfig = UploadConfig()
    headers: HeadersConfig = HeadersConfig()
    logging_config: LoggingConfig = LoggingConfig()
    audit: AuditConfig = AuditConfig()
    synchronous_task_lock: SynchronousTaskLockConfig = SynchronousTaskLockConfig()
    func_caller: FuncCallerConfig = FuncCallerConfig()
    interface: InterfaceConfig = InterfaceConfig()
    redis: RedisConfig = RedisConfig()
    lease: LeaseConfig = LeaseConfig()
    session: SessionConfig = SessionConfig()
    auth: AuthConfig = AuthConfig()
    websocket: WebsocketConfig = WebsocketConfig()
    limits: LimitsConfig = LimitsConfig()
    history: HistoryConfig = HistoryConfig()
    instance_configs: Annotated[
        dict[str, InstanceConfig], about("settings of single objects, by name, over those for all objects")
    ] = msgspec.field(default_factory=dict[str, InstanceConfig])

    @property
    def sealing_secret(self) -> str:
        """What frontends and workers share; with `auth`, whoever starts one has seen to it that there is one."""
        assert self.session.secret is not None
        return self.session.secret

    @property
    def has_console(self) -> bool:
        """Whether the console is served, and `rpc.status` answered, by a program that is all in one."""
        return self._is_private if self.console == "auto" else self.console

    @property
    def has_metrics(self) -> bool:
        """Whether a program that is all in one serves `/metrics` on its port."""
        if self.metrics_port is not None:
            return False
        return self._is_private if self.metrics == "auto" else self.metrics

    @property
    def _is_private(self) -> bool:
        """Whether only this machine can connect, or who develops."""
        return self.debug or self.address in LOOPBACK_NAMES

    def of_object(self, name: str) -> InstanceConfig:
        """The settings of one object: its own in `instance_configs`, else those for all."""
        own = self.instance_configs.get(name)
        if own is not None:
            return own
        return InstanceConfig(
            interface=self.interface,
            func_caller=self.func_caller,
            add_attributes=self.add_attributes,
            shared=self.shared,
        )


def to_json(config: Config) -> bytes:
    """The effective configuration for a child process: with its secrets, so for a pipe and not for a command line."""
    return msgspec.json.encode(config)


def from_json(data: bytes) -> Config:
    """What `to_json` wrote.

    Raises:
        msgspec.ValidationError: it is something else.
    """
    return msgspec.json.decode(data, type=Config)
