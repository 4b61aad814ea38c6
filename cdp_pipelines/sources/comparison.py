"""What a CRM shows of a table beside what the warehouse holds of it, compared by DuckDB: memory stays flat, what is too large goes to disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from cdp_pipelines import database
from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.sources.columns import as_text, assign_columns, column_name
from cdp_pipelines.sources.raw_tables import CONNECTION, SYNCED_AT
from cdp_pipelines.sources.reader import DELETED, MERGED_INTO, Glance, RawTable
from cdp_pipelines.sources.shown import Late
from cdp_pipelines.sources.warehouse import no_value, value_columns

ROWS_AT_ONCE = 10_000
_MARKS = [DELETED, MERGED_INTO]
# When a record was changed last, as each CRM calls it.
_STAMPS = ("system_modstamp", "updated_at")
_LATE_NAMED = 10


class Comparison:
    """A raw table of a connection, and a glance at it. `columns` is the raw column of each field.

    Use it as a context manager: `add` all that the CRM shows, `compare`, then take `rows` and `keys`.
    """

    def __init__(self, settings: Settings, connection: Connection, table: RawTable, columns: dict[str, str]):
        self._settings, self._connection, self._table = settings, connection, table
        self._columns = dict(columns)
        self._key = [column_name(f) for f in table.key]
        self._seen = [*self._key, *_MARKS]

    def __enter__(self) -> Self:
        # Temporary tables belong to this connection to the file, and go with it.
        self._db = database.connect(self._settings, self._settings.warehouse)
        self._db.execute("set enable_progress_bar = false")
        self._db.execute(f"create temp table seen ({', '.join(f'{c} varchar' for c in _quoted(self._seen))})")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._db.close()

    def add(self, rows: list[dict[str, Any]] | pa.Table) -> None:
        """Some rows of the glance. Of several with the same key the last one counts."""
        if not len(rows):
            return
        fields = rows.column_names if isinstance(rows, pa.Table) else list(dict.fromkeys(f for row in rows for f in row))
        self._columns = assign_columns([f for f in fields if f not in _MARKS], {c: f for f, c in self._columns.items()})
        names = [f if f in _MARKS else self._columns[f] for f in fields]
        if isinstance(rows, pa.Table):
            arrow = rows.rename_columns(names)
        else:
            arrow = pa.table([pa.array([as_text(row.get(f)) for row in rows], pa.string()) for f in fields], names)
        for name in names:
            if name not in self._seen:
                self._db.execute(f'alter table seen add column "{name}" varchar')
                self._seen.append(name)
        self._db.register("batch", arrow)
        self._db.execute("insert into seen by name from batch")
        self._db.unregister("batch")

    def compare(self, glance: Glance) -> None:
        """Find what differs."""
        values = value_columns(self._db, self._connection.kind, self._table)
        self._hold(values)
        if self._table.replace_by:
            self._compare_sets(glance.everything)
        else:
            self._compare_records(glance, values)

    def rows(self) -> Iterator[pa.Table]:
        """New versions that need no second reading: of a whole glance all of them, else tombstones. Fields have the vendor's names."""
        fields = {c: f for f, c in self._columns.items()}
        for batch in self._db.execute("from mended").to_arrow_reader(ROWS_AT_ONCE):
            yield pa.Table.from_batches([batch]).rename_columns([fields.get(c, c) for c in batch.schema.names])

    def shown(self) -> pa.Table:
        """The key of all that the CRM shows, as text by the vendor's names, and whether it shows it as deleted."""
        key = ", ".join(f'"{column}" as "{field}"' for column, field in zip(self._key, self._table.key, strict=True))
        return self._db.execute(f"select {key}, {DELETED} from seen").to_arrow_table()

    def late(self, read_until: datetime) -> Late:
        """The records that differ though their own time stamp lies before a moment until when everything was read; of a table of records."""
        stamp = next((name for name in _STAMPS if name in self._seen), None)
        if stamp is None or self._table.replace_by:
            return Late()
        key, name = ", ".join(_quoted(self._key)), " || '/' || ".join(_quoted(self._key))
        theirs, ours = (_moment(f'{side}."{stamp}"') for side in ("differing", "held"))
        found = self._db.execute(
            f"""select {name} as id, count(*) over () from differing
                left join (from held qualify row_number() over (partition by {key} order by {SYNCED_AT} desc) = 1) as held using ({key})
                where differing.{DELETED} is distinct from 'true' and {theirs} < ?::timestamptz and {theirs} is distinct from {ours}
                order by id limit {_LATE_NAMED}""",
            [read_until],
        ).fetchall()
        return Late(found[0][1], [id_ for id_, _ in found]) if found else Late()

    def keys(self) -> dict[str, str | None]:
        """Keys of the records to read again, each with the record that it was merged into as far as the warehouse knows."""
        return dict(self._db.execute("from reread").fetchall())

    def _hold(self, values: list[str]) -> None:
        """The warehouse's rows of this connection, with all columns that either side has, as the view `held`."""
        there = {CONNECTION, SYNCED_AT, *self._key, *_MARKS, *values}
        columns = dict.fromkeys([CONNECTION, SYNCED_AT, *self._key, *_MARKS, *values, *self._seen])
        selected = ", ".join(f'"{c}"' if c in there else f'null::varchar as "{c}"' for c in columns)
        # A view takes no parameters; the names of connections have no quotes in them.
        self._db.execute(
            f'create temp view held as select {selected} from raw_{self._connection.kind}."{self._table.name}" '
            f"where {CONNECTION} = '{self._connection.name}'"
        )

    def _compare_records(self, glance: Glance, values: list[str]) -> None:
        key = ", ".join(_quoted(self._key))
        compared = [c for c in self._seen if c not in self._key]
        differs = " or ".join(["held.connection is null", *(_differs(f'"{c}"') for c in compared)])
        self._db.execute(f"""
            create temp table differing as
            select seen.*, held.{MERGED_INTO} as merged_before
            from (from seen qualify row_number() over (partition by {key} order by rowid desc) = 1) as seen
            left join (from held qualify row_number() over (partition by {key} order by {SYNCED_AT} desc) = 1) as held using ({key})
            where {differs}""")
        # A tombstone in the warehouse that the CRM knows nothing of either is as it should be.
        unknown = f"not coalesce({DELETED} = 'true' and {no_value(values)}, false)" if glance.everything else "false"
        self._db.execute(
            f"create temp table gone as select distinct {key}, {MERGED_INTO} from held anti join seen using ({key}) where {unknown}"
        )
        tombstone = f"coalesce({DELETED} = 'true' and {no_value(c for c in compared if c not in _MARKS)}, false)"
        ready = "true" if glance.whole else tombstone
        self._db.execute(f"""
            create temp table mended as select * exclude (merged_before) from differing where {ready};
            create temp table reread as select {key}, merged_before from differing where not {ready}""")
        if glance.whole:
            self._db.execute(f"insert into mended by name select *, 'true' as {DELETED} from gone")
        else:
            self._db.execute("insert into reread from gone")

    def _compare_sets(self, everything: bool) -> None:
        by = ", ".join(_quoted(column_name(f) for f in self._table.replace_by))
        columns = ", ".join(_quoted(self._seen))
        self._db.execute(f"""
            create temp table differing as select distinct {by} from (
                (select {columns} from seen except select {columns} from held)
                union all (select {columns} from held semi join seen using ({by}) except select {columns} from seen)
            );
            create temp table mended as select distinct {columns} from seen semi join differing using ({by});
            create temp table reread as select null::varchar, null::varchar where false""")
        if everything:
            empty = no_value(column_name(f) for f in self._table.key if f not in self._table.replace_by)
            self._db.execute(f"insert into mended by name select distinct {by} from held anti join seen using ({by}) where not ({empty})")


def _quoted(names: Iterable[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def _moment(column: str) -> str:
    """A vendor's time stamp as a moment, as SQL; null where it is none."""
    return f"try_cast(regexp_replace({column}, '[+]0000$', 'Z') as timestamptz)"


def _differs(column: str) -> str:
    """Whether a value differs, as SQL. Salesforce's two query APIs write the zone of the same moment differently."""
    ours, theirs = (f"regexp_replace({side}.{column}, '[+]0000$', 'Z')" for side in ("held", "seen"))
    return f"(held.{column} is distinct from seen.{column} and {ours} is distinct from {theirs})"
