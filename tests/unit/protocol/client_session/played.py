"""What the tests of a client's session share: a session, what became of its calls, and a server's greeting."""

import json
from typing import Any

from wispy.protocol.client_calls import Call, Hello, Limits
from wispy.protocol.client_session import ClientSession
from wispy.protocol.errors import RPCError

RUN = "r" * 40
OTHER_RUN = "s" * 40


def hello(
    session: str = "s1", *, resumed: bool = False, in_flight: int = 5, run: str = RUN, ms: int = 1000, size: int = 10**6
) -> Hello:
    return Hello(session, "token", run, ms, Limits(in_flight, size), resumed, 60.0)


class Played:
    """A session and what its calls became."""

    def __init__(self) -> None:
        self.session = ClientSession(lambda: 0.0)
        self.settled: list[Call] = []
        self.session.start(0.0)

    def welcome(self, now: float = 0.0, **options: Any) -> bool:
        return self.session.welcome(hello(**options), now)

    def call(self, method: str = "sample.run", now: float = 0.0, **options: Any) -> Call:
        target = options.pop("target", "sample")
        call = Call(method, b"[]", target, now, self.settled.append, **options)
        self.session.submit(call)
        return call

    def sent(self, now: float = 0.0) -> list[dict[str, Any]]:
        return [json.loads(message) for message in self.session.flush(now)]

    def answer(self, call: Call, error: RPCError | None = None, now: float = 0.0) -> None:
        assert self.session.answered(call.id, b"1", error, now) is call

    def break_off(self, now: float) -> None:
        self.session.detach("it broke", now)
