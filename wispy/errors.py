"""The errors that wispy's own Python API raises; errors on the wire are in `wispy.protocol.errors`.

    WispyError
    ├── ConfigError     a setting is unknown, of the wrong type or impossible
    ├── StartError      the process cannot start as asked: a port in use, an object that cannot be imported
    └── BrokerError     Redis is out of reach, or refused (its branches are in `wispy.broker.link`)

The commands end with exit status 2 on a `ConfigError` and a `StartError`: the person who started them can mend it.
"""


class WispyError(Exception):
    """Base of every error that wispy raises on purpose."""


class ConfigError(WispyError):
    """A setting is unknown, of the wrong type or impossible; the text names key, value and the nearest valid key."""


class StartError(WispyError):
    """The process cannot start as it was asked to; the text says what to change."""


class UnservableError(StartError):
    """What is to be served cannot be, however often it is tried; the text says what to change."""


class BrokerError(WispyError):
    """Redis is out of reach or refused a command."""
