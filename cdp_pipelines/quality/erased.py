"""Whether anybody who was erased is in a table that is to be published: everything there, hashed and looked up in the suppression list."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.suppression import Suppression, SuppressionList
from cdp_pipelines.privacy.where import People
from cdp_pipelines.publish import SCHEMAS
from cdp_pipelines.quality.looking import Check, Found, Look
from cdp_pipelines.quality.schema import SCHEMA

_PEOPLE = People(("email",), ("phone", "mobile_phone"), "first_name", "last_name", "country")
_CONTACTS = """
select connection, customer_id as id, merged_into as _merged_into, email, phone, mobile_phone, first_name, last_name, country
from standardized.contacts order by connection
"""
# Columns that have the id of a person's record in the connection beside it.
_IDS = (
    ("connection", "customer_id"), ("connection", "contact_id"), ("left_connection", "left_customer_id"),
    ("right_connection", "right_customer_id"),
)  # fmt: skip


def _listed(look: Look) -> Found:
    listed = SuppressionList(look.settings).rows()
    if not listed:
        return Found()
    # Without the file, so that it learns nothing from what is here.
    known = Suppression(Hasher.of_settings(look.settings), listed)
    places = sorted({*_records(look, known), *_named(look, known), *_addressed(look, known)})
    return Found(len(places), places)


def _records(look: Look, known: Suppression) -> Iterator[str]:
    """Contacts that the list knows by id, address or number."""
    for connection in (name for (name,) in look.db.execute("select distinct connection from standardized.contacts").fetchall()):
        rows = look.db.execute(f"from ({_CONTACTS}) where connection = ?", [connection]).to_arrow_table()
        texts = pa.table({name: rows[name].cast(pa.string()) for name in rows.column_names})
        yield from (f"{connection}:{texts['id'][row]}" for row in known.people(connection, _PEOPLE, texts))


def _named(look: Look, known: Suppression) -> Iterator[str]:
    """Ids of listed people in any other table."""
    for table, columns in _tables(look).items():
        for connection, column in _IDS:
            if connection in columns and column in columns and table != "standardized.contacts":
                ids = look.db.execute(f'select distinct {connection}, "{column}" from {table} where "{column}" is not null').fetchall()
                for name in {name for name, _ in ids}:
                    for one in known.listed_ids(name, [id_ for of, id_ in ids if of == name]):
                        yield f"{name}:{one}"


def _addressed(look: Look, known: Suppression) -> Iterator[str]:
    """Tables with the address of a listed person in any text; the text is not told."""
    for table, columns in _tables(look).items():
        texts = [f'"{name}"' for name, kind in columns.items() if kind == "VARCHAR"]
        if texts:
            found = look.db.execute(
                f"select distinct text from (select unnest([{', '.join(texts)}]) as text from {table}) where contains(text, '@')"
            ).fetchall()
            if known.addressed(text for (text,) in found):
                yield f"table {table.partition('.')[2]}"


def _tables(look: Look) -> dict[str, dict[str, str]]:
    """What is to be published: relation -> column -> type."""
    found: dict[str, dict[str, str]] = {}
    rows = look.db.execute(
        "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns() join duckdb_tables() "
        "using (database_name, schema_name, table_name) where schema_name in (?, ?, ?) order by all",
        [*SCHEMAS, SCHEMA],
    ).fetchall()
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


NOBODY_ERASED = Check(
    18, "nobody_erased", "contacts", True, "Stops: who was erased is not to be shown to anybody again, whatever else waits for it.",
    "Nobody who was erased, and is on the suppression list, is in a table that is published.",
    "Run `cdp privacy erase` for these records again, and `cdp sync`; report how they came back. Somebody who is wrongly on the list comes off it with "
    "`cdp privacy unsuppress`.", _listed,
)  # fmt: skip
