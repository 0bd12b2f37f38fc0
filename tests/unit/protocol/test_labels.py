from wispy.protocol.labels import public_name, request_name


def test_a_session_has_one_public_name_which_does_not_hold_its_own() -> None:
    own = "0123456789abcdef01234567"
    assert public_name(own) == public_name(own)
    assert len(public_name(own)) == 12
    assert not any(own[start : start + 4] in public_name(own) for start in range(len(own) - 3))
    assert public_name(own) != public_name(f"{own}0")


def test_a_request_is_named_by_its_session_and_id() -> None:
    assert request_name("s", 7) == f"{public_name('s')}:7" == request_name("s", "7")
