"""Secrets from files, `.env` and the keyring: what is taken, what is refused, and whether the text says what to do."""

from __future__ import annotations

from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import NoKeyringError

from cdp_pipelines.config import (
    CONNECTION_CLASSES,
    ConfigError,
    HubSpotConnection,
    SalesforceConnection,
    Settings,
    connection_from_config,
    connection_from_env,
    load_settings,
)
from cdp_pipelines.scrubbing import scrub
from cdp_pipelines.secret_sources import is_secret


def secret_file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def token_of(connection) -> str:
    assert isinstance(connection, HubSpotConnection)
    assert connection.access_token is not None
    return connection.access_token.get_secret_value()


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440])
def test_a_secret_is_taken_from_the_file_that_is_named(tmp_path, monkeypatch, mode):
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN_FILE", str(secret_file(tmp_path / "token", "pat-from-a-file\n", mode)))
    assert token_of(connection_from_env("hubspot", "hubspot")) == "pat-from-a-file"
    assert Settings().connection_kinds() == {"hubspot": "hubspot"}
    assert scrub("pat-from-a-file") == "[secret]"


def test_every_secret_setting_can_be_in_a_file(tmp_path, monkeypatch):
    fields = {(kind, name) for kind, cls in CONNECTION_CLASSES.items() for name, field in cls.model_fields.items() if is_secret(field)}
    assert {("salesforce", "password"), ("hubspot", "access_token"), ("marketo", "client_secret"), ("marketo", "webhook_secret")} <= fields
    for number, (kind, name) in enumerate(sorted(fields - {("salesforce", "refresh_token")})):
        path = secret_file(tmp_path / f"secret-{number}", f"value-of-{kind}-{name}")
        monkeypatch.setenv(f"{kind}_{name}_file".upper(), str(path))
    for kind, cls in CONNECTION_CLASSES.items():
        made = cls(name=kind, _env_prefix=f"{kind.upper()}_")
        for name in (name for of, name in fields if of == kind and (of, name) != ("salesforce", "refresh_token")):
            assert getattr(made, name).get_secret_value() == f"value-of-{kind}-{name}"
            assert name == "private_key" or scrub(f"value-of-{kind}-{name}") == "[secret]", name
    fields_of_all = Settings.model_fields
    # One with a `_file` of its own reads that itself.
    names = [name for name, field in fields_of_all.items() if is_secret(field) and f"{name}_file" not in fields_of_all]
    own = {name: f"{number:02d}" * 32 for number, name in enumerate(names)}
    assert "privacy_key" in own
    for name, value in own.items():
        monkeypatch.setenv(f"CDP_{name}_FILE".upper(), str(secret_file(tmp_path / name, value)))
    settings = Settings()
    for name, value in own.items():
        assert getattr(settings, name).get_secret_value() == value
        # A plain SecretStr would not be known: its type is to be `Secret`.
        assert scrub(f"x {value} y") == "x [secret] y", name


@pytest.mark.parametrize(("mode", "whom"), [(0o644, "others"), (0o604, "others"), (0o602, "others")])
def test_a_file_with_a_secret_that_others_can_get_at_is_refused(tmp_path, monkeypatch, mode, whom):
    path = secret_file(tmp_path / "token", "pat-open-to-all", mode)
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN_FILE", str(path))
    with pytest.raises(ConfigError) as error:
        connection_from_env("hubspot", "hubspot")
    said = str(error.value)
    assert said.startswith(f"HUBSPOT_ACCESS_TOKEN_FILE names {path}, which can be read or changed by {whom} (mode {mode:04o}).")
    assert f"chmod {mode & ~0o7:o} {path}" in said
    assert "pat-open-to-all" not in said


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read (No such file or directory)"), ("\n", "is empty")])
def test_a_file_without_a_secret_is_refused(tmp_path, monkeypatch, content, says):
    path = tmp_path / "token"
    if content is not None:
        secret_file(path, content)
    monkeypatch.setenv("MARKETO_CLIENT_SECRET_FILE", str(path))
    monkeypatch.setenv("MARKETO_CLIENT_ID", "i")
    with pytest.raises(ConfigError) as error:
        connection_from_env("marketo", "marketo")
    assert says in str(error.value)


def test_a_setting_and_a_file_for_it_are_one_too_many(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN_FILE", str(secret_file(tmp_path / "token", "pat-1")))
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "pat-2")
    with pytest.raises(ConfigError, match="HUBSPOT_ACCESS_TOKEN_FILE is set, and so is HUBSPOT_ACCESS_TOKEN"):
        connection_from_env("hubspot", "hubspot")


@pytest.mark.parametrize(
    ("mode", "whom"), [(0o640, "its group"), (0o644, "its group and others"), (0o604, "others"), (0o666, "its group and others")]
)
def test_a_dotenv_that_anybody_else_can_read_is_refused_with_the_remedy(tmp_path, monkeypatch, mode, whom):
    path = secret_file(tmp_path / ".env", "HUBSPOT_ACCESS_TOKEN=pat-in-dotenv\n", mode)
    for cls in (Settings, HubSpotConnection):
        monkeypatch.setitem(cls.model_config, "env_file", path)
    for make in (load_settings, Settings, lambda: connection_from_env("hubspot", "hubspot")):
        with pytest.raises(ConfigError) as error:
            make()
        assert str(error.value) == (
            f"{path} can be read or changed by {whom} (mode {mode:04o}). Take it from them: chmod 600 {path} (of a mounted secret, set the mode to 0400)."
        )
    path.chmod(0o600)
    assert token_of(connection_from_env("hubspot", "hubspot")) == "pat-in-dotenv"
    # A connection that is configured in code has nothing to do with it.
    path.chmod(mode)
    assert token_of(connection_from_config("hubspot", {"access_token": "pat-in-code"})) == "pat-in-code"


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self, entries: dict[tuple[str, str], str]):
        super().__init__()
        self.entries = entries

    def get_password(self, service: str, username: str) -> str | None:
        if service == "locked":
            raise NoKeyringError("no backend")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


@pytest.fixture
def ring():
    before = keyring.get_keyring()
    keyring.set_keyring(Ring({("cdp", "hubspot"): "pat-in-the-keyring"}))
    yield
    keyring.set_keyring(before)


def test_a_secret_is_taken_from_the_keyring(ring, monkeypatch):
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "keyring:cdp/hubspot")
    assert token_of(connection_from_env("hubspot", "hubspot")) == "pat-in-the-keyring"
    assert token_of(connection_from_config("hubspot", {"access_token": "keyring:cdp/hubspot"})) == "pat-in-the-keyring"
    assert scrub("pat-in-the-keyring") == "[secret]"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("keyring:cdp/nobody", r"HUBSPOT_ACCESS_TOKEN is not in the keyring; put it there: keyring set cdp nobody\."),
        ("keyring:cdp", r"HUBSPOT_ACCESS_TOKEN is not of the form keyring:<service>/<name>\."),
        ("keyring:locked/hubspot", r"HUBSPOT_ACCESS_TOKEN is in the keyring, which cannot be opened here \(NoKeyringError\)\."),
    ],
)
def test_what_the_keyring_does_not_have_is_named(ring, monkeypatch, value, says):
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", value)
    with pytest.raises(ConfigError, match=says):
        connection_from_env("hubspot", "hubspot")


def test_without_its_library_the_keyring_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    monkeypatch.setenv("CDP_PRIVACY_KEY", "keyring:cdp/key")
    with pytest.raises(
        ConfigError, match=r"CDP_PRIVACY_KEY is in the keyring, for which a library is missing: pip install 'cdp-pipelines\[keyring\]'"
    ):
        load_settings()


def test_secrets_of_every_source_do_not_print(tmp_path, monkeypatch, ring):
    monkeypatch.setenv("SALESFORCE_CLIENT_ID", "i")
    monkeypatch.setenv("SALESFORCE_CLIENT_SECRET_FILE", str(secret_file(tmp_path / "s", "from-the-file")))
    monkeypatch.setenv("SALESFORCE_PASSWORD", "keyring:cdp/hubspot")
    monkeypatch.setenv("SALESFORCE_USERNAME", "u")
    made = connection_from_env("salesforce", "salesforce")
    assert isinstance(made, SalesforceConnection)
    shown = repr(made) + str(made) + str(made.model_dump()) + made.model_dump_json()
    assert "from-the-file" not in shown
    assert "pat-in-the-keyring" not in shown
    assert "client_secret" in shown


def test_every_setting_with_a_name_of_a_secret_is_typed_as_one():
    """A plain `str` among them would print."""
    for cls in (Settings, *CONNECTION_CLASSES.values()):
        for name, field in cls.model_fields.items():
            if any(word in name.split("_") for word in ("secret", "password", "token", "key")) and not name.endswith("_file"):
                assert is_secret(field), f"{cls.__name__}.{name}"
