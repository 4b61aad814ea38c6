"""Where secret settings come from besides the environment: `.env`, a file for each (`<SETTING>_FILE`), the keyring of the operating system.

Whatever comes is a SecretStr, which does not print, and is known to `scrubbing` from then on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from cdp_pipelines import scrubbing

KEYRING = "keyring:"
# A secret may be shared with a group, as the volumes of Kubernetes are; a file of many of them may not.
OTHERS = 0o007


class BadSecretFile(Exception):
    """A file with secrets that cannot be used: what is wrong with it (`can be read by others`) and the remedy."""

    def __init__(self, path: Path, problem: str, remedy: str):
        super().__init__(f"{path} {problem}. {remedy}")
        self.problem, self.remedy = problem, remedy


def check_private(path: Path, forbidden: int = OTHERS) -> None:
    """Raise BadSecretFile when a file's mode lets those at it who must not; what is not there or no file (`/dev/null`) passes."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if os.name == "posix" and stat.S_ISREG(mode) and mode & forbidden:
        whom = (
            "its group and others" if mode & forbidden & 0o070 and mode & 0o007 else "its group" if mode & forbidden & 0o070 else "others"
        )
        remedy = f"Take it from them: chmod {stat.S_IMODE(mode) & ~forbidden:o} {path} (of a mounted secret, set the mode to 0400)."
        raise BadSecretFile(path, f"can be read or changed by {whom} (mode {stat.S_IMODE(mode):04o})", remedy)


def read_private(path: Path) -> str:
    """What is in a file with one secret, without white space around. Raises BadSecretFile, also for a file that cannot be read or is empty."""
    check_private(path)
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text"
        raise BadSecretFile(path, f"cannot be read ({why})", "Give the path of a file with the secret and nothing else.") from None
    if not text:
        raise BadSecretFile(path, "is empty", "Put the secret into it, and nothing else.")
    return text


def _from_keyring(value: Any) -> Any:
    given = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(given, str) or not given.startswith(KEYRING):
        return value
    service, slash, name = given.removeprefix(KEYRING).partition("/")
    if not (service and slash and name):
        raise ValueError("is not of the form keyring:<service>/<name>")
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise ValueError("is in the keyring, for which a library is missing: pip install 'cdp-pipelines[keyring]'") from None
    try:
        found = keyring.get_password(service, name)
    except KeyringError as error:
        raise ValueError(f"is in the keyring, which cannot be opened here ({type(error).__name__})") from None
    if found is None:
        raise ValueError(f"is not in the keyring; put it there: keyring set {service} {name}")
    return found


def _remember(secret: SecretStr) -> SecretStr:
    scrubbing.know(secret.get_secret_value())
    return secret


def _remember_key(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value().strip().startswith("-----"):
        scrubbing.know_key(secret.get_secret_value())
    return secret


Secret = Annotated[SecretStr, BeforeValidator(_from_keyring), AfterValidator(_remember)]
"""The type of a secret setting."""
PrivateKey = Annotated[SecretStr, BeforeValidator(_from_keyring), AfterValidator(_remember_key)]
"""The same for a key that is given as its PEM text or as the path of its file."""


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is a secret, by its type."""
    return any(kind is SecretStr or SecretStr in get_args(kind) for kind in (field.annotation, *get_args(field.annotation)))


class SecretFiles(PydanticBaseSettingsSource):
    """Secret settings from the files that `<SETTING>_FILE` names, in the environment or in `.env`.

    `refuse` makes the exception of a variable, what is wrong and the remedy. A setting that has a `_file` of its own, such as
    `refresh_token`, is left to it.
    """

    def __init__(self, of: type[BaseSettings], sources: list[EnvSettingsSource], refuse: Callable[[str, str, str], Exception]):
        super().__init__(of)
        self._sources, self._refuse = sources, refuse

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The secret of one setting; None where no file is named. Raises what `refuse` makes."""
        if not is_secret(field) or f"{field_name}_file" in self.settings_cls.model_fields:
            return None, field_name, False
        variable = f"{self._sources[0].env_prefix}{field_name}".upper()
        path = self._given(f"{variable}_FILE")
        if path is None:
            return None, field_name, False
        if self._given(variable) is not None:
            raise self._refuse(f"{variable}_FILE", f"is set, and so is {variable}", "Set one of the two.")
        try:
            return read_private(Path(path).expanduser()), field_name, False
        except BadSecretFile as bad:
            raise self._refuse(f"{variable}_FILE", f"names {path}, which {bad.problem}", bad.remedy) from None

    def __call__(self) -> dict[str, Any]:
        """All of them."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}

    def _given(self, variable: str) -> str | None:
        return next((value for source in self._sources if (value := source.env_vars.get(variable.lower()))), None)
