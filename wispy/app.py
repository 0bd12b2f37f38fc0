"""All of wispy in one program: objects in this process, frontends beside it, and Redis where none is named.

Rules:
- `run` blocks, in the main thread, and ends on Ctrl-C, SIGTERM, or with its terminal.
- `start` serves from threads of its own, so that it works in a notebook and beside a running loop.
- Whatever was started is ended (`wispy.parts`).
"""

import asyncio
import atexit
import logging
import os
import sys
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

from wispy import log as logs
from wispy.config.load import load
from wispy.config.prepare import prepared
from wispy.config.schema import Config
from wispy.errors import StartError, WispyError
from wispy.loops import new_event_loop
from wispy.parts import Parts, run_parts
from wispy.reload.handover import Handover
from wispy.reload.watcher import enter
from wispy.surroundings import open_standard_streams, outlive_readers
from wispy.worker.source import ObjectSource, from_instances, is_importing

log = logging.getLogger("wispy.app")

START_S: Final = 30.0
"""How long `start` waits for all this: without a slow object it takes a fifth of a second."""


class RPCWebApp:
    """A web application that serves Python objects to browsers.

        RPCWebApp(sample=sample).run()

    Args:
        config: a YAML file, a dict of the same keys, or nothing.
        objects: the objects by the name that pages know them by; a class is instantiated once it is served.

    Raises:
        ConfigError: a key is unknown, or a value impossible.
        StartError: there is no object, or something given as one cannot be served.
    """

    def __init__(self, config: str | Path | Mapping[str, Any] | Config | None = None, /, **objects: object) -> None:
        _check_objects(objects)
        self._config = prepared(_loaded(config), is_all_in_one=True)
        self._files = [config] if isinstance(config, str | Path) else []
        self._sources = from_instances(objects)
        if not self._sources:
            raise StartError("there is no object to serve: RPCWebApp(sample=sample)")
        self._parts: Parts | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """The address of the page, while it is served."""
        return self._parts.url if self._parts is not None else ""

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM, or until its terminal is closed; call it in the main thread.

        With `autoreload` the program is started anew from its first line whenever one of its files changes. Where a
        command imports the program for an object in it (`wispy-worker --object quickstart:sample`), this does nothing.

        Raises:
            StartError: the port is in use, an object cannot be served, or this is not the place to block.
        """
        if is_importing():
            log.info("RPCWebApp.run() does nothing here: the program was imported for an object in it")
            return
        if self._parts is not None:
            raise StartError("it is running already")
        _check_may_block()
        run_all_in_one(self._config, self._sources, enter(self._config, self._files))

    def start(self) -> Self:
        """Serve in the background, until `stop`; the objects' code runs in a thread of its own.

        Raises:
            StartError: it cannot be started as configured.
        """
        if self._parts is not None:
            raise StartError("it is running already")
        open_standard_streams()
        logs.configure(self._config.logging_config, self._config.audit)
        if self._config.autoreload or self._config.debug:
            log.warning("autoreload is for programs that call run(): what start() has started is not started again")
        self._parts = Parts(self._config, self._sources, has_web=True)
        self._failure = None
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="wispy-objects", daemon=True)
        self._thread.start()
        atexit.register(self.stop)
        if not started.wait(START_S):
            self._parts.ask_to_stop()
            self._parts = self._thread = None  # the thread ends by itself, once the object that holds it lets it
            raise StartError(f"it did not start within {START_S} seconds, and is ended")
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self.stop()
            raise failure
        return self

    def _serve(self, started: threading.Event) -> None:
        parts = self._parts
        assert parts is not None
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(parts.serve(started.set))
        except BaseException as error:
            self._failure = error
            if not isinstance(error, WispyError):
                log.exception("serving failed")
            elif started.is_set():  # else `start` raises it
                log.error("serving has ended: %s", error)
        finally:
            started.set()

    def stop(self) -> None:
        """End what `start` has started, and wait for it. It may be called again.

        The end of the program calls it, too. An object's own code asks for the end, and does not wait: it would be
        for itself.
        """
        if self._parts is None or self._thread is None:
            return
        self._parts.ask_to_stop()
        if self._thread is threading.current_thread():
            return
        self._thread.join()
        self._parts = None
        self._thread = None
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def run_all_in_one(config: Config, sources: Sequence[ObjectSource], handover: Handover | None = None) -> None:
    """Serve these objects with frontends and, where none is named, a private Redis; print the URL."""
    open_standard_streams()
    outlive_readers()
    logs.configure(config.logging_config, config.audit)
    parts = Parts(config, sources, has_web=True, handover=handover)
    is_again = handover is not None and handover.given.is_again

    def announce() -> None:
        names = ", ".join(source.name for source in sources)
        sys.stdout.write(f"wispy serves {names} at {parts.url}   (Ctrl-C ends it)\n")
        unserved = parts.still_unserved()
        if unserved:
            sys.stdout.write(f"not served yet: {', '.join(unserved)}; the log says why\n")
        if config.has_console:
            sys.stdout.write(f"the console: {parts.url}console/\n")
        sys.stdout.flush()
        if not is_again and (config.launch == "always" or (config.launch == "auto" and has_desktop())):
            webbrowser.open(parts.url)

    run_parts(parts, announce)


def _check_may_block() -> None:
    """Raise `StartError` where `run` cannot work: signals come to the main thread, and a loop runs in no other."""
    if threading.current_thread() is not threading.main_thread():
        raise StartError("run() is for the main thread: here, call start(), and stop() at the end")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise StartError("run() would block the event loop that runs here, as in a notebook: call start(), later stop()")


def has_desktop() -> bool:
    """Whether a person sits before this machine's screen."""
    if sys.platform in ("darwin", "win32"):
        return sys.stdout.isatty()
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.stdout.isatty()


def _loaded(config: object) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return load(data=cast(Mapping[str, Any], config)).config
    if config is None or isinstance(config, str | Path):
        return load(config).config
    kind = type(config).__name__
    raise StartError(
        f"what comes first is the configuration, a YAML file or a dict, and not an instance of {kind}; "
        "an object has a name: RPCWebApp(sample=sample)"
    )


def _check_objects(objects: Mapping[str, object]) -> None:
    """Raise `StartError` where a setting is meant: a configuration that is served would show its secrets."""
    for name, target in objects.items():
        is_config = name == "config" and isinstance(target, str | Path | Mapping)
        is_setting = name in Config.__struct_fields__ and isinstance(target, str | int | float)
        if is_config or is_setting:
            raise StartError(
                f"{name} would be an object; settings come first, as a YAML file or a dict: "
                "RPCWebApp({'port': 8000}, sample=sample)"
            )
