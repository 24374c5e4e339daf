import hmac
import json
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipemount.auth import AuthKeys, Key, Tokens, generate_key
from pipemount.auth.tokens import _pen, _pen_of_key
from pipemount.errors import ConfigurationError, ForbiddenError, UnauthenticatedError
from pipemount.types import Principal

START = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "pm_0123456789abcdef"
OTHER = "pm_fedcba9876543210"
APP_SECRET = "a secret that nobody is going to guess"
JOB = "01936f5e-7c00-7000-8000-000000000001"
ADA = Principal("ada", frozenset({"invoke", "read", "cancel"}), "django")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(clock: Clock, *keys: Key, secret: str | list[str] | None = None) -> Tokens:
    return Tokens(AuthKeys(keys, clock=clock) if keys else None, secret, clock=clock)


def refusal(tokens: Tokens, token: str) -> UnauthenticatedError:
    with pytest.raises(UnauthenticatedError) as caught:
        tokens.verify(token)
    assert token == "" or token not in str(caught.value)
    return caught.value


# ------------------------------------------------------------------------------------------- the bearer


@pytest.mark.parametrize("permission", ["read", "cancel"])
def test_the_bearer_is_named_after_the_signer_and_may_do_one_thing(clock: Clock, permission: str) -> None:
    key = Key("ci", SECRET, permissions=("admin",))
    tokens = made(clock, key)
    signed = tokens.sign(JOB, permission, 60, key.principal)
    bearer = tokens.verify(signed.token)
    assert bearer == Principal("ci", frozenset({permission}), "key", job_id=JOB, sees_all=True)
    assert not any(bearer.may(other) for other in {"invoke", "read", "cancel", "admin"} - {permission})
    assert signed.expires == START.timestamp() + 60


def test_host_users_and_the_app_itself_sign_with_the_apps_secret(clock: Clock) -> None:
    tokens = made(clock, Key("ci", SECRET), secret=APP_SECRET)
    assert tokens.verify(tokens.sign(JOB, "read", 60, ADA).token) == Principal(
        "ada", frozenset({"read"}), "django", job_id=JOB
    )
    assert tokens.verify(tokens.sign(JOB, "read", 60, None).token) == Principal(
        "app", frozenset({"read"}), "app", job_id=JOB, sees_all=True
    )


def test_whose_jobs_a_bearer_sees(clock: Clock) -> None:
    ci, boss = Key("ci", SECRET), Key("boss", OTHER, permissions=("admin",))
    root = Principal("root", frozenset({"admin"}), "django")
    for secret in (None, APP_SECRET):
        tokens = made(clock, ci, boss, secret=secret)
        signers = (ci.principal, ADA, boss.principal, root, None)
        bearers = [tokens.verify(tokens.sign(JOB, "read", 60, signer).token) for signer in signers]
        assert [bearer.sees_all for bearer in bearers] == [False, False, True, True, True]
    demoted = made(clock, ci, Key("boss", OTHER))
    assert not demoted.verify(made(clock, boss).sign(JOB, "read", 60, boss.principal).token).sees_all


def test_nobody_signs_what_they_may_not_do(clock: Clock) -> None:
    reader = Key("reader", SECRET, permissions=("read",))
    tokens = made(clock, reader)
    with pytest.raises(ForbiddenError, match="cancel"):
        tokens.sign(JOB, "cancel", 60, reader.principal)


def test_a_token_makes_no_other_token(clock: Clock) -> None:
    key = Key("ci", SECRET)
    tokens = made(clock, key)
    bearer = tokens.verify(tokens.sign(JOB, "read", 60, key.principal).token)
    with pytest.raises(ForbiddenError):
        tokens.sign(JOB, "read", 60, bearer)


# ------------------------------------------------------------------------------------------- its end


def test_a_token_expires(clock: Clock) -> None:
    key = Key("ci", SECRET)
    tokens = made(clock, key)
    token = tokens.sign(JOB, "read", 60, key.principal).token
    clock.now += timedelta(seconds=59)
    assert tokens.verify(token).name == "ci"
    clock.now += timedelta(seconds=1)
    assert "expired" in str(refusal(tokens, token))


def test_a_token_does_not_outlive_its_key(clock: Clock) -> None:
    key = Key("ci", SECRET, expires=START + timedelta(seconds=10))
    tokens = made(clock, key, Key("other", OTHER))
    signed = tokens.sign(JOB, "read", 60, key.principal)
    assert signed.expires == START.timestamp() + 10
    clock.now += timedelta(seconds=10)
    assert "not valid" in str(refusal(tokens, signed.token))
    with pytest.raises(UnauthenticatedError, match="'ci' has ended"):
        tokens.sign(JOB, "read", 60, key.principal)


def test_a_key_that_is_removed_or_changed_takes_its_tokens_along(clock: Clock) -> None:
    old = Key("ci", SECRET)
    token = made(clock, old).sign(JOB, "read", 60, old.principal).token
    assert made(clock, Key("ci", SECRET)).verify(token).name == "ci"  # another process with the same key
    refusal(made(clock, Key("web", OTHER)), token)
    refusal(made(clock, Key("ci", OTHER)), token)  # rotated under its name
    refusal(made(clock, Key("web", SECRET)), token)  # another name
    refusal(made(clock, Key("ci", SECRET, permissions=("invoke",))), token)  # it lost the permission
    refusal(made(clock), token)  # an app without keys


def test_a_key_file_that_changes_ends_tokens_at_once(tmp_path: Path) -> None:
    now = [0.0]
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text(f"ci:{SECRET}")
    keys = AuthKeys.from_file(file, monotonic=lambda: now[0])
    tokens = Tokens(keys)
    token = tokens.sign(JOB, "read", 60, keys.authenticate(None, SECRET.encode())).token
    assert tokens.verify(token).name == "ci"
    file.write_text(f"ci:{OTHER},web:{generate_key()}")
    now[0] += 1.0
    refusal(tokens, token)


def test_during_a_rotation_each_of_two_keys_signs_and_ends_for_itself(clock: Clock) -> None:
    old, new = Key("ci", SECRET), Key("ci", OTHER)
    both = made(clock, old, new)
    by_old, by_new = (both.sign(JOB, "read", 60, key.principal).token for key in (old, new))
    assert both.verify(by_old) == both.verify(by_new)
    after = made(clock, Key("ci", OTHER))
    assert after.verify(by_new).name == "ci"
    refusal(after, by_old)


def test_a_principal_whose_key_was_read_again_signs_with_the_last_of_its_name(clock: Clock) -> None:
    earlier = Key("ci", SECRET).principal
    token = made(clock, Key("ci", SECRET), Key("ci", OTHER)).sign(JOB, "read", 60, earlier).token
    assert made(clock, Key("ci", OTHER)).verify(token).name == "ci"


# ------------------------------------------------------------------------------------- the app's secret


def test_the_secret_rotates(clock: Clock) -> None:
    new = "another secret, which is as long as the first"
    token = made(clock, secret=APP_SECRET).sign(JOB, "read", 60, ADA).token
    assert made(clock, secret=[new, APP_SECRET]).verify(token).name == "ada"
    refusal(made(clock, secret=new), token)
    refusal(made(clock, secret=APP_SECRET), made(clock, secret=[new, APP_SECRET]).sign(JOB, "read", 60, ADA).token)


def test_with_a_secret_the_digest_of_a_key_signs_nothing(clock: Clock) -> None:
    key = Key("ci", SECRET)
    stolen = made(clock, Key("ci", "sha256:" + key.hash.hex())).sign(JOB, "read", 60, ADA_OF_KEY).token
    assert made(clock, key).verify(stolen).name == "ci"
    refusal(made(clock, key, secret=APP_SECRET), stolen)


ADA_OF_KEY = Principal("ci", frozenset({"read"}))


def test_without_a_secret_tokens_end_with_the_process_and_the_log_says_so(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = made(clock)
    token, _ = tokens.sign(JOB, "read", 60, ADA), tokens.sign(JOB, "read", 60, ADA)
    assert tokens.verify(token.token).name == "ada"
    refusal(made(clock), token.token)
    assert [record.levelname for record in caplog.records].count("WARNING") == 2
    assert "without a token_secret" in caplog.messages[0]


@pytest.mark.parametrize("secret", ["", "short", [], [APP_SECRET, ""], [APP_SECRET, None]])
def test_secrets_that_cannot_be_used(secret: Any) -> None:
    with pytest.raises(ConfigurationError, match="32 characters"):
        Tokens(None, secret)


# ---------------------------------------------------------------------------------------- forgeries


def spelled_differently(token: str) -> list[str]:
    """What a lenient base64 decoder takes for the same bytes."""
    payload, _, signature = token.rpartition(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(signature[-1]) ^ 1]
    return [f"{payload}.{signature[:-1]}{last}", f"{token}=", f"{payload}.!{signature}", f"{token}\n", f" {token}"]


def test_any_change_makes_a_token_worthless(clock: Clock) -> None:
    key = Key("ci", SECRET)
    tokens = made(clock, key)
    token = tokens.sign(JOB, "read", 60, key.principal).token
    for place, letter in enumerate(token):
        refusal(tokens, token[:place] + ("A" if letter != "A" else "B") + token[place + 1 :])
        refusal(tokens, token[:place])
    for spelling in spelled_differently(token):
        refusal(tokens, spelling)
    for nonsense in ("", ".", "..", token * 20, token + "é", "\ud800", token.replace(".", ""), f".{token}"):
        refusal(tokens, nonsense)


def test_no_other_job_permission_or_time_can_be_written_into_a_token(clock: Clock) -> None:
    tokens = made(clock, Key("ci", SECRET, permissions=("admin",)))
    token = tokens.sign(JOB, "read", 60, ADA_OF_KEY).token
    payload, _, signature = token.rpartition(".")
    said = json.loads(urlsafe_b64decode(payload + "=="))
    assert said == ["read", JOB, START.timestamp() + 60]
    for forged in (["cancel", *said[1:]], ["read", "other", said[2]], [*said[:2], said[2] + 1], [*said, "boss", "key"]):
        written = urlsafe_b64encode(json.dumps(forged, separators=(",", ":")).encode()).rstrip(b"=").decode()
        refusal(tokens, f"{written}.{signature}")


def test_refusals_carry_a_challenge_that_opens_no_dialog(clock: Clock) -> None:
    keys = AuthKeys([Key("ci", SECRET)], realm="shop", clock=clock)
    assert refusal(Tokens(keys), "x").challenges == ('Bearer realm="shop", error="invalid_token"',)
    assert refusal(made(clock), "x").challenges == ('Bearer realm="pipemount", error="invalid_token"',)


def test_whoever_has_a_key_can_make_no_token_of_the_app_or_of_another(clock: Clock) -> None:
    """With a key and this source a token can be made without asking; it names nobody but the key."""
    ci = Key("ci", SECRET)
    app = made(clock, ci, Key("web", OTHER))
    forger = Tokens(AuthKeys([ci], clock=clock), None, clock=clock)
    refusal(app, forger.sign(JOB, "read", 60, None).token)
    refusal(app, forger.sign(JOB, "read", 60, ADA).token)
    pen = _pen_of_key(b"", ci)
    for who in (["app", "app", True], ["ada", "django", False], ["web", "key", False]):
        payload = json.dumps(["read", JOB, int(clock()) + 60, *who], separators=(",", ":")).encode()
        forged = pen.signer.sign(urlsafe_b64encode(payload).rstrip(b"=")).decode()
        bearer = app.verify(forged)
        assert (bearer.name, bearer.source, bearer.sees_all) == ("ci", "key", False)
        refusal(made(clock, ci, Key("web", OTHER), secret=APP_SECRET), forged)


@pytest.mark.parametrize(
    "said",
    [
        *(b"", b"x", b"{", b"\xff\xfe", b"NaN", b"null", b"7", b'"abc"', b"{}", b"[]", b'["read"]', b"[" * 100_000),
        *(b'["read","x"]', b'["read","x","soon"]', b'["read","x",null]', b'["read",7,1e99]', b'["read","x",9e99]'),
        *(b'[["read"],"x",9999999999]', b'[{},"x",9999999999]', b'["invoke","x",9999999999]', b'["","x",9999999999]'),
        *(b'["admin","x",9999999999]', b'["read","x",true]', b'["read","x",9999999999,"ci"]'),
        *(
            b'["read","x",9999999999,"ci","key"]',
            b'["read","x",9999999999,1,2,3]',
            b'["read","x",9999999999,[],{},0,0]',
        ),
    ],
)
def test_what_is_signed_but_says_nothing_of_ours(clock: Clock, said: bytes) -> None:
    ci = Key("ci", SECRET, permissions=("admin",))
    for pen, tokens in (
        (_pen_of_key(b"", ci), made(clock, ci)),
        (_pen(APP_SECRET.encode()), made(clock, secret=APP_SECRET)),
    ):
        for payload in (urlsafe_b64encode(said).rstrip(b"="), said, b"*"):
            signed = pen.signer.sign(payload).decode("latin-1")
            refusal(tokens, signed)


def test_what_the_app_signs_without_a_secret_ends_with_its_key_and_with_the_process(clock: Clock) -> None:
    keys = AuthKeys([Key("ci", SECRET, expires=START + timedelta(seconds=30))], clock=clock)
    tokens = Tokens(keys, clock=clock)
    signed = tokens.sign(JOB, "read", 60, None)
    assert (signed.expires, tokens.verify(signed.token).name) == (START.timestamp() + 30, "app")
    refusal(Tokens(keys, clock=clock), signed.token)
    clock.now += timedelta(seconds=30)
    refusal(tokens, signed.token)


# ------------------------------------------------------------------------- A3: constant time, no traces


def compares(monkeypatch: pytest.MonkeyPatch, action: Callable[[], Any]) -> list[tuple[int, int]]:
    lengths = []
    compare = hmac.compare_digest

    def spy(a: Any, b: Any) -> bool:
        lengths.append((len(a), len(b)))
        return compare(a, b)

    with monkeypatch.context() as patched:
        patched.setattr("hmac.compare_digest", spy)
        action()
    return lengths


def test_a3_every_secret_is_compared_whichever_matches(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [Key(f"k{n}", generate_key()) for n in range(4)]
    tokens = made(clock, *keys, secret=APP_SECRET)
    for key in keys:
        token = tokens.sign(JOB, "read", 60, key.principal).token
        found = compares(monkeypatch, lambda token=token: tokens.verify(token))  # type: ignore[misc]
        assert found.count((32, 32)) == 5  # every key's and the app's own
        assert [pair for pair in found if pair != (32, 32)] == [(len(token), len(token))]  # the one spelling
    stranger = made(clock, Key("x", generate_key()), secret=APP_SECRET)
    wrong = stranger.sign(JOB, "read", 60, Principal("x", frozenset({"read"}))).token
    assert compares(monkeypatch, lambda: refusal(tokens, wrong)) == [(32, 32)] * 5


def test_tokens_are_never_logged(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = Key("ci", SECRET)
    tokens = made(clock, key)
    token = tokens.sign(JOB, "read", 60, key.principal).token
    tokens.verify(token)
    lost = made(clock, Key("ci", SECRET, permissions=("invoke",)))
    refusal(lost, token)
    refusal(tokens, token + "x")
    clock.now += timedelta(minutes=2)
    refusal(tokens, token)
    assert len(caplog.records) == 3
    signature = token.rpartition(".")[2]
    assert token not in caplog.text and signature not in caplog.text
