"""Logging: plain lines, set up once by each process from `logging_config`; nothing is configured at import.

Rules:
- Modules log to `logging.getLogger(__name__)`; these loggers end in `wispy`, which follows the application's logger.
- A line is one line, whatever text a client brought into it, and holds no password of a URL.
- The level is set on these loggers only: other libraries' stay as the program has them.
- The access log has its switch, and no level. As JSON it goes past the others' handlers: its lines are whole. So do
  those of the audit log.
"""

import logging
import sys
from typing import Final, TextIO

from wispy.access_log import LOGGER as ACCESS
from wispy.bounded_file import BoundedFile
from wispy.config.schema import AuditConfig, LoggingConfig
from wispy.config.secrets import mask_urls
from wispy.errors import StartError

AUDIT: Final = "wispy.audit"
"""The logger of the audit log."""

_FORMAT = "%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"
# Line breaks and control characters would let a client write log lines of its own, or move the terminal's cursor.
_CONTROLS = {
    **{code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)] if code not in (0x09, 0x0A)},
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def configure(
    config: LoggingConfig, audit: AuditConfig | None = None, *, stream: TextIO | None = None
) -> logging.Logger:
    """Set up the application's logger and wispy's own; calling it again replaces what it set up.

    Args:
        config: the section `logging_config`.
        audit: the section `audit`.
        stream: where lines go, if `config.stream` says that they go anywhere; standard output where not given.

    Returns:
        The logger that `config.logger` names.

    Raises:
        StartError: the file of the audit log cannot be written.
    """
    application = logging.getLogger(config.logger)
    loggers = {application, logging.getLogger("wispy")}
    for logger in loggers:
        logger.setLevel(config.level)
        _remove_ours(logger)
        # A logger hands its records on to those above it: a handler there too would write each line twice.
        if config.stream and not any(_is_above(other, logger) for other in loggers):
            logger.addHandler(_Lines(stream or sys.stdout, _OneLine(_FORMAT)))
    _configure_access(config, stream or sys.stdout)
    _configure_audit(config, audit or AuditConfig(), stream or sys.stdout)
    return application


def _configure_access(config: LoggingConfig, stream: TextIO) -> None:
    logger = logging.getLogger(ACCESS)
    logger.setLevel(logging.INFO)
    _remove_ours(logger)
    logger.propagate = config.access != "json"
    if config.stream and config.access == "json":
        logger.addHandler(_Lines(stream, logging.Formatter()))


def _configure_audit(config: LoggingConfig, audit: AuditConfig, stream: TextIO) -> None:
    logger = logging.getLogger(AUDIT)
    logger.setLevel(logging.INFO)
    _remove_ours(logger)
    handler: logging.Handler | None = None
    if audit.file is not None and audit.events != "off":
        try:
            handler = BoundedFile(audit.file, audit.file_size, audit.files)
        except OSError as error:
            raise StartError(f"audit.file = {audit.file}: cannot be written: {error.strerror}") from error
    elif config.stream:
        handler = _Lines(stream, logging.Formatter())
    logger.propagate = handler is None  # the program's own handlers may want it
    if handler is not None:
        logger.addHandler(handler)


def _remove_ours(logger: logging.Logger) -> None:
    for handler in [one for one in logger.handlers if isinstance(one, _Lines | BoundedFile)]:
        logger.removeHandler(handler)
        if isinstance(handler, BoundedFile):
            handler.close()


def _is_above(other: logging.Logger, logger: logging.Logger) -> bool:
    return other is not logger and (other is logging.root or logger.name.startswith(f"{other.name}."))


class _Lines(logging.StreamHandler[TextIO]):
    """Our handler, of which a logger has at most one."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter) -> None:
        super().__init__(stream)
        self.setFormatter(formatter)


class _OneLine(logging.Formatter):
    """Puts each record on one line, with a traceback indented below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- the name is logging's
        return _clean(super().formatMessage(record)).replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        first, *traceback = super().format(record).split("\n")
        return "\n".join([first, *(f"    {_clean(line)}" for line in traceback)])


def _clean(text: str) -> str:
    return mask_urls(text).translate(_CONTROLS)
