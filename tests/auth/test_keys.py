import hmac
import logging
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipemount.auth import AuthKeys, Key
from pipemount.errors import ConfigurationError, MalformedRequestError, UnauthenticatedError
from pipemount.types import Principal

SECRET = "pm_0123456789abcdef"
BASIC = 'Basic realm="pipemount", charset="UTF-8"'
BEARER = 'Bearer realm="pipemount"'


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now.timestamp()


def basic(name: str | bytes, key: str | bytes, scheme: bytes = b"Basic ") -> bytes:
    parts = [part.encode() if isinstance(part, str) else part for part in (name, key)]
    return scheme + b64encode(b":".join(parts))


def refusal(keys: AuthKeys, authorization: bytes | None, api_key: bytes | None = None) -> UnauthenticatedError:
    with pytest.raises(UnauthenticatedError) as caught:
        keys.authenticate(authorization, api_key)
    return caught.value


@pytest.fixture
def keys() -> AuthKeys:
    return AuthKeys([Key("ci", SECRET, permissions=("invoke",)), Key("web", "a:b:c, a long enough key")])


# ------------------------------------------------------------------------------------- presenting


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        (b"Bearer " + SECRET.encode(), None),
        (b"bEARER   " + SECRET.encode(), None),
        (None, SECRET.encode()),
        (basic("ci", SECRET), None),
        (basic("ci", SECRET, b"bAsIc "), None),
        (basic("", SECRET), None),
    ],
)
def test_each_way_of_presenting_a_key(keys: AuthKeys, authorization: bytes | None, api_key: bytes | None) -> None:
    assert keys.authenticate(authorization, api_key) == Principal("ci", frozenset({"invoke"}), "key")


def test_a_basic_password_may_have_colons(keys: AuthKeys) -> None:
    assert keys.authenticate(basic("web", "a:b:c, a long enough key"), None).name == "web"


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!!!",
        b"Basic " + b64encode(SECRET.encode()),  # no colon
        b"Basic " + b64encode(b"ci:" + SECRET.encode()).rstrip(b"=")[:-1],
        basic("web", SECRET),  # a right key under a wrong name
        basic("ci", ""),
        basic("", ""),
        basic("ci", "wrong"),
        basic(b"\xff\xfe", SECRET),
        basic("ci\x00", SECRET),
        basic("ci", SECRET + "\r\n"),
        basic(SECRET, ""),
        b"Bearer",
        b"Bearer ",
        b"Bearer wrong",
        b"Bearer " + SECRET.encode() + b", Bearer " + SECRET.encode(),
        b"Digest username=ci",
        b"\xff\xfe",
    ],
)
def test_credentials_that_are_refused(keys: AuthKeys, authorization: bytes) -> None:
    error = refusal(keys, authorization)
    assert error.status == 401
    assert error.challenges[0] == BASIC
    assert error.challenges[1].startswith(BEARER)


def test_the_challenges_without_a_key_and_with_wrong_ones(keys: AuthKeys) -> None:
    assert refusal(keys, None).challenges == (BASIC, BEARER)
    assert refusal(keys, None, b"wrong").challenges == (BASIC, BEARER)
    assert refusal(keys, basic("ci", "wrong")).challenges == (BASIC, BEARER)
    assert refusal(keys, b"Bearer wrong").challenges == (BASIC, BEARER + ', error="invalid_token"')


def test_two_credentials_in_one_request(keys: AuthKeys) -> None:
    with pytest.raises(MalformedRequestError, match="two credentials"):
        keys.authenticate(b"Bearer " + SECRET.encode(), SECRET.encode())
    with pytest.raises(MalformedRequestError, match="two credentials"):
        keys.authenticate(None, SECRET.encode(), duplicated=True)


@pytest.mark.parametrize(
    "secret", ["clé-trop-connue-déjà", "пароль-подлиннее-этого", "鍵鍵鍵鍵鍵鍵鍵鍵鍵鍵鍵鍵鍵鍵鍵鍵"]
)
def test_keys_that_are_not_ascii(secret: str) -> None:
    keys = AuthKeys([Key("clé", secret)])
    assert keys.authenticate(basic("clé", secret), None).name == "clé"
    assert keys.authenticate(b"Bearer " + secret.encode(), None).name == "clé"
    assert keys.authenticate(None, secret.encode()).name == "clé"
    assert refusal(keys, None, secret.encode() + b"\xff").status == 401


def test_a_client_that_sends_iso_8859_1_or_decomposed_letters() -> None:
    keys = AuthKeys([Key("clé", "clé-trop-connue-déjà")])
    assert keys.authenticate(None, "clé-trop-connue-déjà".encode("latin-1")).name == "clé"
    assert keys.authenticate(basic("cle\u0301", "cle\u0301-trop-connue-de\u0301ja\u0300"), None).name == "clé"


def test_one_scheme_can_be_all_that_is_accepted() -> None:
    bearer = AuthKeys([SECRET], accept=("bearer",))
    assert bearer.authenticate(b"Bearer " + SECRET.encode(), b"a header for someone else").name == "key-1"
    assert refusal(bearer, basic("", SECRET)).challenges == (BEARER,)
    assert refusal(bearer, None, SECRET.encode()).challenges == (BEARER,)

    basic_only = AuthKeys([SECRET], accept="basic", realm="forecasts")
    assert refusal(basic_only, b"Bearer " + SECRET.encode()).challenges == ('Basic realm="forecasts", charset="UTF-8"',)

    api_key = AuthKeys([SECRET], accept=["api-key"])
    assert refusal(api_key, basic("", SECRET)).challenges == ('ApiKey realm="pipemount"',)
    assert api_key.accept == ("api-key",)


# ------------------------------------------------------------------------------- digests and time


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("which", ["first", "last", "none", "empty"])
def test_every_key_is_compared_match_or_not(monkeypatch: pytest.MonkeyPatch, count: int, which: str) -> None:
    secrets = [f"key number {number} of many" for number in range(count)]
    keys = AuthKeys(secrets)
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    presented = {"first": secrets[0], "last": secrets[-1], "none": "no such key", "empty": ""}[which].encode()
    for authorization, api_key in ((b"Bearer " + presented, None), (None, presented), (basic("", presented), None)):
        compared.clear()
        try:
            keys.authenticate(authorization, api_key)
        except UnauthenticatedError:
            assert which in ("none", "empty")
        else:
            assert which in ("first", "last")
        assert compared == [(32, 32)] * count


def reachable(value: Any, seen: set[int]) -> list[Any]:
    if id(value) in seen:
        return []
    seen.add(id(value))
    inner: list[Any] = []
    if isinstance(value, tuple | list | set | frozenset):
        inner += value
    if isinstance(value, dict):
        inner += [*value, *value.values()]
    for name in (*getattr(value, "__slots__", ()), *getattr(value, "__dict__", {})):
        inner.append(getattr(value, name, None))
    return [value, *(found for each in inner for found in reachable(each, seen))]


def test_the_plaintext_is_not_kept(keys: AuthKeys) -> None:
    everything = reachable(keys, set())
    assert any(isinstance(value, bytes) and len(value) == 32 for value in everything)
    assert not [value for value in everything if isinstance(value, str | bytes) and SECRET in str(value)]
    assert SECRET not in repr(keys)
    assert repr(keys) == "AuthKeys(names=('ci', 'web'), accept=('basic', 'bearer', 'api-key'))"


def test_an_expired_key_is_refused() -> None:
    expiry = datetime(2030, 1, 1, tzinfo=UTC)
    clock = Clock(expiry - timedelta(microseconds=1))
    keys = AuthKeys([Key("ci", SECRET, expires=expiry), Key("web", "another good key")], clock=clock)
    assert keys.authenticate(b"Bearer " + SECRET.encode(), None).name == "ci"

    clock.now = expiry
    error = refusal(keys, b"Bearer " + SECRET.encode())
    assert "expired" in str(error)
    assert error.challenges[1] == BEARER + ', error="invalid_token"'
    assert keys.authenticate(b"Bearer another good key", None).name == "web"


def test_two_live_keys_may_share_a_name() -> None:
    keys = AuthKeys([Key("ci", "the old one, still in use"), Key("ci", "the new one, already in use")])
    assert keys.authenticate(basic("ci", "the old one, still in use"), None).name == "ci"
    assert keys.authenticate(basic("ci", "the new one, already in use"), None).name == "ci"


# ----------------------------------------------------------------------------------- constructing


def test_names_are_given_where_none_are() -> None:
    assert AuthKeys(["one good long key", Key("ci", SECRET), "two good long keys"]).names == ("key-1", "ci", "key-3")
    assert AuthKeys({"ci": SECRET, "web": "another good key"}).names == ("ci", "web")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], "no key"),
        ({}, "no key"),
        ([""], "empty"),
        (["  \t"], "empty"),
        (["one\ntwo"], "control characters"),
        ([" one"], "white space"),
        ([b"bytes are not text"], "bytes"),
        ([None], "NoneType"),
        (SECRET, r"AuthKeys\(\[key\]\)"),
        ([SECRET, Key("ci", SECRET)], "'key-1' and 'ci' are the same"),
    ],
)
def test_keys_that_cannot_be_used(keys: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        AuthKeys(keys)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("options", [{"accept": ()}, {"accept": ("cookie",)}, {"realm": 'a"b'}, {"realm": "a\nb"}])
def test_settings_that_cannot_be_used(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AuthKeys([SECRET], **options)


def test_a_generated_key_is_told_once() -> None:
    keys = AuthKeys.generate("ci", permissions=("read",))
    secret = keys.generated
    assert secret is not None
    assert keys.generated is None
    assert secret not in repr(keys)
    assert keys.authenticate(None, secret.encode()) == Principal("ci", frozenset({"read"}), "key")
    assert AuthKeys([SECRET]).generated is None


# ---------------------------------------------------------------------------------------- logging


def test_logs_name_keys_and_never_show_them(keys: AuthKeys, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="pipemount.auth")
    keys.authenticate(b"Bearer " + SECRET.encode(), None)
    for authorization in (None, b"Bearer almost_" + SECRET.encode(), basic("ci\r\nforged: line", SECRET), b"Digest x"):
        refusal(keys, authorization)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "admitted: the key 'ci'"),
        ("INFO", "refused: no key"),
        ("WARNING", "refused: a wrong key"),
        ("WARNING", "refused: a wrong key"),
        ("INFO", "refused: a scheme that is not accepted"),
    ]


def test_success_makes_no_record_unless_it_is_asked_for(keys: AuthKeys, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pipemount.auth")
    keys.authenticate(b"Bearer " + SECRET.encode(), None)
    assert caplog.records == []
