"""Changes of settings and keys: each time connections are opened, they are compared with what was set the last time. Only hashes are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from filelock import FileLock
from pydantic import SecretStr

from cdp_pipelines.audit import keys
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.keys import PrivacyKey
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.private_files import write_private

# They may be different for each process, and concern none of the data.
_NOT_TOLD = {"sandbox_port", "sandbox_people", "sandbox_seed", "sandbox_dir", "privacy_key"}


def note_settings(settings: Settings, connections: Sequence[Connection]) -> None:
    """Write down which settings and secrets changed since they were noted last; the built-in sandbox's are left out."""
    key = keys.load(settings)
    now, secret = {}, set()
    for prefix, fields, values in [("CDP_", Settings.model_fields, settings)] + [
        (f"{c.name.upper()}_", type(c).model_fields, c) for c in connections if c.host != "sandbox"
    ]:
        for field in fields:
            if field in _NOT_TOLD:
                continue
            name, value = f"{prefix}{field.upper()}", getattr(values, field)
            if isinstance(value, SecretStr):
                secret.add(name)
            now[name] = _hashed(key, value)
    path = settings.audit_dir / "settings.json"
    settings.audit_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(settings.audit_dir / "settings.lock", mode=0o600):
        before: dict[str, str] = orjson.loads(path.read_bytes()) if path.exists() else {}
        gone = sorted(before.keys() - now.keys())
        new = sorted(now.keys() - before.keys())
        changed = sorted(name for name in now.keys() & before.keys() if now[name] != before[name])
        if not (gone or new or changed):
            return
        if before:
            about = {"changed": changed, "new": new, "gone": gone, "secrets": sorted({*changed, *new} & secret)}
            record(settings, Operation("settings", "settings", "changed", len(changed) + len(new) + len(gone), about))
        else:
            record(settings, Operation("settings", "settings", "noted", len(now)))
        write_private(path, orjson.dumps(now, option=orjson.OPT_SORT_KEYS))


def _hashed(key: PrivacyKey, value: Any) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return key.mac("settings", text.encode())[:16]
