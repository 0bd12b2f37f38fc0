"""HTTP requests that are under way: a frontend that is to end waits for their answers."""

import math


class OpenRequests:
    """What is under way, counted by those who handle it."""

    __slots__ = ("files", "posted_at", "posts")

    def __init__(self) -> None:
        self.posts = 0
        """`POST /rpc` requests and uploads that are not answered."""
        self.posted_at = -math.inf
        """When the last `POST /rpc` came, on the loop's clock."""
        self.files = 0
        """Files that are on their way to somebody."""

    def are_over(self, now_s: float, drain_s: float) -> bool:
        """Whether nobody waits any more, `now_s` on the loop's clock.

        Args:
            now_s: the time.
            drain_s: how long whoever posts may be about to post again. Without any, the end is that of a program on its
                user's own machine, who does not wait for a film that is paused in a page of his.
        """
        is_busy = self.posts or (self.files and drain_s)
        return not is_busy and now_s - self.posted_at >= drain_s
