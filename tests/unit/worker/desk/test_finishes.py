"""Batches that Redis does not confirm, and those that come after them."""

from tests.unit.worker.desk.owner import NOW, Owner
from wispy.broker.errors import LinkLost
from wispy.worker.desk import MAX_IN_FLIGHT


def test_failed_batches_are_sent_again_in_their_order_and_later_ones_wait_for_them(owner: Owner) -> None:
    for id in (1, 2, 3):
        owner.take(f"1-{id}", id)
    owner.settle(1)
    owner.settle(2)
    first, second = owner.store.sent
    second.on_reply(LinkLost("gone"))
    first.on_reply(LinkLost("gone"))
    owner.settle(3)
    assert len(owner.store.sent) == 2, "it would overtake"
    owner.desk.resend()
    again = owner.store.sent[2:]
    assert [sent.entries for sent in again] == [["1-1"], ["1-2"], ["1-3"]]
    assert again[0].answers == first.answers
    assert (again[0].log, again[0].messages) == (first.log, first.messages)
    for sent in again:
        assert not owner.desk.is_settled
        sent.on_reply(True)
    assert owner.desk.is_settled
    owner.desk.resend()
    assert len(owner.store.sent) == 5, "what is confirmed is not sent again"


def test_nothing_is_taken_while_too_many_batches_are_unconfirmed(owner: Owner) -> None:
    assert owner.desk.room == MAX_IN_FLIGHT
    owner.take("1-1", 1)
    assert owner.desk.room == MAX_IN_FLIGHT - 1
    for _ in range(MAX_IN_FLIGHT):
        owner.desk.take([("2-1", b"no entry")], NOW)
    assert owner.desk.room == 0
    owner.last.on_reply(True)
    assert owner.desk.room == MAX_IN_FLIGHT - 1


def test_another_owner_is_reported_and_nothing_is_sent_again(owner: Owner) -> None:
    owner.take("1-1", 1)
    owner.settle(1)
    owner.last.on_reply(False)
    assert owner.fenced == [True]
    owner.desk.resend()
    assert len(owner.store.sent) == 1
