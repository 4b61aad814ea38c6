"""Two data directories, table by table and row by row."""

from __future__ import annotations

from dataclasses import dataclass

from cdp_pipelines import database
from cdp_pipelines.config import Settings

SCHEMAS = ("standardized", "unified", "quality")
# When something was read, measured or found is another moment in each run.
MOMENTS = {"synced_at", "measured_at", "checked_at", "first_seen_at", "last_seen_at", "first_filled_at", "happened_at"}


# An address of one customer alone, whom HubSpot and another CRM know.
SOMEBODY = """
select c.email from standardized.contacts as c inner join unified.customer_contacts as k using (connection, customer_id)
where c.email is not null and not c.is_deleted group by c.email
having count(distinct k.customer_key) = 1 and count(distinct c.source_system) > 1 and count(*) filter (c.source_system = 'hubspot') > 0
order by c.email
"""


@dataclass(frozen=True)
class Compared:
    """A table's rows in both, and how many rows either one has that the other has not."""

    table: str
    rows: int
    rows_elsewhere: int
    differing: int
    example: str = ""


def compare(here: Settings, there: Settings) -> list[Compared]:
    """Every table of SCHEMAS that either of two warehouse files has."""
    with database.in_memory(here) as db:
        database.attach(here, db, here.warehouse, "here", read_only=True)
        database.attach(there, db, there.warehouse, "there", read_only=True)
        places = ", ".join(f"'{schema}'" for schema in SCHEMAS)
        tables = db.execute(f"select distinct schema_name, table_name from duckdb_tables() where schema_name in ({places}) order by all")
        return [_compare(db, schema, table) for schema, table in tables.fetchall()]


def _compare(db, schema: str, table: str) -> Compared:
    described = [db.execute(f'describe {side}.{schema}."{table}"').fetchall() for side in ("here", "there")]
    types = [{name: kind for name, kind, *_ in columns if name not in MOMENTS} for columns in described]
    name = f"{schema}.{table}"
    counts = [db.execute(f'select count(*) from {side}.{schema}."{table}"').fetchall()[0][0] for side in ("here", "there")]
    if types[0] != types[1]:
        return Compared(name, *counts, max(*counts, 1), f"columns: {sorted(types[0].items() ^ types[1].items())}")
    columns = ", ".join(f'"{column}"' for column in types[0])
    # What a profile says of such a column differs as the column does.
    where = f"where column_name not in {tuple(sorted(MOMENTS))}" if "column_name" in types[0] else ""
    sides = [f'(select {columns} from {side}.{schema}."{table}" {where})' for side in ("here", "there")]
    found = [db.execute(f"{a} except all {b}").fetchall() for a, b in (sides, sides[::-1])]
    example = f"{list(types[0])}: {[sorted(rows, key=repr)[:1] for rows in found]}" if any(found) else ""
    return Compared(name, *counts, sum(map(len, found)), example)


def told(compared: list[Compared], engine: str) -> str:
    """The comparison as a table."""
    lines = [f"{'table':<42}{'duckdb':>9}{engine:>9}{'differing':>11}"]
    lines += [f"{c.table:<42}{c.rows:>9,}{c.rows_elsewhere:>9,}{c.differing:>11,}" for c in compared]
    lines.append(f"{len(compared)} tables, {sum(c.differing for c in compared):,} differing rows")
    return "\n".join(lines)
