"""A plan: each record that would change, each field old and new, and why the others would not; a file whose hash says that it is whole."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson

from cdp_pipelines.config import Kind, Settings
from cdp_pipelines.encryption import Sealer

VERSION = 1
Action = Literal["create", "update", "delete", "unchanged", "conflict", "refused"]
WRITES = ("create", "update", "delete")


class PlanError(Exception):
    """A plan cannot be applied; the text says why and what to do."""


@dataclass(frozen=True)
class Change:
    """One field: ours, the CRM's, what it held, and what is to be there (`None` clears it).

    `base` is what we had last written there before, `had_base` whether we ever had.
    """

    field: str
    to: str
    old: str | None
    new: str | int | float | bool | None
    policy: str
    base: str | None = None
    had_base: bool = False


@dataclass(frozen=True)
class Kept:
    """A field that is left as it is although ours differs: `why`.

    `how`: the policy says so (kept), somebody changed it (conflict), our value cannot be written (invalid), the CRM has no field that
    could be written (nowhere), or the person said no to it (consent).
    """

    field: str
    to: str | None
    theirs: str | None
    ours: str | int | float | bool | None
    why: str
    how: Literal["kept", "conflict", "invalid", "nowhere", "consent"] = "kept"


@dataclass(frozen=True)
class Entry:
    """One record. `key` is its idempotency key, the same each time the same is planned; `found_by` says how the record was found.

    `parent` is the record that the CRM locks with it (a contact's account). `code` and `reason` say why it is a conflict or refused.
    """

    key: str
    connection: str
    kind: Kind
    object: str
    action: Action
    id: str | None = None
    email: str | None = None
    customer_key: str | None = None
    found_by: str = ""
    version: str = ""
    parent: str = ""
    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()
    code: str = ""
    reason: str = ""
    followed: str = ""
    """The id that we knew the record by, when it was merged or converted since."""

    @property
    def place(self) -> str:
        """Where a person finds it: `connection:id`, or the connection alone for a record that is not there yet."""
        return f"{self.connection}:{self.id}" if self.id else self.connection

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Entry:
        """The entry of a plan's JSON."""
        made = dict[str, Any](raw)
        made["changes"] = tuple(Change(**c) for c in raw["changes"])
        made["kept"] = tuple(Kept(**k) for k in raw["kept"])
        return cls(**made)


@dataclass(frozen=True)
class Plan:
    """What a plan is of. `unchanged` and `looked_at` count records by connection; `problems` names connections that could not be asked.

    `stopped` has the guards that it goes beyond. `undo_of` is the run that it takes back.
    """

    kind: Literal["write", "undo", "contact", "erase"]
    entries: tuple[Entry, ...]
    made_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    flows: tuple[str, ...] = ()
    looked_at: dict[str, int] = field(default_factory=dict)
    unchanged: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    undo_of: str | None = None
    version: int = VERSION

    @property
    def hash(self) -> str:
        """SHA-256 over all of it, in hexadecimal."""
        return hashlib.sha256(orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)).hexdigest()

    @property
    def writes(self) -> list[Entry]:
        """The entries that would be sent."""
        return [e for e in self.entries if e.action in WRITES]

    def counts(self) -> dict[str, dict[str, int]]:
        """By connection, how many entries of each action; unchanged ones too."""
        found: dict[str, Counter[str]] = {name: Counter() for name in (*self.looked_at, *self.problems)}
        for entry in self.entries:
            found.setdefault(entry.connection, Counter())[entry.action] += 1
        for name, number in self.unchanged.items():
            found.setdefault(name, Counter())["unchanged"] += number
        return {name: dict(counter) for name, counter in found.items()}

    def lines(self) -> Iterator[tuple[Any, ...]]:
        """The plan as a person reads it: connection, record, action, field, old, new and why; a line for each field."""
        for e in self.entries:
            what = f"{e.object} {e.id or '(new)'}"
            for c in e.changes:
                yield e.connection, what, e.action, c.to, c.old, "(cleared)" if c.new is None else c.new, c.policy
            for k in e.kept:
                yield e.connection, what, k.how, k.to or k.field, k.theirs, k.ours, k.why
            if not e.changes and not e.kept:
                yield e.connection, what, e.action, "", "", "", e.reason


def key_of(connection: str, object_name: str, identity: str) -> str:
    """The idempotency key of a record: its id, or, for one that is not there yet, its e-mail address (which the key does not show)."""
    return hashlib.sha256(f"{connection}\n{object_name}\n{identity}".encode()).hexdigest()[:20]


def save(settings: Settings, plan: Plan) -> Path:
    """Write the plan to a file of its own, readable by its owner alone: it holds people's data. Gives its path."""
    stamp = plan.made_at.replace("-", "").replace(":", "")[:15]
    path = settings.writeback_dir / "plans" / f"{stamp}-{plan.hash[:8]}.json"
    Sealer.of(settings).write(path, orjson.dumps({"hash": plan.hash, **asdict(plan)}, option=orjson.OPT_INDENT_2))
    return path


def load(settings: Settings, path: Path) -> Plan:
    """The plan in a file. Raises PlanError when it cannot be read or is not what was written."""
    again = "Make a new one: `cdp writeback plan`."
    try:
        raw = orjson.loads(Sealer.of(settings).read(path))
        said = raw.pop("hash")
        if raw["version"] != VERSION:
            raise PlanError(f"{path.name} was made by another version of this program. {again}")
        raw |= {name: tuple(raw[name]) for name in ("flows", "notes", "stopped")}
        raw["entries"] = tuple(Entry.of(entry) for entry in raw["entries"])
        plan = Plan(**raw)
    except OSError as error:
        raise PlanError(f"The plan {path} cannot be read ({error.strerror}). {again}") from None
    except (ValueError, KeyError, TypeError):
        raise PlanError(f"{path.name} is not a plan. {again}") from None
    if plan.hash != said:
        raise PlanError(f"{path.name} was changed after it was made, so it is not applied. {again}")
    return plan


def newest(settings: Settings) -> Path:
    """The file of the plan that was made last. Raises PlanError when there is none."""
    found = sorted((settings.writeback_dir / "plans").glob("*.json"), key=lambda p: (p.stat().st_mtime_ns, p.name))
    if not found:
        raise PlanError("There is no plan yet. Make one: `cdp writeback plan`.")
    return found[-1]


def as_markdown(plan: Plan, most: int = 200) -> str:
    """The plan as a table that a person can read: a line for each field, the first so many of them."""
    lines = ["| CRM | record | action | field | old | new | why |", "|---|---|---|---|---|---|---|"]
    rows = list(plan.lines())
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows[:most]]
    if len(rows) > most:
        lines.append(f"\n{len(rows) - most:,} more lines are in the plan's file.")
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else " " for c in text).replace("|", "\\|").replace("<", "&lt;")
