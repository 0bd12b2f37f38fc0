"""The configuration: one typed, frozen structure for all processes, and the only list of its keys.

Rules:
- A field is declared once, here: its type, range, default and meaning. The loader, the flags, `wispy config` and
  docs/reference/configuration.md are made from it.
- The names and meanings of the seed's keys stay. A default is safe on a laptop: loopback, nothing writable.
- A value that is here is possible: `wispy.config.load` checks before it builds. (Constructors alone check nothing.)
- Lists are tuples, so that a section can be a key of a cache.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from wispy.config import checks
from wispy.config.secrets import MASK, is_secret, mask_urls
from wispy.config.units import Bytes, Seconds

# Objects' keys in Redis live for 7 days: no wait that wispy is asked for may outlast what it waits for.
_LONGEST_S = 7 * 86400
# The largest string that Redis takes (proto-max-bulk-len).
_LARGEST_BYTES = 512 << 20
# Uploads go to a disk; past this size a typing error is likelier than a wish.
_LARGEST_FILE_BYTES = 1 << 40

Duration = Annotated[Seconds, Meta(gt=0, le=_LONGEST_S)]
Size = Annotated[Bytes, Meta(ge=1, le=_LARGEST_BYTES)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Folders = str | tuple[str, ...] | dict[str, str]
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def about(meaning: str, check: Callable[[Any], str | None] | None = None) -> Meta:
    """What a field means, and the check that its type cannot say."""
    return Meta(description=meaning, extra={"check": check} if check else None)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections; its `repr` may be logged, for it shows no secret."""

    def __repr__(self) -> str:
        shown = (f"{name}={_shown(name, getattr(self, name))}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({', '.join(shown)})"


class StaticConfig(Section, frozen=True):
    """Static files."""

    homepage: Annotated[
        str, about("path, below `base_path`, to redirect to when `base_path` itself is loaded", checks.homepage)
    ] = "static/index.html"
    folders: Annotated[
        Folders,
        about(
            "folders to serve: one, a list (each under its own name), or a map of routes below `base_path` to folders",
            checks.folders,
        ),
    ] = msgspec.field(default_factory=lambda: {"static": "./static"})

    def routes(self) -> dict[str, str]:
        """The folders by route, however they were written."""
        return _routes(self.folders)


class UploadRulesConfig(Section, frozen=True):
    """What may be uploaded."""

    accepted_filetypes: Annotated[
        Literal["all"] | tuple[str, ...],
        about("`all`, or a list of the endings of names that may be uploaded: `[png, tar.gz]`", checks.filetypes),
    ] = "all"
    get_names_allowed: Annotated[bool, about("whether the names of the files in an upload folder may be asked for")] = (
        True
    )
    file_creation_whitelist: Annotated[
        tuple[str, ...],
        about(
            "patterns of absolute paths that may be created: `*/server/uploads/*.png`; `*` also matches `/`",
            checks.path_patterns,
        ),
    ] = ()
    file_overwrite_whitelist: Annotated[
        tuple[str, ...],
        about("patterns, of the same kind, of absolute paths that may be overwritten", checks.path_patterns),
    ] = ()


class UploadConfig(Section, frozen=True):
    """Uploads; without a folder there are none."""

    folders: Annotated[
        Folders,
        about(
            "folders that take uploads: one, a list, or a map of routes below `base_path` to folders", checks.folders
        ),
    ] = msgspec.field(default_factory=dict[str, str])
    # Room for a long video; whoever expects more says so, and how much disk there is.
    max_size: Annotated[
        Annotated[Bytes, Meta(ge=1, le=_LARGEST_FILE_BYTES)],
        about("largest body of one upload: a file, or a form with its files"),
    ] = Bytes(1 << 30)
    # Each holds some 512 KiB of memory, a file and a connection.
    at_once: Annotated[Count, about("uploads that one frontend process takes at the same time")] = 32
    rules: UploadRulesConfig = UploadRulesConfig()

    def routes(self) -> dict[str, str]:
        """The folders by route, however they were written."""
        return _routes(self.folders)


class TlsConfig(Section, frozen=True):
    """TLS in the frontend itself, for a server without a proxy before it; both files, or neither."""

    certificate: Annotated[str | None, about("file with the certificate and its chain, in PEM format")] = None
    key: Annotated[str | None, about("file with the certificate's private key, in PEM format")] = None

    @property
    def is_on(self) -> bool:
        """Whether the port speaks TLS."""
        return self.certificate is not None or self.key is not None


class LoggingConfig(Section, frozen=True):
    """Logging."""

    logger: Annotated[str, about("name of the logger that the application writes to; wispy's own follow it")] = "web"
    level: Annotated[LogLevel, about("lowest level that is logged")] = "INFO"
    stream: Annotated[bool, about("whether to write the log to standard output")] = True
    access: Annotated[
        Literal["off", "text", "json"],
        about("whether to write a line for each request when it is answered, to the logger `wispy.access`"),
    ] = "off"
    access_worker: Annotated[
        bool, about("whether the worker writes such a line too, of each request that its objects ended")
    ] = True
    slow_call: Annotated[
        Duration | None,
        about("a request that an object ran for longer is named in the log when it ends; null: none is"),
    ] = Seconds(1)


class SynchronousTaskLockConfig(Section, frozen=True):
    """The thread pool of an object's threaded methods."""

    max_workers: Annotated[
        Count | None, about("threads that run threaded methods; null: as many as Python's pool takes")
    ] = None


class FuncCallerConfig(Section, frozen=True):
    """How methods are run where neither a decorator nor an annotation says so."""

    locking_default: Annotated[bool, about("whether methods are locking: only one locking method runs at a time")] = (
        False
    )
    synchronous_default: Annotated[
        bool, about("whether methods run on the object's loop, in the order they arrive, or else in a thread pool")
    ] = True
    max_start_delay_default: Annotated[
        Duration, about("a request that has not started this long after it was sent is answered with an error")
    ] = Seconds(3)
    check_return_annotation_default: Annotated[
        bool, about("whether a method's return annotation decides how it runs")
    ] = True
    run_timeout_default: Annotated[Duration, about("a call that runs longer is answered with an error")] = Seconds(60)
    hang_warning: Annotated[Duration, about("a call that holds the object's loop longer is named in the log")] = (
        Seconds(10)
    )


class InterfaceConfig(Section, frozen=True):
    """What of an object a page may touch."""

    include_internals: Annotated[bool, about("whether names that start with `_` are served")] = False
    include_dunders: Annotated[bool, about("whether names that start with `__` are served")] = False
    # Deeper paths are rather a mistake than a wish, and each level costs a table of its class.
    max_interface_depth: Annotated[
        Annotated[int, Meta(ge=1, le=32)], about("how deep attributes of attributes are served")
    ] = 4
    access_restricting_attributes: Annotated[
        tuple[str, ...], about("an attribute or method that has a true attribute of one of these names is not served")
    ] = ("interface_access_restricted",)
    source_access: Annotated[bool, about("whether pages may read the Python source of methods")] = True
    traceback_access: Annotated[bool, about("whether errors carry the Python traceback to pages")] = False
    allowed_types: Annotated[
        tuple[str, ...],
        about("other packages' classes whose instances may be reached as nested objects: `package.Class`"),
    ] = ()


class RedisConfig(Section, frozen=True):
    """The Redis or Valkey server between frontends and workers."""

    url: Annotated[
        str | None,
        about(
            "`redis://[user:password@]host[:port][/database]`, `unix:///path?db=0`, or "
            "`redis+sentinel://[user:password@]host[:port][,host[:port]...]/master[/database]` (Sentinels, port 26379 "
            "unless given, name the master at each connection); null: a server of its own",
            checks.redis_url,
        ),
    ] = None
    user: Annotated[str | None, about("user name; stronger than the URL's")] = None
    password: Annotated[str | None, about("password; stronger than the URL's")] = None
    prefix: Annotated[
        str, about("start of every key and channel; one for each deployment on a server", checks.redis_prefix)
    ] = "wispy:"
    connect_timeout: Annotated[Duration, about("an attempt to connect that takes longer has failed")] = Seconds(5)
    command_timeout: Annotated[
        Duration, about("a connection that leaves a command unanswered for longer is given up")
    ] = Seconds(5)
    # Each probe wakes an idle system.
    probe_interval: Annotated[
        Annotated[Seconds, Meta(ge=1, le=3600)],
        about("a subscriber that hears nothing for this long checks that it is not deaf"),
    ] = Seconds(10)


class LeaseConfig(Section, frozen=True):
    """Who owns an object."""

    # A lease is renewed three times within its life; below half a second a slow disk or a busy machine ends it.
    duration: Annotated[
        Annotated[Seconds, Meta(ge=0.5, le=600)],
        about("a standby takes over from an owner that has not renewed its lease for this long"),
    ] = Seconds(1.5)
    restore: Annotated[
        bool | None,
        about(
            "whether a new owner starts from the retained values instead of the code's; "
            "null: yes for `wispy-worker`, no for `RPCWebApp` and `wispy serve`"
        ),
    ] = None

    # A release must fit into what supervisors give a process to end, commonly 30 s, with 10 s for running calls.
    hook_timeout: Annotated[
        Duration, about("how long each of an object's hooks (`on_acquire`, `snapshot` and so on) may take")
    ] = Seconds(10)


class SessionConfig(Section, frozen=True):
    """Browser sessions that outlive their connection."""

    secret: Annotated[
        str | None,
        about(
            "key that signs session tokens, the same for all frontends; null: a random one for this run", checks.secret
        ),
    ] = None
    window: Annotated[Duration, about("how long after its connection broke a session may continue")] = Seconds(60)


class WebsocketConfig(Section, frozen=True):
    """Websocket connections."""

    shell: Annotated[
        Literal["detached", "tornado"],
        about("what carries a connection: our own protocol on the bare socket (fast), or Tornado's handler"),
    ] = "detached"
    compression: Annotated[
        bool, about("whether to offer permessage-deflate; connections then run on the tornado shell")
    ] = False
    # Proxies commonly cut what is silent for 60 s.
    ping_interval: Annotated[Annotated[Seconds, Meta(ge=1, le=3600)], about("each connection is pinged this often")] = (
        Seconds(25)
    )
    pong_timeout: Annotated[
        Duration, about("a connection that is silent for `ping_interval` and this long is closed")
    ] = Seconds(10)
    # At most half of the 10 s for which a frontend that ends waits for calls.
    drain: Annotated[
        Annotated[Seconds, Meta(ge=0, le=5)],
        about("over how long the clients of a frontend that ends move to others, spread at random; 0: there are none"),
    ] = Seconds(2)
    # Below 16 KiB a single reply of usual size would count as a slow reader.
    write_buffer: Annotated[
        Annotated[Bytes, Meta(ge=16 << 10, le=_LARGEST_BYTES)],
        about("unsent data of one connection above which its reader is slow: updates are skipped, or it is closed"),
    ] = Bytes(1 << 20)


class LimitsConfig(Section, frozen=True):
    """Bounds; what is past one gets a clear error."""

    in_flight_per_connection: Annotated[Count, about("requests of one connection that are not yet answered")] = 64
    in_flight_per_object: Annotated[
        Count, about("requests to one object, through one frontend, that are not yet answered")
    ] = 4096
    batch: Annotated[Count, about("requests in one JSON-RPC batch")] = 64
    # Python's own recursion limit is 1000; each level of JSON takes a few of its frames, here and in the objects' code.
    depth: Annotated[Annotated[int, Meta(ge=1, le=64)], about("nesting of a message of a client")] = 64
    http_body: Annotated[Size, about("body of a `POST /rpc`")] = Bytes(10 << 20)
    subscriptions_per_connection: Annotated[Count, about("channels that one connection is subscribed to")] = 1000
    reply_bytes: Annotated[Size, about("one reply; a larger result is an error to its caller")] = Bytes(100 << 20)
    # It travels in one command: some 10 ms of Redis' time, and half of what a link holds for a stalled server.
    snapshot_bytes: Annotated[
        Annotated[Bytes, Meta(ge=1, le=8 << 20)],
        about("the state that an object's snapshot hook returns, as JSON or bytes"),
    ] = Bytes(8 << 20)
    channels_per_object: Annotated[Count, about("channels of one object")] = 1000
    connections: Annotated[Count, about("websockets of one frontend process")] = 20_000


class HistoryConfig(Section, frozen=True):
    """Updates that are kept for subscribers that missed some."""

    length: Annotated[Count, about("updates kept of each channel, unless its declaration says otherwise")] = 100


class InstanceConfig(Section, frozen=True):
    """Settings of one object; what is not given here is as for all objects."""

    interface: InterfaceConfig = InterfaceConfig()
    func_caller: FuncCallerConfig = FuncCallerConfig()
    add_attributes: Annotated[bool, about("as the key of the same name for all objects")] = True


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
            "whether frontends serve `/metrics`, to whoever can reach their port; auto: where `console` is on by itself"
        ),
    ] = "auto"
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
    logging_config: LoggingConfig = LoggingConfig()
    synchronous_task_lock: SynchronousTaskLockConfig = SynchronousTaskLockConfig()
    func_caller: FuncCallerConfig = FuncCallerConfig()
    interface: InterfaceConfig = InterfaceConfig()
    redis: RedisConfig = RedisConfig()
    lease: LeaseConfig = LeaseConfig()
    session: SessionConfig = SessionConfig()
    websocket: WebsocketConfig = WebsocketConfig()
    limits: LimitsConfig = LimitsConfig()
    history: HistoryConfig = HistoryConfig()
    instance_configs: Annotated[
        dict[str, InstanceConfig], about("settings of single objects, by name, over those for all objects")
    ] = msgspec.field(default_factory=dict[str, InstanceConfig])

    @property
    def has_console(self) -> bool:
        """Whether the console is served, and `rpc.status` answered, by a program that is all in one."""
        return self._is_private if self.console == "auto" else self.console

    @property
    def has_metrics(self) -> bool:
        """Whether a program that is all in one serves `/metrics` on its port."""
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
            interface=self.interface, func_caller=self.func_caller, add_attributes=self.add_attributes
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


def _routes(folders: Folders) -> dict[str, str]:
    if isinstance(folders, dict):
        return dict(folders)
    listed = (folders,) if isinstance(folders, str) else folders
    return {checks.folder_route(folder): folder for folder in listed}


def _shown(name: str, value: object) -> str:
    return MASK if is_secret(name) and value is not None else mask_urls(repr(value))
