"""The suppression list: who was erased, as keyed hashes; and what of some raw rows may stay. Every row on its way to raw is looked at.

What a row shows of a listed person by address or number teaches the list its id, so that what names it by that id goes too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines.config import Settings
from cdp_pipelines.privacy.hashes import Hasher, Kind, addresses, id_bucket, last_digits, name_looks, spelled, without_addresses
from cdp_pipelines.privacy.where import LINKS, PEOPLE, SALESFORCE_PEOPLE, People
from cdp_pipelines.private_files import private_database

ERASED = "[erased]"
_SCHEMA = """
create table if not exists suppressed (
    hash text not null, kind text not null, erasure text not null, added_at text not null, primary key (hash, erasure)
) without rowid;
create table if not exists lifted (erasure text primary key, reason text not null, who text not null, lifted_at text not null);
"""
_BOOKKEEPING = {"connection", "_synced_at", "_deleted", "_merged_into", "_dlt_load_id", "_dlt_id"}


@dataclass
class Judged:
    """What of some rows may stay: `keep` marks rows, `changed` has columns without what is listed, `why` the erasure of a row that goes."""

    keep: np.ndarray
    changed: dict[str, pa.Array | pa.ChunkedArray] = field(default_factory=dict)
    why: dict[int, str] = field(default_factory=dict)

    def out(self, row: int, erasure: str) -> None:
        """A row goes."""
        self.keep[row] = False
        self.why.setdefault(row, erasure)

    @property
    def untouched(self) -> bool:
        """Everything may stay as it is."""
        return not self.changed and bool(self.keep.all())


class SuppressionList:
    """The file with the hashes."""

    def __init__(self, settings: Settings):
        self._path = settings.privacy_dir / "suppression.sqlite"

    @property
    def there(self) -> bool:
        """Whether anybody was ever erased."""
        return self._path.exists()

    def rows(self) -> dict[str, str]:
        """Hash -> the erasure that it is of."""
        if not self.there:
            return {}
        with private_database(self._path, _SCHEMA) as db:
            return dict(db.execute("select hash, erasure from suppressed").fetchall())

    def add(self, erasure: str, hashes: Iterable[tuple[Kind, str]]) -> int:
        """Put hashes on the list, on the disk when this returns; gives how many are new."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with private_database(self._path, _SCHEMA) as db:
            before = db.total_changes
            db.executemany("insert or ignore into suppressed values (?, ?, ?, ?)", [(h, kind, erasure, now) for kind, h in hashes])
            db.commit()
            return db.total_changes - before

    def erasures_with(self, hashes: Iterable[str]) -> list[str]:
        """The erasures that put one of these on the list."""
        chosen = sorted(set(hashes))
        if not self.there or not chosen:
            return []
        with private_database(self._path, _SCHEMA) as db:
            sql = f"select distinct erasure from suppressed where kind <> 'bucket' and hash in ({', '.join('?' * len(chosen))}) order by 1"
            return [erasure for (erasure,) in db.execute(sql, chosen)]

    def lift(self, erasures: Sequence[str], *, reason: str, who: str) -> int:
        """Take all that some erasures put there off the list; gives how many hashes."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with private_database(self._path, _SCHEMA) as db:
            marks = ", ".join("?" * len(erasures))
            gone = db.execute(f"delete from suppressed where erasure in ({marks})", list(erasures)).rowcount
            db.executemany("insert or replace into lifted values (?, ?, ?, ?)", [(erasure, reason, who, now) for erasure in erasures])
            db.commit()
            return gone

    def counts(self) -> dict[str, int]:
        """How many hashes there are of each kind."""
        if not self.there:
            return {}
        with private_database(self._path, _SCHEMA) as db:
            return dict(db.execute("select kind, count(*) from suppressed group by kind order by kind").fetchall())


class Suppression:
    """The list in memory. `learnt` are the ids that rows taught it; `dropped` and `redacted` count rows by table."""

    def __init__(self, hasher: Hasher, listed: dict[str, str], listing: SuppressionList | None = None):
        self.hasher, self._listed, self._listing = hasher, listed, listing
        self._hot: dict[tuple[str, str], bool] = {}
        self.learnt: set[tuple[str, str]] = set()
        self.dropped: Counter[str] = Counter()
        self.redacted: Counter[str] = Counter()

    @classmethod
    def of(cls, settings: Settings) -> Suppression | None:
        """The list of these settings; None where nobody is on it, which costs nothing."""
        listing = SuppressionList(settings)
        listed = listing.rows()
        return cls(Hasher.of_settings(settings), listed, listing) if listed else None

    def without_listed(self, kind: str, table: str, connection: str, rows: pa.Table) -> pa.Table:
        """Some raw rows of one connection without those of listed people, and without what names one."""
        judged = self.judge(kind, table, connection, rows)
        if judged.untouched:
            return rows
        for column, values in judged.changed.items():
            rows = rows.set_column(rows.schema.get_field_index(column), rows.schema.field(column), values)
        kept = rows if judged.keep.all() else rows.filter(pa.array(judged.keep))
        self.dropped[table] += rows.num_rows - kept.num_rows
        self.redacted[table] += bool(judged.changed)
        return kept

    def judge(self, kind: str, table: str, connection: str, rows: pa.Table) -> Judged:
        """What of some raw rows of one connection may stay."""
        judged = Judged(np.ones(rows.num_rows, bool))
        people = PEOPLE.get((kind, table))
        if people is not None:
            self._people(judged, connection, people, rows)
        known = set(people.emails) if people else set()
        for column, fate in LINKS.get((kind, table), {}).items():
            if column in rows.column_names:
                found = self._listed_ids(connection, rows[column].to_pylist())
                if fate == "drop":
                    for row, erasure in found.items():
                        judged.out(row, erasure)
                elif found:
                    self._blank(judged, rows, column, found, whole_link=fate == "set")
        if people is not None:
            self._learn(connection, [(rows["id"][row].as_py(), erasure) for row, erasure in judged.why.items()])
        for name in rows.column_names:
            if rows[name].null_count < rows.num_rows and name not in _BOOKKEEPING:
                self._mentions(judged, kind, connection, rows, name, addressed=name not in known)
        return judged

    def listed_ids(self, connection: str, ids: Sequence[str | None]) -> list[str | None]:
        """Those of some ids of records that are on the list."""
        return [ids[place] for place in self._listed_ids(connection, ids)]

    def people(self, connection: str, people: People, rows: pa.Table) -> set[int]:
        """Which of some rows, with `id`, `_merged_into` and the columns of `people`, are about somebody on the list. It learns nothing."""
        judged = Judged(np.ones(rows.num_rows, bool))
        self._people(judged, connection, people, rows)
        return set(judged.why)

    def addressed(self, texts: Iterable[str]) -> set[str]:
        """Those of some texts that have the address of somebody on the list."""
        return {text for text in texts if self._without_addresses(text) != text}

    def learn(self, connection: str, ids: Iterable[str], erasure: str) -> None:
        """Put ids on the list that belong to an erased person."""
        found: list[tuple[Kind, str]] = []
        for one in ids:
            found += [("id", self.hasher.id(connection, one)), ("bucket", self.hasher.bucket("id", id_bucket(one)))]
            self.learnt.add((connection, one))
        self._listed |= dict.fromkeys((h for _, h in found if h not in self._listed), erasure)
        self._hot.clear()
        if self._listing is not None:
            self._listing.add(erasure, found)

    def _learn(self, connection: str, found: Iterable[tuple[str | None, str]]) -> None:
        for one, erasure in found:
            if one and self.hasher.id(connection, one) not in self._listed:
                self.learn(connection, [one], erasure)

    def _people(self, judged: Judged, connection: str, people: People, rows: pa.Table) -> None:
        there = set(rows.column_names)
        chosen = np.ones(rows.num_rows, bool)
        if people.only is not None:
            chosen = _true(rows[people.only]) if people.only in there else np.zeros(rows.num_rows, bool)
        if not chosen.any():
            return
        for column in ("id", "_merged_into"):
            for row, erasure in self._listed_ids(connection, rows[column].to_pylist()).items():
                if chosen[row]:
                    judged.out(row, erasure)

        def value(column: str, row: int) -> str | None:
            return rows[column][row].as_py() if column in there else None

        def named(row: int, of: str) -> bool | None:
            """Whether the row's name is one that was known with a value; None where it has no name."""
            looks = name_looks(value(people.first, row), value(people.last, row))
            return None if looks is None else any(self._listed_as("named", f"{of}\n{look}") for look in looks)

        for column in (c for c in people.emails if c in there):
            for row, mailbox in self._listed_mailboxes(rows[column].to_pylist()):
                if not chosen[row]:
                    continue
                if (erasure := self._listed_as("mailbox", mailbox)) or (
                    (erasure := self._listed_as("shared_mailbox", mailbox)) and named(row, mailbox)
                ):
                    judged.out(row, erasure)
        for column in (c for c in people.phones if c in there):
            for row, text in self._hot_numbers(rows[column].to_pylist()):
                line = self.hasher.line(text, value(people.country, row))
                if not chosen[row] or line is None:
                    continue
                # A number may have gone to somebody else since: a row with another name stays.
                if ((erasure := self._listed_as("line", line)) and named(row, line) is not False) or (
                    (erasure := self._listed_as("shared_line", line)) and named(row, line)
                ):
                    judged.out(row, erasure)

    def _mentions(self, judged: Judged, kind: str, connection: str, rows: pa.Table, column: str, *, addressed: bool) -> None:
        """Take addresses of listed people out of any other text, and Salesforce ids of theirs out of any other lookup."""
        changes: dict[int, str | None] = {}
        values = rows[column]
        if addressed:
            found = pc.call_function("indices_nonzero", [pc.call_function("match_substring", [values], pc.MatchSubstringOptions("@"))])
            for row in found.to_pylist():
                text = values[row].as_py()
                if judged.keep[row] and (new := self._without_addresses(text)) != text:
                    changes[row] = new
        if kind == "salesforce" and column != "id" and column.endswith(("_id", "__c")):
            texts = values.to_pylist()
            ids = [text if text and text.startswith(SALESFORCE_PEOPLE) else None for text in texts]
            changes |= {row: None for row in self._listed_ids(connection, ids) if judged.keep[row]}
        if changes:
            base = judged.changed.get(column, values)
            judged.changed[column] = pa.array([changes.get(i, old) for i, old in enumerate(base.to_pylist())], pa.string())

    def _without_addresses(self, text: str) -> str:
        plain = without_addresses(spelled(text), self._is_listed_address, ERASED)
        return plain if ERASED in plain else text

    def _is_listed_address(self, address: str) -> bool:
        mailbox = self.hasher.mailbox(address)
        return mailbox is not None and self._listed_as("mailbox", mailbox.address) is not None

    def _blank(self, judged: Judged, rows: pa.Table, column: str, found: Iterable[int], *, whole_link: bool) -> None:
        """Empty a column in some rows; of a link in a set, all that is said of it. Such a row says that the set is known."""
        kept = _BOOKKEEPING | {"from_id"}
        for name in [c for c in rows.column_names if c not in kept] if whole_link else [column]:
            mask = np.zeros(rows.num_rows, bool)
            mask[list(found)] = True
            base = judged.changed.get(name, rows[name])
            judged.changed[name] = pc.call_function("if_else", [pa.array(mask), pa.scalar(None, pa.string()), base])

    def _listed_ids(self, connection: str, values: Sequence[str | None]) -> dict[int, str]:
        """The rows with a listed id, and the erasure that it is of."""
        found = {}
        for row, one in enumerate(values):
            if one and self._is_hot("id", id_bucket(one)) and (erasure := self._listed.get(self.hasher.id(connection, one))):
                found[row] = erasure
        return found

    def _listed_mailboxes(self, values: Sequence[str | None]) -> Iterator[tuple[int, str]]:
        """The rows with an address that may be listed, and its mailbox."""
        for i, text in enumerate(values):
            if not text or "@" not in spelled(text):
                continue
            if (
                text.isascii()
                and text.count("@") == 1
                and not self._is_hot("domain", text.rpartition("@")[2].strip(" \t\r\n'\"<>.,;").lower())
            ):
                continue
            for address in addresses(spelled(text)):
                if mailbox := self.hasher.mailbox(address):
                    yield i, mailbox.address

    def _hot_numbers(self, values: Sequence[str | None]) -> Iterator[tuple[int, str]]:
        for i, text in enumerate(values):
            if text and (not (last := last_digits(text)) or self._is_hot("line", last)):
                yield i, text

    def _is_hot(self, what: str, text: str) -> bool:
        known = self._hot.get((what, text))
        if known is None:
            if what == "domain":
                mailbox = self.hasher.mailbox(f"somebody@{text}")
                hashed = self.hasher.bucket("domain", mailbox.domain if mailbox else text)
            else:
                hashed = self.hasher.bucket(what, text)
            known = self._hot[what, text] = hashed in self._listed
        return known

    def _listed_as(self, kind: Kind, text: str) -> str | None:
        """The erasure that put a value on the list."""
        return self._listed.get(self.hasher.hash(kind, text))


def _true(column: pa.ChunkedArray) -> np.ndarray:
    return np.array([value == "true" for value in column.to_pylist()], bool)
