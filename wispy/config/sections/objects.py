"""Sections on the served objects: how they run, what a page may touch of them, and who owns them."""

from typing import Annotated, Literal

from msgspec import Meta

from wispy.config.sections.base import Count, Duration, Section, about
from wispy.config.units import Seconds


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

    expose: Annotated[
        Literal["public", "declared"],
        about("public: all names that do not start with `_`; declared: only what its author has marked `@expose`"),
    ] = "public"
    include_internals: Annotated[bool, about("whether names that start with `_` are served")] = False
    include_dunders: Annotated[bool, about("whether names that start with `__` are served")] = False
    # Deeper paths are rather a mistake than a wish, and each level costs a table of its class.
    max_interface_depth: Annotated[
        Annotated[int, Meta(ge=1, le=32)], about("how deep attributes of attributes are served")
    ] = 4
    access_restricting_attributes: Annotated[
        tuple[str, ...], about("an attribute or method that has a true attribute of one of these names is not served")
    ] = ("interface_access_restricted",)
    roles: Annotated[
        tuple[str, ...] | None,
        about(
            "roles of which a caller needs one to find anything of an object, beside those that its own marks ask for; "
            "null: none is needed"
        ),
    ] = None
    write_roles: Annotated[
        tuple[str, ...] | None,
        about("roles of which a caller needs one to set and delete, beside those that marks ask for; null: none"),
    ] = None
    source_access: Annotated[bool, about("whether pages may read the Python source of methods")] = True
    source_roles: Annotated[
        tuple[str, ...] | None,
        about("roles of which a caller needs one to read that source; null: whoever may use the method may read it"),
    ] = None
    traceback_access: Annotated[bool, about("whether errors carry the Python traceback to pages")] = False
    allowed_types: Annotated[
        tuple[str, ...],
        about("other packages' classes whose instances may be reached as nested objects: `package.Class`"),
    ] = ()


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


class HistoryConfig(Section, frozen=True):
    """Updates that are kept for subscribers that missed some."""

    length: Annotated[
        Count,
        about(
            "updates kept of each channel, unless its declaration says otherwise; who has missed all of an event "
            "channel gets them at once, so that together they should be no larger than `limits.reply_bytes`"
        ),
    ] = 100


class InstanceConfig(Section, frozen=True):
    """Settings of one object; what is not given here is as for all objects."""

    interface: InterfaceConfig = InterfaceConfig()
    func_caller: FuncCallerConfig = FuncCallerConfig()
    add_attributes: Annotated[bool, about("as the key of the same name for all objects")] = True
    shared: Annotated[bool, about("as the key of the same name for all objects")] = False
