"""What one frontend process counts, all of it beside the path of a call: plain numbers, which are never taken back."""

from wispy.limits import FrontendLimit
from wispy.metrics import Histogram


class FrontendCounts:
    """What one frontend process counts off its hot path."""

    __slots__ = (
        "conflated",
        "dropped",
        "gaps",
        "lag",
        "limits",
        "opened",
        "recovered",
        "slow",
        "slow_closed",
        "told",
    )

    def __init__(self) -> None:
        self.opened = 0
        """Websockets."""
        self.limits: dict[FrontendLimit, int] = {}
        """How often each bound was reached."""
        self.slow = 0
        """Times that a reader fell behind its channels."""
        self.slow_closed = 0
        """Readers that were closed since they left too many replies unread."""
        self.conflated = 0
        """Updates of values that slow readers skipped."""
        self.dropped = 0
        """Messages of events that slow readers missed."""
        self.gaps = 0
        """Repairs of channels that were begun."""
        self.recovered = 0
        """Those of them that succeeded."""
        self.told = 0
        """Gaps that history could not fill, and subscribers are told of."""
        self.lag = Histogram()
        """From Redis' publishing of a renewal to its arrival."""

    def hit(self, limit: FrontendLimit) -> None:
        """A bound was reached."""
        self.limits[limit] = self.limits.get(limit, 0) + 1
