"""An object that comes to each limit which a worker counts."""

from wispy import rate, snapshot


class Limited:
    @rate(0.001, burst=1)
    def seldom(self) -> None: ...

    def large(self, size: int) -> str:
        return "x" * size

    @snapshot(every=0.1)
    def state(self) -> str:
        return "more than five bytes"
