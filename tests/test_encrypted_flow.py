"""The whole of it with a key set: Dagster's job, the command line, write-back; and no byte of any file tells whom it is about."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdp_pipelines import database, encryption
from cdp_pipelines.config import ConfigError, Settings

KEY = "flow-key-" * 5
PEOPLE = 150


def environment(folder: Path, **more: str) -> dict[str, str]:
    (folder / "tmp").mkdir(exist_ok=True)
    return {
        **os.environ, "CDP_ENV_FILE": os.devnull, "CDP_DATA_DIR": str(folder / "data"), "CDP_SANDBOX_DIR": str(folder / "sandbox"),
        "CDP_SANDBOX_PEOPLE": str(PEOPLE), "CDP_SANDBOX_PORT": "0", "TMPDIR": str(folder / "tmp"), "HOME": str(folder / "home"), **more,
    }  # fmt: skip


def cdp(folder: Path, *arguments: str, key: str | None = KEY) -> subprocess.CompletedProcess[str]:
    given = {"CDP_ENCRYPTION_KEY": key} if key else {}
    command = [sys.executable, "-c", "from cdp_pipelines.cli import main; main()", *arguments]
    return subprocess.run(command, env=environment(folder, **given), cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def known_values(settings: Settings) -> list[bytes]:
    """Addresses, full names and numbers of some of the people, as the published file has them: all would take minutes to look for."""
    with database.connect(settings, settings.published, read_only=True) as db:
        found = db.execute(
            "select distinct unnest([email, first_name || ' ' || last_name, phone, mobile_phone]) as value from contacts order by value"
        ).fetchall()
    return [value.encode() for (value,) in found if value is not None and len(value) > 7][::8]


def told(folder: Path, values: list[bytes]) -> list[str]:
    """The files in which a value stands, whatever the case of its ASCII letters."""
    some = [path for part in ("data", "tmp", "home") for path in sorted((folder / part).rglob("*")) if path.is_file()]
    found = []
    for path in some:
        content = path.read_bytes().lower()
        found += [f"{path.relative_to(folder)}: {value!r}" for value in values if value.lower() in content]
    return found


@pytest.mark.slow
def test_the_demonstration_the_commands_and_write_back_leave_no_known_value_in_any_file(tmp_path: Path) -> None:
    done = cdp(tmp_path, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Equal to what the sandbox says it holds" in done.stdout
    ending = done.stdout.rstrip().splitlines()[-1]
    assert ending.startswith("Report, to open in a browser: ") and ending.endswith("report.html")
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "encryption_key": KEY})
    assert "<svg" in settings.report.read_text()
    values = known_values(settings)
    assert len(values) > 50
    control = tmp_path / "tmp" / "control"
    control.write_bytes(values[0].upper())
    assert told(tmp_path, values) == [f"tmp/control: {values[0]!r}"]
    control.unlink()
    key = encryption.load(settings)
    assert key is not None
    values += [KEY.encode(), *(key.of_database(path).encode() for path in (settings.warehouse, settings.published))]
    assert told(tmp_path, values) == []
    assert cdp(tmp_path, "sync", "--reconcile").returncode == 0
    shown = cdp(tmp_path, "contacts", "--limit", "3", "--format", "json")
    assert shown.returncode == 0 and "@" in shown.stdout
    planned = cdp(tmp_path, "writeback", "plan")
    assert planned.returncode in (0, 1), planned.stderr
    assert len(list((settings.writeback_dir / "plans").iterdir())) == 1
    assert told(tmp_path, [*values, *known_values(settings)]) == []
    assert not any((tmp_path / "data" / name).exists() for name in ("dlt", "unloaded", "warehouse.duckdb.tmp", "duckdb.tmp"))
    without = cdp(tmp_path, "contacts", "--limit", "3", key=None)
    assert without.returncode != 0
    assert "CDP_ENCRYPTION_KEY is not set" in without.stderr + without.stdout
    assert "Traceback" not in without.stderr
    with pytest.raises(ConfigError, match="does not open"):
        database.connect(Settings.model_validate({"data_dir": tmp_path / "data", "encryption_key": "x" * 40}), settings.warehouse)
