"""Reading the published file: unified contacts and opportunities by filter, and read-only SQL."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import duckdb

from cdp_pipelines import database
from cdp_pipelines.audit import keys, subjects
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.audit.shape import shape_of
from cdp_pipelines.config import Settings
from cdp_pipelines.crm_integrations.base_crm import CRMContact
from cdp_pipelines.filters import FilterError, conditions, split

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE = 10_000
_settling = threading.Lock()
# Who a record's person is, as the identity layer found.
_FROM = {
    "contacts": "(select c.*, l.customer_key from contacts c left join customer_contacts l using (connection, customer_id))",
    "opportunities": "opportunities",
}
_ORDER = {"contacts": "connection, customer_id", "opportunities": "connection, id"}


class NotPublished(Exception):
    """There is no published file to read."""


class QueryError(Exception):
    """DuckDB refused a query; the text is its reason."""


class Rows:
    """The answer to a query: its columns' names, and its rows as they are fetched. Times are aware UTC datetimes."""

    def __init__(self, result: duckdb.DuckDBPyConnection, limit: int | None = None):
        description = result.description or []
        self.columns: list[str] = [name for name, *_ in description]
        self._times = [i for i, (_, kind, *_) in enumerate(description) if str(kind).startswith("TIMESTAMP")]
        self._result, self._limit = result, limit
        self.given = 0
        """Rows that somebody has taken so far."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for row in islice(self._all(), self._limit):
            self.given += 1
            yield row

    def _all(self) -> Iterator[tuple[Any, ...]]:
        while some := self._fetch():
            for row in some:
                yield self._with_zone(row) if self._times else row

    def dicts(self) -> Iterator[dict[str, Any]]:
        """The rows by column name."""
        for row in self:
            yield dict(zip(self.columns, row, strict=True))

    def dataframe(self) -> pd.DataFrame:
        """All rows at once. Times are datetime64 in UTC, dates datetime64; exact decimals stay `Decimal`."""
        import pyarrow as pa

        table = self._result.to_arrow_table()
        self.given = table.num_rows
        fields = [f.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(f.type) else f for f in table.schema]
        return table.cast(pa.schema(fields)).to_pandas(date_as_object=False)

    def _fetch(self) -> list[tuple[Any, ...]]:
        try:
            return self._result.fetchmany(ROWS_AT_ONCE) if self.columns else []
        except duckdb.Error as error:
            raise QueryError(_one_line(error)) from None

    def _with_zone(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """DuckDB gives a `timestamp` without zone; the tables hold UTC."""
        values = list(row)
        for i in self._times:
            if isinstance(value := values[i], datetime):
                values[i] = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return tuple(values)


@contextmanager
def published(settings: Settings, *, masked: bool = False) -> Generator[duckdb.DuckDBPyConnection]:
    """The published or the masked file, open for reading only, with no way to other files or the network.

    Raises NotPublished when it is absent.
    """
    path = settings.masked_file if masked else settings.published
    if not path.exists():
        off = " CDP_MASKED is false, so that no masked file is written." if masked and not settings.masked else ""
        raise NotPublished(f"There is no {'masked' if masked else 'published'} file yet ({path}).{off} Run `cdp sync` first.")
    try:
        opened = database.connect(settings, path, read_only=True, no_way_out=True)
    except duckdb.Error as error:
        raise QueryError(f"{path} cannot be opened: {_one_line(error)}") from None
    with opened as db:
        _settle(db)
        yield db


def _settle(db: duckdb.DuckDBPyConnection) -> None:
    """Set and lock the configuration. Connections that one process has open to one file share it, so that the first of them does it."""
    with _settling:
        if db.execute("select current_setting('lock_configuration')").fetchall() == [(False,)]:
            for setting in ("TimeZone = 'UTC'", "python_enable_replacements = false", "lock_configuration = true"):
                db.execute(f"set {setting}")


@contextmanager
def rows(
    settings: Settings, table: str, filters: Mapping[str, Any] | None = None, *, limit: int | None = None, include_deleted: bool = False
) -> Generator[Rows]:
    """The rows of `contacts` or `opportunities` that meet every filter, in the order of their keys.

    Filters are comparisons such as `lead_score__gt` (see `filters`). Deleted and merged-away records are left out, unless a filter
    mentions `is_deleted` or `merged_into`, or `include_deleted` is true. Raises FilterError and NotPublished.
    """
    with published(settings) as db:
        sql, parameters = _select(db, table, filters or {}, limit, include_deleted)
        about = {"filters": sorted(filters or {})}
        with _read_of(settings, execute(db, sql, parameters), table, about, _addresses(filters or {})) as found:
            yield found


@contextmanager
def sql(settings: Settings, query: str, *, limit: int | None = None, masked: bool = False) -> Generator[Rows]:
    """The answer, or its first rows, to any read-only query of the published file, or of the masked one.

    Raises QueryError with DuckDB's reason, and NotPublished.
    """
    with published(settings, masked=masked) as db:
        answer = execute(db, query, [], limit)
        about = {"query": shape_of(query), **({"masked": True} if masked else {})}
        with _read_of(settings, answer, "sql", about) as found:
            yield found


@contextmanager
def _read_of(settings: Settings, found: Rows, what: str, about: dict[str, Any], addresses: Sequence[str] = ()) -> Generator[Rows]:
    """The rows for whoever takes them, and how many were taken for the audit log."""
    result = "failed"
    try:
        yield found
        result = "ok"
    finally:
        whom = tuple(subjects.of_address(keys.load(settings), address) for address in addresses)
        record(settings, Operation("read", what, result, found.given, about, whom))


def _addresses(filters: Mapping[str, Any]) -> list[str]:
    """The e-mail addresses that somebody asked for: the log tells of whom, by pseudonym."""
    return [value for value in filters.values() if isinstance(value, str) and "@" in value]


def contacts(
    settings: Settings,
    filters: Mapping[str, Any] | None = None,
    limit: int | None = None,
    as_dataframe: bool = False,
    include_deleted: bool = False,
) -> list[CRMContact] | pd.DataFrame:
    """The unified contacts that meet the filters, each with its `customer_key`; see `rows`."""
    with rows(settings, "contacts", filters, limit=limit, include_deleted=include_deleted) as found:
        return found.dataframe() if as_dataframe else [CRMContact.from_row(row) for row in found.dicts()]


def opportunities(
    settings: Settings,
    filters: Mapping[str, Any] | None = None,
    limit: int | None = None,
    as_dataframe: bool = False,
    include_deleted: bool = False,
) -> list[dict[str, Any]] | pd.DataFrame:
    """The opportunities that meet the filters, as dictionaries; see `rows`."""
    with rows(settings, "opportunities", filters, limit=limit, include_deleted=include_deleted) as found:
        return found.dataframe() if as_dataframe else list(found.dicts())


def _select(
    db: duckdb.DuckDBPyConnection, table: str, filters: Mapping[str, Any], limit: int | None, include_deleted: bool
) -> tuple[str, list[Any]]:
    if limit is not None and limit < 0:
        raise FilterError("The limit cannot be negative.")
    columns = _columns(db, table)
    tests = conditions(filters, columns)
    mentioned = {split(name, columns)[0] for name in filters}
    if not include_deleted and not mentioned & {"is_deleted", "merged_into"}:
        tests += [
            (test, [])
            for name, test in {"is_deleted": "is_deleted is not true", "merged_into": "merged_into is null"}.items()
            if name in columns
        ]
    where = " and ".join(f"({test})" for test, _ in tests) or "true"
    cut = "" if limit is None else f" limit {int(limit)}"
    query = f"select * from {_FROM[table]} where {where} order by {_ORDER[table]}{cut}"
    return query, [value for _, values in tests for value in values]


def _columns(db: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    try:
        return {name: kind for name, kind, *_ in db.execute(f"describe select * from {_FROM[table]}").fetchall()}
    except duckdb.CatalogException:
        raise NotPublished(f"No {table} are published yet: no sync has come to its end. `cdp status` says why.") from None


def execute(db: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any] = (), limit: int | None = None) -> Rows:
    """The answer to a query of the published file. Raises QueryError with DuckDB's reason."""
    try:
        if result := db.execute(query, parameters):
            return Rows(result, limit)
    except duckdb.Error as error:
        raise QueryError(_one_line(error)) from None
    raise QueryError("The query is empty.")


def _one_line(error: duckdb.Error) -> str:
    return " ".join(str(error).split("\n\nLINE")[0].split())
