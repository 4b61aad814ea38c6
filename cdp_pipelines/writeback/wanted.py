"""The rows that a flow would have in the CRMs, and which records each is about, from the published file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import duckdb

from cdp_pipelines import query
from cdp_pipelines.config import Connection, Settings
from cdp_pipelines.writeback.consent import Consents, Refusal
from cdp_pipelines.writeback.rules import Flow, RulesError, Target


@dataclass(frozen=True)
class Wanted:
    """What one record of one connection should hold: our field -> value. `id` and `record_type` are those of the record, if known.

    `read` is what the last sync read of the record. `suppressed` says whether it must not be written, `refusals` which
    channels the person said no to.
    """

    connection: str
    values: Mapping[str, Any]
    id: str | None = None
    record_type: str | None = None
    email: str | None = None
    customer_key: str | None = None
    read: Mapping[str, Any] = field(default_factory=dict)
    as_of: datetime | None = None
    suppressed: bool = False
    refusals: tuple[Refusal, ...] = ()


def wanted(settings: Settings, name: str, flow: Flow, connection: Connection) -> list[Wanted]:
    """What a flow wants of one connection. Raises RulesError for a query that cannot be run, NotPublished before the first sync."""
    target = flow.target(connection)
    if target is None:
        return []
    with query.published(settings) as db:
        try:
            columns = {row[0] for row in db.execute(f"describe select * from {flow.source}").fetchall()}
            _check(name, flow, target, columns)
            sql, parameters = _sql(flow, target, connection.name)
            result = db.execute(sql, parameters)
            rows = list(query.Rows(result).dicts())
            consents = read_consents(db)
        except duckdb.Error as error:
            raise RulesError(f"writeback.yml: flows.{name}: {' '.join(str(error).split('LINE')[0].split())}") from None
    return [
        replace(one, refusals=consents.of(one.customer_key, one.email)) for one in (_wanted(row, target, connection.name) for row in rows)
    ]


def read_consents(db: duckdb.DuckDBPyConnection) -> Consents:
    """Who said no, from the open published file. Raises RulesError for one that cannot tell."""
    try:
        return Consents.read(db)
    except duckdb.CatalogException:
        raise RulesError("The published file does not say yet who opted out, so nothing is planned. Run `cdp sync` first.") from None


def _check(name: str, flow: Flow, target: Target, columns: set[str]) -> None:
    needed = [
        flow.key,
        *target.fields,
        *([flow.newest_by] if flow.newest_by else []),
        *(["connection"] if flow.key == "customer_id" else []),
    ]
    if missing := [column for column in needed if column not in columns]:
        raise RulesError(f"writeback.yml: flows.{name}: the rows have no column {missing[0]!r}; they have {', '.join(sorted(columns))}.")


def _sql(flow: Flow, target: Target, connection: str) -> tuple[str, list[Any]]:
    """One row for each record, or for each customer without one. A customer with several records in a CRM gives one row for each of them."""
    ours = ", ".join(f'r."{name}" as "ours.{name}"' for name in target.fields)
    theirs = ", ".join(f'c."{name}" as "read.{name}"' for name in target.fields)
    suppressed = f"coalesce(({flow.suppress}), false)" if flow.suppress else "false"
    as_of = f'"{flow.newest_by}"' if flow.newest_by else "null"
    rows = f"select *, {suppressed} as __suppressed, {as_of} as __as_of from {flow.source} where {flow.where or 'true'}"
    records = (
        "select c.*, l.customer_key, min(l.customer_key) over mailbox = max(l.customer_key) over mailbox as __one_person from contacts c join customer_contacts l using (connection, customer_id) "
        "where c.connection = ? and not c.is_deleted and c.merged_into is null and c.converted_contact_id is null "
        "window mailbox as (partition by lower(c.email))"
    )
    match flow.key:
        case "customer_key":
            on, key, email = "c.customer_key = r.customer_key", "r.customer_key", _email(target)
        case "customer_id":
            on, key, email = "c.connection = r.connection and c.customer_id = r.customer_id", "c.customer_key", _email(target)
        case "email":
            on, key, email = "lower(c.email) = lower(trim(r.email)) and c.__one_person", "c.customer_key", "r.email"
    own = " where r.connection = ?" if flow.key == "customer_id" else ""
    id_ = "coalesce(c.customer_id, r.customer_id)" if flow.key == "customer_id" else "c.customer_id"
    sql = (
        f"with rows as ({rows}), records as ({records}) "
        f"select {ours}, {theirs}, {id_} as id, c.record_type, {key} as customer_key, {email} as email, r.__suppressed, r.__as_of "
        f"from rows r left join records c on {on}{own} order by customer_key, id"
    )
    return sql, [connection, *([connection] if own else [])]


def _email(target: Target) -> str:
    return "r.email" if "email" in target.fields else "null"


def _wanted(row: dict[str, Any], target: Target, connection: str) -> Wanted:
    known = row["id"] is not None and row["record_type"] is not None
    return Wanted(
        connection,
        {name: row[f"ours.{name}"] for name in target.fields},
        id=row["id"],
        record_type=row["record_type"],
        email=row["email"],
        customer_key=row["customer_key"],
        read={name: row[f"read.{name}"] for name in target.fields} if known else {},
        as_of=row["__as_of"],
        suppressed=bool(row["__suppressed"]),
    )
