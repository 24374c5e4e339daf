import json
import logging
import os
from pathlib import Path

import pytest

from pipemount.auth import AuthKeys, Key, digest
from pipemount.auth.sources import parse_keys
from pipemount.errors import ConfigurationError, UnauthenticatedError

OLD, NEW = "the old key, long enough", "the new key, long enough"


class Ticks:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def admitted(keys: AuthKeys, secret: str) -> bool:
    try:
        keys.authenticate(None, secret.encode())
    except UnauthenticatedError:
        return False
    return True


def replace(path: Path, *secrets: str) -> None:
    """As orchestrators do it: a new file takes the old one's place in one step."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(secrets), encoding="utf-8")
    fresh.chmod(0o600)
    fresh.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    replace(tmp_path / "keys", OLD)
    return tmp_path / "keys"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="pipemount.auth")
    return caplog


# ----------------------------------------------------------------------------------------- format


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("one-good-long-key", ["key-1"]),
        ("ci:one-good-long-key, web : two-good-long-keys,", ["ci", "web"]),
        ("# who: where\nci:one-good-long-key\n\n  # more\r\ntwo-good-long-keys\n", ["ci", "key-2"]),
        (digest(OLD), ["key-1"]),
        (f"ci:{digest(OLD)}", ["ci"]),
        ('["one-good-long-key", "ci:two-good-long-keys"]', ["key-1", "ci"]),
        ('\n[{"key": "one-good-long-key"}, {"name": "ci", "key": "a:b, two-good-long"}]', ["key-1", "ci"]),
    ],
)
def test_the_format(text: str, names: list[str]) -> None:
    assert [key.name for key in parse_keys(text, source="KEYS")] == names


def test_a_key_after_its_name_may_have_colons() -> None:
    (key,) = parse_keys("ci:one:two:three:four", source="KEYS")
    assert key.hash == Key("ci", "one:two:three:four").hash


def test_json_says_more_of_a_key() -> None:
    entry = {"name": "ci", "key": OLD, "permissions": ["invoke"], "expires": "2030-01-01T00:00:00Z"}
    (key,) = parse_keys(json.dumps([entry]), source="KEYS")
    assert repr(key) == "Key('ci', permissions=('invoke',), expires=2030-01-01T00:00:00+00:00)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n,\n",
        "# only a comment",
        "ci:",
        "[]",
        '["hidden"',
        "[" * 100_000,
        "[hidden]",
        "[3]",
        "[[]]",
        '[{"name": "ci"}]',
        '[{"key": "hidden", "colour": "red"}]',
        '[{"key": 3}]',
        '[{"key": "hidden", "name": 3}]',
        '[{"key": "hidden", "permissions": "invoke"}]',
        '[{"key": "hidden", "permissions": [["invoke"]]}]',
        '[{"key": "hidden", "expires": "tomorrow"}]',
        '[{"key": "hidden", "expires": 3}]',
        '[{"key": "hidden", "expires": "2030-01-01T00:00:00"}]',
    ],
)
def test_text_that_cannot_be_read_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_keys(text, source="KEYS")
    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


# ------------------------------------------------------------------------------------ environment


def test_from_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_KEYS", f"ci:{OLD.replace(',', '')}")
    keys = AuthKeys.from_env("FORECAST_KEYS", accept=("bearer",), realm="forecasts")
    assert keys.names == ("ci",)
    assert (keys.accept, keys.realm) == (("bearer",), "forecasts")


def test_from_env_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORECAST_KEYS", raising=False)
    with pytest.raises(ConfigurationError, match="FORECAST_KEYS is not set"):
        AuthKeys.from_env("FORECAST_KEYS")
    monkeypatch.setenv("FORECAST_KEYS", " \n")
    with pytest.raises(ConfigurationError, match="FORECAST_KEYS is empty"):
        AuthKeys.from_env("FORECAST_KEYS")


# ------------------------------------------------------------------------------------------- file


def test_a_changed_file_is_read_again_at_most_once_per_second(path: Path) -> None:
    ticks = Ticks()
    keys = AuthKeys.from_file(path, monotonic=ticks)
    replace(path, OLD, NEW)
    ticks.now += 0.9
    assert not admitted(keys, NEW)
    ticks.now += 0.1
    assert admitted(keys, NEW)
    assert admitted(keys, OLD)

    replace(path, NEW)
    ticks.now += 1.0
    assert not admitted(keys, OLD)
    assert admitted(keys, NEW)


def test_a_file_written_in_place_is_read_again_as_well(path: Path) -> None:
    ticks = Ticks()
    keys = AuthKeys.from_file(path, monotonic=ticks)
    path.write_text(json.dumps([NEW]), encoding="utf-8")
    os.utime(path, ns=(1, 1))
    ticks.now += 1.0
    assert admitted(keys, NEW)


def test_an_unchanged_file_is_not_read_again(path: Path, log: pytest.LogCaptureFixture) -> None:
    ticks = Ticks()
    keys = AuthKeys.from_file(path, monotonic=ticks)
    ticks.now += 1.0
    assert admitted(keys, OLD)
    assert log.records == []


def test_a_symbolic_link_that_leads_elsewhere_is_followed(tmp_path: Path) -> None:
    replace(tmp_path / "one", OLD)
    replace(tmp_path / "two", NEW)
    link = tmp_path / "keys"
    link.symlink_to("one")
    ticks = Ticks()
    keys = AuthKeys.from_file(link, monotonic=ticks)
    (tmp_path / "fresh").symlink_to("two")
    (tmp_path / "fresh").replace(link)
    ticks.now += 1.0
    assert admitted(keys, NEW)
    assert not admitted(keys, OLD)


@pytest.mark.parametrize("broken", [b"", b"[", b"\xff\xfe", json.dumps([NEW, NEW]).encode()])
def test_a_broken_file_keeps_the_old_keys_and_is_logged_once(
    path: Path, log: pytest.LogCaptureFixture, broken: bytes
) -> None:
    ticks = Ticks()
    keys = AuthKeys.from_file(path, monotonic=ticks)
    path.write_bytes(broken)
    for _ in range(3):
        ticks.now += 1.0
        assert admitted(keys, OLD)
    errors = [record.getMessage() for record in log.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert errors[0].startswith("keys stay as they were: ")

    replace(path, NEW)
    ticks.now += 1.0
    assert admitted(keys, NEW)
    assert not admitted(keys, OLD)


def test_a_file_that_goes_away_and_comes_back(path: Path, log: pytest.LogCaptureFixture) -> None:
    ticks = Ticks()
    keys = AuthKeys.from_file(path, monotonic=ticks)
    path.unlink()
    for _ in range(3):
        ticks.now += 1.0
        assert admitted(keys, OLD)
    assert [record.levelname for record in log.records] == ["ERROR"]

    replace(path, NEW)
    ticks.now += 1.0
    assert admitted(keys, NEW)
    assert not admitted(keys, OLD)


def test_a_file_that_is_not_there_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        AuthKeys.from_file(tmp_path / "keys")


def test_a_relative_path_outlives_a_change_of_directory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    ticks = Ticks()
    keys = AuthKeys.from_file(path.name, monotonic=ticks)
    replace(path, NEW)
    monkeypatch.chdir("/")
    ticks.now += 1.0
    assert admitted(keys, NEW)


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_a_file_that_all_can_read_is_warned_about(path: Path, log: pytest.LogCaptureFixture) -> None:
    path.chmod(0o640)
    AuthKeys.from_file(path)
    assert log.records == []
    path.chmod(0o644)
    AuthKeys.from_file(path)
    assert "chmod 600" in log.text
