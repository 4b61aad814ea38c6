"""`cdp doctor`: is this machine, this setup and this data directory well, and if not, what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sqlite3
import ssl
import zoneinfo
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import duckdb
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from cdp_pipelines import dagster_home, lock, query, status
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.crm_integrations.rights import SOON

State = Literal["ok", "warning", "problem"]
STALE = timedelta(hours=24)
LEAST_DISK = 2**30  # bytes
# A full sync of a million records takes no longer.
LONG_RUN = timedelta(hours=6)
# With it came `on conflict do update`, which the inbox uses.
LEAST_SQLITE = (3, 24)
# Of a day's calls that a vendor grants, the share below which the next reads may be stopped.
FEW_CALLS = 0.1


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    what: str
    state: State
    says: str
    remedy: str = ""


def examine(settings: Settings, tests: dict[str, dict[str, Any]]) -> list[Finding]:
    """Every finding, in the order in which to mend what is wrong. `tests` are those of `cdp_engine.test_crm_connections`."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _packages,
        _machine,
        lambda: _disk(settings),
        lambda: _lock(settings),
        lambda: _connections(tests),
        lambda: _published(settings),
        lambda: _jobs(settings),
        lambda: _inbox(settings),
        lambda: _outbox(settings),
        lambda: _audit(settings),
        lambda: _erasures(settings),
    )
    return [finding for look in looks for finding in look()]


def _packages() -> Iterator[Finding]:
    """Are what is installed and what this project asks for the same?"""
    try:
        asked = importlib.metadata.requires("cdp-pipelines") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            "packages", "warning", "cdp-pipelines itself is not installed, so that nobody knows what it needs.", "Run `make setup`."
        )
        return
    wrong = []
    for wanted in map(Requirement, asked):
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(installed, prereleases=True):
            wrong.append(f"{wanted.name} is {installed}, not {wanted.specifier}")
    if wrong:
        yield Finding(
            "packages", "problem", "; ".join(wrong) + ".", "Run `make clean`, which leaves erased people erased, and `make setup`."
        )
    else:
        yield Finding("packages", "ok", "What is installed is what this version asks for.")


def _machine() -> Iterator[Finding]:
    """Python, and what it takes from the operating system."""
    python = platform.python_version()
    openssl, sqlite = ssl.OPENSSL_VERSION, sqlite3.sqlite_version
    says = f"Python {python}, DuckDB {duckdb.__version__}, SQLite {sqlite}, {openssl}, {platform.system()} {platform.release()}."
    wrong = []
    try:
        wanted = importlib.metadata.metadata("cdp-pipelines")["Requires-Python"]
    except importlib.metadata.PackageNotFoundError:  # told of the packages
        wanted = None
    if wanted and not SpecifierSet(wanted).contains(python, prereleases=True):
        wrong.append(f"Python has to be {wanted}: install one, and run `make clean` and `make setup`.")
    if sqlite3.sqlite_version_info < LEAST_SQLITE:
        wrong.append(f"SQLite has to be {'.'.join(map(str, LEAST_SQLITE))} or later: take a newer Python.")
    if not ssl.HAS_TLSv1_2:
        wrong.append("OpenSSL knows no TLS 1.2, without which no CRM answers: take a newer Python.")
    if not zoneinfo.available_timezones():
        wrong.append("There is no time zone data: install the system's tzdata, or the package tzdata.")
    yield Finding("machine", "problem" if wrong else "ok", says, " ".join(wrong))


def _lock(settings: Settings) -> Iterator[Finding]:
    """Who has the warehouse, since when, and is that process alive?"""
    found = lock.holder(settings)
    if found is None:
        yield Finding("warehouse lock", "ok", "Nobody has the warehouse.")
        return
    who = f"{found.what} (process {found.pid}, {found.command}), since {found.since:%Y-%m-%d %H:%M} UTC"
    if not found.holds:
        says = f"It is free, but was not given back: {who}, was killed."
        yield Finding("warehouse lock", "warning", says, "Run `cdp sync`; it goes on where that stopped.")
    elif not found.runs:
        says = f"It is held for {who}, and that process is gone: one that it started has it still."
        yield Finding(
            "warehouse lock", "problem", says, f"End what that process left running (`fuser {settings.data_dir / 'warehouse.lock'}`)."
        )
    elif datetime.now(UTC) - found.since > LONG_RUN:
        remedy = f"See whether it still does something; end process {found.pid} if not, and run `cdp sync`, which goes on where it stopped."
        yield Finding("warehouse lock", "warning", f"It is held for long: {who}.", remedy)
    else:
        yield Finding("warehouse lock", "ok", f"It is in use: {who}.")


def _jobs(settings: Settings) -> Iterator[Finding]:
    """How the newest run of each of Dagster's jobs ended, where Dagster ran."""
    try:
        runs = dagster_home.last_runs(settings)
    except ConfigError as error:
        yield Finding("dagster's storage", "problem", f"{error.setting} {error.problem}.", error.remedy)
        return
    for one in runs:
        when = f"{one.ended_at:%Y-%m-%d %H:%M} UTC"
        if one.failed:
            remedy = f"Look at run {one.run[:8]} in Dagster's UI, mend what it names, and start the job again."
            yield Finding(f"job {one.job}", "problem", f"Its newest run failed, {when}.", remedy)
        else:
            yield Finding(f"job {one.job}", "ok", f"Its newest run went well, {when}.")


def _disk(settings: Settings) -> Iterator[Finding]:
    """A publication, an erasure and a change of keys write the warehouse once more beside itself."""
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        yield Finding("disk", "problem", f"{folder} cannot be written to.", "Give it to the user who runs this, or set CDP_DATA_DIR.")
        return
    free, held = shutil.disk_usage(folder).free, settings.warehouse.stat().st_size if settings.warehouse.exists() else 0
    says = f"{free / 2**30:,.1f} GB are free beside a warehouse of {held / 2**30:,.2f} GB."
    enough = free > max(LEAST_DISK, 3 * held)
    yield (
        Finding("disk", "ok", says) if enough else Finding("disk", "warning", says, "Make room: a run may need three times the warehouse.")
    )


def _connections(tests: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    for name, test in tests.items():
        what = f"connection {name}"
        left, used, ends = test["calls_left"], test["calls_used"], test["expires_at"]
        if not test["ok"]:
            yield Finding(what, "problem", test["problem"] or "It does not work.", test["remedy"] or "")
        elif left is not None and used is not None and left < FEW_CALLS * (left + used):
            remedy = "Wait until the vendor's day is over, or let other programs call less; reads stop before the reserve and go on by themselves."
            yield Finding(what, "warning", f"{left:,} of today's {left + used:,} API calls are left.", remedy)
        elif ends is not None and ends - datetime.now(UTC) < SOON:
            yield Finding(what, "warning", f"Its token ends at {ends:%Y-%m-%d %H:%M} UTC.", "Renew it at the vendor (docs/connections.md).")
        else:
            yield Finding(what, "ok", f"It works: {test['account']}." if test["account"] else "It works.")
    if not tests:
        yield Finding("connections", "warning", "None is set up.", "Copy .env.example to .env, and fill in what you have.")


def _published(settings: Settings) -> Iterator[Finding]:
    try:
        found = status.read(settings)
    except query.NotPublished as nothing:
        yield Finding("published file", "warning", str(nothing), "Run `cdp sync`.")
        return
    for name, connection in found["connections"].items():
        if incomplete := [f"{of}: {one['problem']}" for of, one in connection["objects"].items() if one["state"] != "ok"]:
            remedy = "`cdp status` says what to do; `cdp sync` goes on where it stopped."
            yield Finding(f"last sync of {name}", "problem", "; ".join(incomplete), remedy)
    if found["state"] == "complete":
        yield Finding(
            "last sync", "ok", f"It ended at {found['ended_at']:%Y-%m-%d %H:%M} UTC, and read everything; {found['calls']:,} calls."
        )
    lag = found["lag_seconds"]
    if lag is None or lag > STALE.total_seconds():
        hours = "of an unknown age" if lag is None else f"{lag / 3600:,.0f} hours old"
        yield Finding("published file", "warning", f"Its oldest part is {hours}.", "Run `cdp sync`, or `make dev`, which syncs every hour.")
    else:
        yield Finding("published file", "ok", f"All changes up to {lag / 60:,.0f} minutes ago are in it.")
    for check in found["failed_checks"]:
        state, remedy = ("problem" if check["blocking"] else "warning"), check["remedy"] or "`cdp status` says more."
        keys = f" Rows: {', '.join(check['sample_keys'])}." if check["sample_keys"] else ""
        says = f"{check['failed_rows']:,} rows: not so: {check['description']}{keys}"
        yield Finding(f"check {check['table_name']}.{check['name']}", state, says, remedy)
    if not found["failed_checks"]:
        yield Finding("checks", "ok", "All passed.")


def _inbox(settings: Settings) -> Iterator[Finding]:
    from cdp_pipelines.encryption import Sealer
    from cdp_pipelines.webhooks.inbox import read_status

    found = read_status(settings.inbox, Sealer.of(settings))
    if found is None:
        return
    waiting, dead = (sum(one[which] for one in found["connections"].values()) for which in ("waiting", "dead"))
    if dead:
        yield Finding(
            "inbox", "problem", f"{dead:,} events were given up.", "`cdp webhooks status` says why; then `cdp webhooks replay --dead`."
        )
    elif waiting > settings.inbox_most / 2:
        remedy = "See that `make dev` or Dagster's daemon runs, which follows them."
        yield Finding("inbox", "warning", f"{waiting:,} events wait, and {settings.inbox_most:,} is the most.", remedy)
    else:
        yield Finding("inbox", "ok", f"{waiting:,} events wait.")


def _outbox(settings: Settings) -> Iterator[Finding]:
    from cdp_pipelines.writeback.outbox import Outbox, there_is_one

    if not there_is_one(settings):
        return
    with Outbox(settings) as outbox:
        pending = len(outbox.with_state(("pending", "sent"))) + len(outbox.pending_calls())
    if pending:
        yield Finding(
            "outbox",
            "warning",
            f"{pending:,} writes are not sent yet.",
            "`cdp writeback rejects` says why; `cdp writeback retry` sends them.",
        )
    else:
        yield Finding("outbox", "ok", "Nothing waits to be written to a CRM.")


def _audit(settings: Settings) -> Iterator[Finding]:
    from cdp_pipelines.audit.log import AuditBroken, AuditLog
    from cdp_pipelines.audit.verifying import verify

    if not settings.audit_dir.exists():
        return
    try:
        found = verify(AuditLog(settings))
        problems = found.problems
    except AuditBroken as broken:
        problems = [str(broken)]
    if problems:
        yield Finding("audit log", "problem", problems[0], "`cdp audit verify` names every place; put the log back from a backup.")
    else:
        yield Finding("audit log", "ok", f"Its {found.count:,} entries are as they were written.")


def _erasures(settings: Settings) -> Iterator[Finding]:
    left = list((settings.privacy_dir / "pending").glob("*.json")) if settings.privacy_dir.exists() else []
    if left:
        yield Finding("erasures", "problem", f"{len(left)} began and did not end.", "`cdp privacy finish` goes on with them.")
