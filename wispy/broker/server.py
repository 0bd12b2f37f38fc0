"""What is known of the Redis server behind a connection: its run id and its clock.

The clock is an estimate that is never later than the server's own: `TIME` was true before its reply arrived, and
monotonic time since the arrival is added. So errors make a stamp older, never younger.
"""

# How much two clocks may drift apart, in seconds per second. NTP slews by up to 500 ppm; quartz alone by 100.
DRIFT = 0.0005

# Of the servers of a Cluster, and of their former lives.
MAX_CLOCKS = 256


class Server:
    """One run of a Redis server. `run_id` changes with each start of it."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._server_s = 0.0  # the server's clock in the sample that is used ...
        self._arrived_s = 0.0  # ... when its reply arrived, on the monotonic clock ...
        self._round_trip_s = float("inf")  # ... and how long that took: the true time is at most this much later

    def now_ms(self, monotonic_s: float) -> int:
        """The server's clock in milliseconds at `monotonic_s` (time.monotonic()): the true value or less."""
        return int((self._server_s + monotonic_s - self._arrived_s) * 1000)

    def latest_ms(self, monotonic_s: float) -> int:
        """The same: the true value or more."""
        late_s = self._round_trip_s + (monotonic_s - self._arrived_s) * DRIFT
        return self.now_ms(monotonic_s) + int(late_s * 1000) + 1

    def add_sample(self, reply: list[bytes], sent_s: float, arrived_s: float) -> float:
        """Take note of a reply to TIME, with the monotonic times when it was asked for and when it arrived.

        A sample is used if it is sharper than the one in use has become by drift, or if the one in use cannot be
        right: the server's clock was set, or the machine has slept, which the monotonic clock does not count.

        Returns:
            by how many seconds the estimate is corrected.
        """
        server_s = int(reply[0]) + int(reply[1]) / 1e6
        round_trip_s = arrived_s - sent_s
        age_s = arrived_s - self._arrived_s
        estimate_s = self._server_s + age_s
        error_s = self._round_trip_s + age_s * DRIFT  # it is at most so much too early
        is_wrong = estimate_s > server_s + round_trip_s or estimate_s + error_s < server_s
        if not (is_wrong or round_trip_s <= error_s):
            return 0.0
        self._server_s, self._arrived_s, self._round_trip_s = server_s, arrived_s, round_trip_s
        return server_s - estimate_s


class Clocks:
    """The clocks of several servers, so that a time on one can be told on another."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}

    def add(self, server: Server) -> None:
        """Know a server; the clock of one that is gone is still known, since clients may have stamped by it."""
        self._servers.pop(server.run_id, None)
        self._servers[server.run_id] = server
        if len(self._servers) > MAX_CLOCKS:
            del self._servers[next(iter(self._servers))]

    def shift_ms(self, run_id: str, to: Server, monotonic_s: float) -> int | None:
        """What to add to a time on one server's clock to have it on another's: never too late, at most a little too
        early. None if the first one is not known.
        """
        server = self._servers.get(run_id)
        return None if server is None else to.now_ms(monotonic_s) - server.latest_ms(monotonic_s)
