from pathlib import Path

import pytest

from wispy.protocol import errors, relay
from wispy.protocol.denials import MEANINGS, OF_FRONTEND, OF_OWNER, REASONS, Reason

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "audit.md"


def test_the_page_has_each_reason() -> None:
    text = DOCS.read_text()
    rows = text[text.index("## Reasons") : text.index("## When")].splitlines()
    assert [row for row in rows if row.startswith("| `")] == [f"| `{each}` | {MEANINGS[each]} |" for each in REASONS]


@pytest.mark.parametrize("reason", REASONS)
def test_a_reply_carries_the_reason_and_is_an_error(reason: Reason) -> None:
    kind = relay.denied_kind(reason)
    assert relay.denied_reason(kind) == reason
    assert relay.is_error(kind)


def test_a_reason_that_this_frontend_does_not_know_is_no_fault() -> None:
    assert relay.denied_reason(relay.DENIED + 1000) in REASONS


def test_other_replies_deny_nothing() -> None:
    kinds = (relay.RESULT, relay.ERROR, relay.STORED_RESULT, relay.EXTENDED)
    assert [relay.is_error(kind) for kind in kinds] == [False, True, False, False]
    assert max(kinds) < relay.DENIED


def test_the_client_does_not_learn_why() -> None:
    assert errors.NOT_FOUND(denied="role").to_json() == errors.NOT_FOUND().to_json()
    assert errors.NOT_FOUND().denied == "absent"
    assert errors.INVALID_PARAMS().denied is None


def test_each_reason_is_somebody_s_and_explained() -> None:
    assert {*OF_OWNER, *OF_FRONTEND} == {*REASONS} == {*MEANINGS}
