"""A frontend's HTTP server on sockets that are already listening, from start to drained end."""

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wispy import scrape
from wispy.config.schema import LOOPBACK_NAMES, Config
from wispy.errors import StartError
from wispy.frontend.auth.verifying import verifier_of
from wispy.frontend.core import Core
from wispy.frontend.http import application
from wispy.frontend.http_server import BoundedHTTPServer
from wispy.frontend.kin import Relatives
from wispy.frontend.metrics import snapshot
from wispy.metrics import Snapshot
from wispy.timing import wait_until

log = logging.getLogger("wispy.frontend")

BACKLOG = 1024
"""Connections that wait to be accepted: a burst of pages that reconnect, on a system that allows it (somaxconn)."""

AIRPLAY_PORT = 5000
"""The default `port`, which macOS' own AirPlay Receiver listens on, too, since 2021."""

CONNECT_S = 2.0
"""How long the first clients wait for the link to Redis; without it they are served as far as can be, and told."""


class Listening(NamedTuple):
    """The sockets of a frontend; they listen."""

    public: list[socket.socket]
    """For pages, and for all who call."""
    metrics: list[socket.socket]
    """For scrapers and probes alone; none where they have no port of their own."""


def listen_for_metrics(config: Config) -> list[socket.socket]:
    """Listen on `metrics_port`, if there is one.

    Raises:
        StartError: the port is in use, or the address is none of this machine's.
    """
    if config.metrics_port is None:
        return []
    sockets = scrape.bind(config.address, config.metrics_port, "choose another one with `metrics_port: N`")
    log.info("metrics are told at %s", scrape.url_of(sockets, "/metrics"))
    return sockets


def listen(config: Config) -> list[socket.socket]:
    """Listen on the configured port and address, which nobody else may.

    Raises:
        StartError: the port is in use, the address is none of this machine's, or the certificate or what `auth` needs
            cannot be used.
    """
    # Told here, where someone reads it, rather than by each process that serves, and before a socket is open.
    tls_context(config)
    verifier_of(config.auth)
    if config.auth.kind == "proxy" and not config.trusted_proxies:
        raise StartError("auth.kind needs trusted_proxies, whose headers are believed")
    hint = "choose another one with --port N or `port: N`; 0 takes any free one"
    if sys.platform == "darwin" and config.port == AIRPLAY_PORT:
        hint += " (on macOS, AirPlay Receiver may hold this one: System Settings, General, AirDrop & Handoff)"
    sockets = scrape.bind(config.address, config.port, hint, BACKLOG)
    if config.address not in LOOPBACK_NAMES and not config.auth.is_on:
        log.warning(
            "other machines can connect, and no authentication is configured (auth.kind): "
            "they may use all that is served"
        )
    if config.port == 443 and not config.tls.is_on:
        log.warning("port 443 is https', and this server speaks http there: set tls.certificate and tls.key")
    return sockets


def tls_context(config: Config) -> ssl.SSLContext | None:
    """What the port's TLS is made with; None where it speaks plain HTTP.

    Raises:
        StartError: a file is missing, or is no certificate or key, or they do not belong together.
    """
    tls = config.tls
    if not tls.is_on:
        return None
    if tls.certificate is None or tls.key is None:
        raise StartError("TLS needs both tls.certificate and tls.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for name, file in (("certificate", tls.certificate), ("key", tls.key)):
        try:
            with Path(file).open("rb"):
                pass
        except OSError as error:
            raise StartError(f"tls.{name} = {file}: cannot be read: {error.strerror}") from error
    try:
        # A key that is encrypted would ask for its password on the terminal.
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
    except (OSError, ValueError) as error:
        text = getattr(error, "reason", None) or error
        raise StartError(f"tls.certificate and tls.key are no PEM certificate and its plain key: {text}") from error
    return context


def url_of(config: Config, sockets: Sequence[socket.socket]) -> str:
    """The address of the page, for a browser on this machine."""
    port = sockets[0].getsockname()[1]
    is_any = config.address in ("", "0.0.0.0", "::")  # noqa: S104 -- compared, not bound
    host = "127.0.0.1" if is_any else config.address
    host = f"[{host}]" if ":" in host else host
    scheme, usual = ("https", 443) if config.tls.is_on else ("http", 80)
    return f"{scheme}://{host}{'' if port == usual else f':{port}'}{config.base_path}/"


async def serve(
    config: Config,
    sockets: Listening,
    stop: asyncio.Event,
    relatives: Relatives,
    process: str = "frontend-0",
) -> None:
    """Serve until `stop` is set; then drain, and close what was opened, the sockets too.

    Args:
        config: the configuration.
        sockets: they listen.
        stop: ends it.
        relatives: the processes beside this one.
        process: its name, in metrics.
    """
    core = Core(config, process)

    async def tell() -> list[Snapshot]:
        return [snapshot(core)]

    async def tell_of_all() -> list[Snapshot]:
        return [snapshot(core), *await relatives.ask()]

    relatives.tell = tell
    await core.start()
    server = BoundedHTTPServer(
        application(core, tell_of_all),
        core=core,
        max_body_size=config.limits.http_body,
        body_timeout=config.limits.http_body_time,
        idle_connection_timeout=config.limits.http_idle,
        ssl_options=tls_context(config),
        xheaders=False,  # `forwarded` reads them, and from trusted proxies only
    )
    core.refuses_http = lambda: server.is_full
    # Alive is who answers.
    for_metrics = scrape.serve(sockets.metrics, tell_of_all, not_alive=list, not_ready=core.reasons_not_ready)
    try:
        # The sockets listen already: who connects meanwhile waits a moment, instead of being told that Redis is away.
        await wait_until(lambda: stop.is_set() or not core.reasons_not_ready(), CONNECT_S)
        server.add_sockets(sockets.public)
        await stop.wait()
        await core.drain()
        server.stop()
    finally:
        for_metrics.stop()
        await core.stop()
        await server.close_all_connections()
        await for_metrics.close_all_connections()
