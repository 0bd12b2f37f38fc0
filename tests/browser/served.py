"""What `wispy serve` and `wispy-worker` serve here: the quickstart's class, whose own module starts an app."""


class Sample:
    a = 1

    tracked_channel_values = {"a": 1, "b": "test", "c": [2, 3], "d": {"e": 5}}  # noqa: RUF012 -- as in the quickstart

    def test_sum(self, a, b):
        return a + b
