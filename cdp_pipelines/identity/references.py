"""What people call a customer or a record by: a customer key (an old one too), connection:id, or an e-mail address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from cdp_pipelines.identity.emails import mailbox

_MEMBERS = """
select connection, customer_id, customer_key from customer_contacts left join contacts using (connection, customer_id)
where customer_key = ? order by created_date nulls last, connection, customer_id
"""


class NotFound(Exception):
    """Nothing, or several things, go by that name; the text says what to give instead."""


@dataclass(frozen=True)
class Reference:
    """What was meant: a customer, and the record where one was named."""

    customer_key: str
    record: tuple[str, str] | None


def find(db: duckdb.DuckDBPyConnection, text: str) -> Reference:
    """What a text refers to in the published file. Raises NotFound."""
    text = text.strip()
    if rows := _rows(db, "select distinct customer_key from customer_contacts where customer_key = ?", [text]):
        return Reference(rows[0][0], None)
    if rows := _rows(db, "select new_key from customer_aliases where old_key = ? and is_current and reason <> 'split'", [text]):
        if rows[0][0] is None:
            raise NotFound("All records of this customer are gone from the CRMs.")
        return Reference(rows[0][0], None)
    connection, _, customer_id = text.partition(":")
    named = "select connection, customer_id, customer_key from customer_contacts where connection = ? and customer_id = ?"
    if rows := _rows(db, named, [connection, customer_id]):
        return Reference(rows[0][2], (rows[0][0], rows[0][1]))
    if "@" in text:
        return _by_address(db, text)
    raise NotFound(f"Nobody is called {text!r}. Give a customer key, a record as connection:id, or an e-mail address.")


def record(db: duckdb.DuckDBPyConnection, reference: Reference) -> tuple[str, str]:
    """The record that was named, or the oldest one of the customer."""
    return reference.record or _rows(db, _MEMBERS, [reference.customer_key])[0][:2]


def _by_address(db: duckdb.DuckDBPyConnection, text: str) -> Reference:
    """The one customer who has an address; the record, where one alone has it."""
    wanted = mailbox(text)
    near = f"%@{text.rpartition('@')[2].lower()}"
    held = _rows(
        db,
        """select connection, customer_id, customer_key, email from customer_contacts join contacts using (connection, customer_id)
        where lower(email) = lower(?) or lower(email) like ? or lower(email) like '%@googlemail.com' order by all""",
        [text, near],
    )
    found = [
        row
        for row in held
        if str(row[3]).strip().lower() == text.lower() or (wanted and (m := mailbox(row[3])) and m.address == wanted.address)
    ]
    keys = sorted({row[2] for row in found})
    if not keys:
        raise NotFound("No contact has this e-mail address.")
    if len(keys) > 1:
        named = ", ".join(f"{row[0]}:{row[1]}" for row in found[:10])
        raise NotFound(f"{len(keys)} customers have this e-mail address. Name one of the records: {named}.")
    return Reference(keys[0], (found[0][0], found[0][1]) if len(found) == 1 else None)


def _rows(db: duckdb.DuckDBPyConnection, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
    return db.execute(query, values).fetchall()
