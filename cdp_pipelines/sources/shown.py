"""What a CRM showed of a raw table when it was reconciled, by id, beside what has landed of it: the same, or what is missing and what is too much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cdp_pipelines import database
from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.sources.columns import as_text, column_name
from cdp_pipelines.sources.raw_tables import CONNECTION
from cdp_pipelines.sources.reader import DELETED, Batch, RawTable

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Late:
    """Records that a read ought to have seen by their time stamp: how many, and the ids of some."""

    count: int = 0
    ids: list[str] = field(default_factory=list)


@dataclass
class Shown:
    """What a CRM showed of a table: keys as text, the newest said of a record last; `everything` says that there is no other record.

    `late` are those that the reads until then should have brought.
    """

    table: RawTable
    everything: bool
    late: Late = field(default_factory=Late)
    parts: list[pa.Table] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        """Records that were read again, which the CRM shows as they are in this batch."""
        rows, fields = batch.rows, [*self.table.key, DELETED]
        if not len(batch):
            return
        if isinstance(rows, pa.Table):
            nothing = pa.nulls(rows.num_rows, pa.string())
            self.parts.append(pa.table({f: rows[f].cast(pa.string()) if f in rows.column_names else nothing for f in fields}))
        else:
            self.parts.append(pa.table({f: pa.array([as_text(row.get(f)) for row in rows], pa.string()) for f in fields}))

    def compare(self, settings: Settings, connection: Connection) -> Landed:
        """What the warehouse holds of the table beside it, once all of it was loaded. The caller holds the warehouse lock."""
        names = [column_name(name) for name in self.table.key]
        key = ", ".join(f'"{name}"' for name in names)
        complete = " and ".join(f'"{name}" is not null' for name in names)
        relation, alive = f'raw_{connection.kind}."{self.table.name}"', f"{DELETED} is distinct from 'true' and {complete}"
        with database.connect(settings, settings.warehouse) as db:
            db.execute("set enable_progress_bar = false")
            columns = ", ".join(f'"{name}" varchar' for name in names)
            db.execute(f"create temp table said ({columns}, {DELETED} varchar, part integer)")
            for number, part in enumerate(self.parts):
                db.register("part_of_it", part.rename_columns([*names, DELETED]))
                db.execute(f"insert into said by name select *, {number} as part from part_of_it")
                db.unregister("part_of_it")
            db.execute(f"""
                create temp table theirs as select {key} from (
                    from said qualify row_number() over (partition by {key} order by part desc, rowid desc) = 1
                ) where {alive};
                create temp table ours as select distinct {key} from {relation} where {CONNECTION} = '{connection.name}' and {alive};
            """)
            ((shown,),) = db.execute("select count(*) from theirs").fetchall()
            missing = db.execute(f"from theirs anti join ours using ({key}) order by all").fetchall()
            surplus = db.execute(f"from ours anti join theirs using ({key}) order by all").fetchall() if self.everything else []
        return Landed(shown, missing, surplus)


@dataclass(frozen=True)
class Landed:
    """How many rows the CRM shows, the keys of those that the warehouse lacks, and of those that it holds and the CRM does not show."""

    shown: int
    missing: list[tuple[Any, ...]]
    surplus: list[tuple[Any, ...]]

    def without(self, keys: Iterable[tuple[Any, ...]]) -> Landed:
        """The same without some keys that are rightly missing."""
        left_out = set(keys)
        return Landed(self.shown, [key for key in self.missing if key not in left_out], self.surplus)
