import hashlib
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from pipemount.auth import AuthKeys, Key, digest, generate_key
from pipemount.errors import ConfigurationError

SECRET = "pm_0123456789abcdef"


def test_generated_keys_have_256_bits_and_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {generate_key() for _ in range(100)}
    assert len(made) == 100
    assert {(key[:3], len(key)) for key in made} == {("pm_", 46)}

    monkeypatch.setattr("secrets.token_urlsafe", lambda size: f"{size} bytes of the system's random source")
    assert generate_key().startswith("pm_32 bytes")


def test_a_digest_stands_for_its_key() -> None:
    written = digest(SECRET)
    assert written == "sha256:" + hashlib.sha256(SECRET.encode()).hexdigest()
    keys = AuthKeys([Key("ci", written)])
    assert keys.authenticate(None, SECRET.encode()).name == "ci"


def test_a_digest_is_no_key() -> None:
    keys = AuthKeys([SECRET])
    with pytest.raises(Exception, match="not a key"):
        keys.authenticate(None, digest(SECRET).encode())


def test_what_a_key_shows_of_itself() -> None:
    assert repr(Key("ci", SECRET)) == "Key('ci', permissions=('invoke', 'read', 'cancel'))"
    key = Key("ci", SECRET, permissions="admin", expires=datetime(2030, 1, 1, tzinfo=UTC))
    assert repr(key) == "Key('ci', permissions=('admin',), expires=2030-01-01T00:00:00+00:00)"


def test_admin_includes_the_other_permissions() -> None:
    principal = Key("boss", SECRET, permissions=("admin",)).principal
    assert all(principal.may(permission) for permission in ("invoke", "read", "cancel", "admin"))
    assert not Key("ci", SECRET).principal.may("admin")


@pytest.mark.parametrize("name", ["", " ", "a:b", "a\nb", "\x1b[31m", "\u2028", None, 3])
def test_names_that_cannot_be_used(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        Key(name, SECRET)


@pytest.mark.parametrize("permissions", [(), ("write",), "write", ("invoke", "")])
def test_permissions_that_do_not_exist(permissions: Any) -> None:
    with pytest.raises(ConfigurationError, match="invoke, read, cancel, admin"):
        Key("ci", SECRET, permissions=permissions)


def test_an_expiry_needs_a_zone() -> None:
    with pytest.raises(ConfigurationError, match="zone"):
        Key("ci", SECRET, expires=datetime(2030, 1, 1))


def test_a_short_key_is_warned_about_without_showing_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="pipemount.auth")
    Key("ci", SECRET)
    assert caplog.records == []
    Key("ci", "hunter2")
    assert "'ci'" in caplog.text
    assert "hunter2" not in caplog.text
