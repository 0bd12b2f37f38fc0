"""What the tests of the desk share: a desk, a runner that the tests play, and a record of what goes to Redis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from wispy.broker.connection import Argument, OnReply
from wispy.broker.keys import Keys
from wispy.broker.link import Link
from wispy.broker.store import ObjectStore, OnOutcome
from wispy.protocol import relay
from wispy.protocol.memory import Memory
from wispy.protocol.relay import Entry, RelayedRequest, SessionRequests
from wispy.worker.calls import Call, Outcome
from wispy.worker.counts import ObjectCounts
from wispy.worker.desk import MAX_INLINE_BODY, Desk

RUN = "run-1"
NOW = 1_000_000
KEYS = Keys().of("sample")
LARGE = b'"' + b"x" * MAX_INLINE_BODY + b'"'

Answer = tuple[str, str, int, int, Any]
"""Frontend, session, id, kind, body."""


@dataclass
class Sent:
    """One finish script."""

    log: list[tuple[str, bytes]]
    forget: list[str]
    entries: list[str]
    messages: list[tuple[str, str, bytes]]
    on_reply: OnOutcome

    @property
    def answers(self) -> list[Answer]:
        return [
            (channel.rpartition(":")[2], block.session, reply.id, reply.kind, msgspec.json.decode(reply.body))
            for channel, _, message in self.messages
            if channel
            for block in relay.decode_replies(message)
            for reply in block.replies
        ]

    @property
    def logged(self) -> list[Answer]:
        """What goes into the log, without what it says of sessions: as `answers`, "" for the frontend."""
        return [
            ("", block.session, reply.id, reply.kind, msgspec.json.decode(reply.body))
            for _, field, message in self.messages
            if field
            for block in relay.decode_replies(message)
            for reply in block.replies
        ]


class RecordingStore(ObjectStore):
    """Keeps the finish scripts; the tests answer them."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def finish(
        self,
        epoch: str,
        *,
        log: Sequence[tuple[str, bytes]],
        forget: Sequence[str],
        entries: Sequence[str],
        messages: Sequence[tuple[str, str, bytes]],
        on_reply: OnOutcome,
    ) -> None:
        assert epoch == "7-a"
        self.sent.append(Sent(list(log), list(forget), list(entries), list(messages), on_reply))


class RecordingLink(Link):
    """Keeps the commands; the tests answer them."""

    def __init__(self) -> None:
        self.commands: list[tuple[tuple[Argument, ...], OnReply]] = []

    def send(self, args: tuple[Argument, ...], on_reply: OnReply, *, will_flush: bool = False) -> None:
        del will_flush
        self.commands.append((args, on_reply))


@dataclass
class Owner:
    """A desk, and all around it."""

    max_reply_bytes: int = 100 << 20
    store: RecordingStore = field(default_factory=RecordingStore)
    link: RecordingLink = field(default_factory=RecordingLink)
    handed_over: list[Call] = field(default_factory=list[Call])
    fenced: list[bool] = field(default_factory=list[bool])
    forged: list[str] = field(default_factory=list[str])
    counts: ObjectCounts = field(default_factory=ObjectCounts)

    def __post_init__(self) -> None:
        self.desk = Desk(
            self.link,
            self.store,
            KEYS,
            "7-a",
            Memory(RUN, 0, 5000),
            max_start_delay_s=5.0,
            max_reply_bytes=self.max_reply_bytes,
            counts=self.counts,
            on_forged=self.forged.append,
            hand_over=self.handed_over.extend,
            on_fenced=lambda: self.fenced.append(True),
        )

    def take(
        self, entry_id: str, *ids: int, frontend: str = "f1", session: str = "me", ack: int = 0, **other: Any
    ) -> None:
        """An entry with these requests of one session."""
        block = SessionRequests(session, RUN, ack, [], [request(id, **other) for id in ids])
        self.desk.take([(entry_id, relay.encode(Entry(frontend, [block])))], NOW)

    def settle(self, *ids: int, body: bytes = b'"done"') -> None:
        """The runner has these calls' results."""
        calls = {call.id: call for call in self.handed_over}
        self.desk.settle([Outcome(calls[id], body, False) for id in ids])

    @property
    def last(self) -> Sent:
        return self.store.sent[-1]

    @property
    def answers(self) -> list[Answer]:
        """All answers so far."""
        return [answer for sent in self.store.sent for answer in sent.answers]

    @property
    def entries(self) -> list[str]:
        """The entries that were deleted so far."""
        return [entry for sent in self.store.sent for entry in sent.entries]


def request(id: int, *, method: str = "sample.f", params: bytes = b"[]", at: int = NOW) -> RelayedRequest:
    return RelayedRequest(id, at, False, method, msgspec.Raw(params))
