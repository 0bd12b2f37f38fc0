import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wispy.config.schema import LoggingConfig
from wispy.log import configure

NAMES = ["web", "wispy", "wispy.web", "root"]
ACCESS = "wispy.access"


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in [*NAMES, ACCESS]]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
    logging.getLogger(ACCESS).propagate = True


@pytest.fixture
def logged() -> Callable[[LoggingConfig], io.StringIO]:
    def start(config: LoggingConfig) -> io.StringIO:
        stream = io.StringIO()
        configure(config, stream=stream)
        return stream

    return start


Start = Callable[[LoggingConfig], io.StringIO]


@pytest.mark.parametrize("name", NAMES)
def test_each_line_is_written_once(logged: Start, name: str) -> None:
    configure(LoggingConfig(logger=name), stream=io.StringIO())
    stream = logged(LoggingConfig(logger=name))
    logging.getLogger("wispy.frontend").info("from wispy")
    logging.getLogger(name).info("from the application")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert " INFO wispy.frontend[" in lines[0]
    assert lines[1].endswith("from the application")


def test_the_level_is_the_lowest_that_is_logged(logged: Start) -> None:
    stream = logged(LoggingConfig(level="WARNING"))
    logging.getLogger("wispy.x").info("quiet")
    logging.getLogger("wispy.x").warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_without_a_stream_nothing_is_written(logged: Start) -> None:
    stream = logged(LoggingConfig(stream=False))
    logging.getLogger("wispy.x").error("anything")
    assert stream.getvalue() == ""


def test_clients_text_makes_no_lines_and_moves_no_cursor(logged: Start) -> None:
    stream = logged(LoggingConfig())
    logging.getLogger("wispy.x").info("name %s", "a\nINFO forged\r\x1b[2J\u2028")
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().endswith("name a\\nINFO forged\\x0d\\x1b[2J\\u2028\n")


def test_a_traceback_stands_indented_below_its_line(logged: Start) -> None:
    stream = logged(LoggingConfig())
    try:
        raise ValueError("redis://user:hunter2@host")
    except ValueError:
        logging.getLogger("wispy.x").exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("failed")
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "hunter2" not in stream.getvalue()


def test_passwords_in_urls_are_masked(logged: Start) -> None:
    stream = logged(LoggingConfig())
    logging.getLogger("wispy.x").info("connecting to %s", "redis://user:hunter2@host/0")
    assert "redis://user:***@host/0" in stream.getvalue()


def test_the_applications_logger_is_returned() -> None:
    assert configure(LoggingConfig(logger="lab")).name == "lab"
    for handler in list(logging.getLogger("lab").handlers):
        logging.getLogger("lab").removeHandler(handler)


@pytest.mark.parametrize("level", ["INFO", "ERROR"])
def test_the_access_log_in_words_is_lines_like_others_at_any_level(logged: Start, level: Any) -> None:
    configure(LoggingConfig(access="json"), stream=io.StringIO())
    stream = logged(LoggingConfig(access="text", level=level))
    logging.getLogger("wispy.access.worker").info("a line")
    (line,) = stream.getvalue().splitlines()
    assert " INFO wispy.access.worker[" in line
    assert line.endswith("a line")


@pytest.mark.parametrize("name", NAMES)
def test_the_access_log_as_json_is_written_once_and_with_nothing_around_it(logged: Start, name: str) -> None:
    configure(LoggingConfig(access="json", logger=name), stream=io.StringIO())
    stream = logged(LoggingConfig(access="json", logger=name))
    logging.getLogger("wispy.access.worker").info("%s", '{"a": 1}')
    assert stream.getvalue() == '{"a": 1}\n'


def test_without_a_stream_there_is_no_access_log_either(logged: Start) -> None:
    stream = logged(LoggingConfig(access="json", stream=False))
    logging.getLogger("wispy.access.worker").info("a line")
    assert stream.getvalue() == ""
