"""What holds the calls of a test until it has seen enough."""

from pathlib import Path

from tests.support.waiting import wait_until


class Gate:
    """A file that calls of `sample` wait for."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._started = Path(f"{path}.started")

    @property
    def is_reached(self) -> bool:
        return self._started.exists()

    def open(self) -> None:
        Path(self.path).touch()

    async def wait_until_reached(self) -> None:
        await wait_until(lambda: self.is_reached, "the call runs")
