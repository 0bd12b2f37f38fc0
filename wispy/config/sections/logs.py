"""The section on the log."""

from typing import Annotated, Literal

from wispy.config.sections.base import Duration, Section, about
from wispy.config.units import Seconds

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


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
