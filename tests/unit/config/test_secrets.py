import time

import pytest

from wispy.config.secrets import mask_url, mask_urls


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to redis://me:pw@host:1/2, and rediss://:p@w@host", "to redis://me:***@host:1/2, and rediss://:***@host"),
        ("url=redis://me:pw@host", "url=redis://me:***@host"),
        ('{"from":"http://a:1/x","user":"b@c"}', '{"from":"http://a:1/x","user":"b@c"}'),
        ("redis://host:1/2 and a@b", "redis://host:1/2 and a@b"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, masked: str) -> None:
    assert mask_urls(text) == masked


@pytest.mark.parametrize("text", ["a" * 200_000, "a://:" * 40_000, "a://" * 40_000])
def test_a_long_text_takes_no_time(text: str) -> None:
    """As somebody's own code may log an image."""
    began = time.process_time()
    assert mask_urls(text) == text
    assert time.process_time() - began < 1


def test_of_a_text_that_is_to_be_a_url_all_before_the_last_at_is_taken_for_a_password() -> None:
    assert mask_url("redis://me:a/b@c d#@host/1") == "redis://me:***@host/1"
    assert mask_url("redis://host:1/2") == "redis://host:1/2"
    assert mask_url("me@host:1") == "me@host:1"
