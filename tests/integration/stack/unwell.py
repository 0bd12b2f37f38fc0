"""Objects that cannot be made. Imported by workers, not by the tests."""

import time


class Broken:
    def __init__(self) -> None:
        raise RuntimeError("no such instrument")


def never() -> object:
    while True:
        time.sleep(0.1)
