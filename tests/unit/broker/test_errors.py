import pytest

from wispy.broker.errors import BrokerError, CommandTimeout, LinkDown, LinkLost, ReplyError, Unfit


@pytest.mark.parametrize(
    ("text", "code"),
    [("NOGROUP No such key", "NOGROUP"), ("OOM command not allowed", "OOM"), ("ERR", "ERR"), ("", "")],
)
def test_the_code_of_a_reply_error_is_its_first_word(text: str, code: str) -> None:
    error = ReplyError(text)
    assert (error.code, str(error)) == (code, text)


def test_not_sent_and_unknown_are_different_families() -> None:
    assert issubclass(CommandTimeout, LinkLost)
    assert not issubclass(LinkDown, LinkLost)
    assert all(issubclass(kind, BrokerError) for kind in (LinkDown, LinkLost, ReplyError))
    assert issubclass(Unfit, ReplyError), "a definite answer"
