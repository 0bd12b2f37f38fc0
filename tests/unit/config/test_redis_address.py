import pytest

from wispy.config.redis_address import RedisAddress, fault_of
from wispy.config.schema import RedisConfig, RedisSentinelConfig, RedisTlsConfig
from wispy.config.secrets import mask_url, mask_urls
from wispy.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", RedisAddress()),
        ("redis://cache", RedisAddress(host="cache")),
        ("redis://cache:7000/3", RedisAddress(host="cache", port=7000, database=3)),
        ("redis://cache?db=3", RedisAddress(host="cache", database=3)),
        ("redis://[::1]:7000", RedisAddress(host="::1", port=7000)),
        ("redis://:se%2Fcret@cache", RedisAddress(host="cache", password="se/cret")),
        ("redis://me:secret@cache", RedisAddress(host="cache", user="me", password="secret")),
        ("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
        ("unix:///run/my%20redis.sock?db=2", RedisAddress(path="/run/my redis.sock", database=2)),
        ("unix://me:secret@/run/s", RedisAddress(path="/run/s", user="me", password="secret")),
        ("redis+sentinel://a/lab", RedisAddress(sentinels=(("a", 26379),), master="lab")),
        ("redis+cluster://a", RedisAddress(nodes=(("a", 6379),))),
        ("redis+cluster://me:pw@a:1,[::1]/0", RedisAddress(nodes=(("a", 1), ("::1", 6379)), user="me", password="pw")),
        (
            "redis+sentinel://me:se%2Fcret@a:1,[::1]:2,c/lab/3",
            RedisAddress(
                sentinels=(("a", 1), ("::1", 2), ("c", 26379)),
                master="lab",
                user="me",
                password="se/cret",
                database=3,
            ),
        ),
    ],
)
def test_parses(url: str, expected: RedisAddress) -> None:
    assert RedisAddress.parse(url) == expected


def test_settings_of_their_own_win_over_the_url() -> None:
    address = RedisAddress.parse("redis://me:secret@cache/1", user="other", password="better")
    assert (address.user, address.password, address.database) == ("other", "better", 1)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://cache", "must start with redis:// or rediss:// (TLS), either with +sentinel or +cluster before the"),
        ("cache:6379", "must start with redis://"),
        ("rediss+unix:///run/s", "must start with redis://"),
        ("redis+sentinel://a,b", "must name the master"),
        ("redis+sentinel:///lab", "must name each host"),
        ("redis+sentinel://a,,b/lab", "must name each host"),
        ("redis+sentinel://a:99999/lab", "must have a number from 1 to 65535 as port"),
        ("redis+sentinel://a/lab?db=3", "must not have parameters"),
        ("redis+cluster://a,b?timeout=3", "must not have parameters"),
        ("redis+cluster://", "must name each host"),
        ("redis+cluster://a/1", "must name no database"),
        ("redis+sentinel://a/lab/one", "must name the database by its number, not 'one'"),
        ("redis+sentinel://" + ",".join("abcdefghijklmnopq") + "/lab", "at most 16 hosts, not 17"),
        ("redis://cache:port", "must have a number from 1 to 65535 as port"),
        ("redis://cache:99999", "must have a number from 1 to 65535 as port"),
        ("redis://cache:0", "must have a number from 1 to 65535 as port"),
        ("redis://[::1", "must be a URL"),
        ("redis://cache?protocol=3", "must have no parameter but db, not 'protocol'"),
        ("unix:///run/s?db=3&timeout=", "must have no parameter but db, not 'timeout'"),
        ("redis://cache/one", "must name the database by its number, not 'one'"),
        ("redis://cache/-1", "must name the database by its number, not '-1'"),
        ("unix://", "by an absolute path"),
        ("unix://run/redis.sock", "by an absolute path"),
    ],
)
def test_refuses(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=r"^redis\.url: ") as caught:
        RedisAddress.parse(url)
    assert reason in str(caught.value)


def test_never_shows_the_password() -> None:
    address = RedisAddress.parse("redis://me:secret@cache:7000/3")
    assert str(address) == "redis://cache:7000/3"
    assert "secret" not in repr(address)
    assert str(RedisAddress.parse("unix:///run/s?db=2")) == "unix:///run/s?db=2"
    assert str(RedisAddress.parse("redis://[::1]")) == "redis://[::1]:6379"
    sentinels = RedisAddress.parse("redis+sentinel://me:secret@a,[::1]:7/lab/3")
    assert str(sentinels) == "redis+sentinel://a:26379,[::1]:7/lab/3"
    assert "secret" not in repr(sentinels)
    nodes = RedisAddress.parse("rediss+cluster://me:secret@a,[::1]:7")
    assert str(nodes) == "rediss+cluster://a:6379,[::1]:7"
    assert str(nodes.at("10.0.0.1", 6380)) == "rediss://10.0.0.1:6380"
    assert nodes.at("10.0.0.1", 6380).is_node
    server = sentinels.at("10.0.0.1", 6380)
    assert str(server) == "redis://10.0.0.1:6380/3"
    assert server.password == "secret"
    with pytest.raises(ConfigError) as caught:
        RedisAddress.parse("me:secret@cache")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("character", "/?#@[]%: \u2100\\")
@pytest.mark.parametrize("scheme", ["redis", "unix", "redis+sentinel"])
def test_never_shows_a_password_that_was_not_escaped(scheme: str, character: str) -> None:
    url = f"{scheme}://me:top{character}secret@{'a/lab' if scheme.endswith('sentinel') else '/run/s'}"
    reason = fault_of(url)
    shown = [mask_url(url), mask_urls(f"the URL is {url}, and it is right") if reason is None else reason]
    assert [text for text in shown if "top" in text or "secret" in text] == []


def test_sentinels_may_have_a_login_of_their_own() -> None:
    url = "redis+sentinel://me:secret@a/lab"
    address = RedisConfig(url=url, sentinel=RedisSentinelConfig(password="hidden")).server
    assert (address.sentinel_login, address.user, address.password) == ((None, "hidden"), "me", "secret")
    assert "hidden" not in repr(address)
    assert address.at("10.0.0.1", 6380).sentinel_login is None, "it is not for the servers"
    assert RedisConfig(url=url).server.sentinel_login is None


@pytest.mark.parametrize(
    ("url", "user", "password", "reason"),
    [
        ("redis://cache", None, "hidden", "redis.url names no Sentinels"),
        ("redis+cluster://cache", "me", "hidden", "redis.url names no Sentinels"),
        ("redis+sentinel://a/lab", "me", None, "redis.sentinel.password is missing"),
    ],
)
def test_a_login_for_sentinels_that_cannot_be_is_refused(
    url: str, user: str | None, password: str | None, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        _ = RedisConfig(url=url, sentinel=RedisSentinelConfig(user=user, password=password)).server
    assert "hidden" not in str(caught.value)


def test_tls_is_spoken_where_the_url_says_so() -> None:
    tls = RedisTlsConfig(ca="ca.pem")
    assert RedisAddress.parse("redis://cache", tls=tls).tls is None
    assert RedisAddress.parse("rediss://cache").tls == RedisTlsConfig()
    address = RedisAddress.parse("rediss+sentinel://a/lab", tls=tls)
    assert address.tls == tls
    assert address.at("10.0.0.1", 6380).tls == tls
    assert [str(address), str(address.at("10.0.0.1", 6380))] == [
        "rediss+sentinel://a:26379/lab",
        "rediss://10.0.0.1:6380",
    ]
