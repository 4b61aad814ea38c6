"""`cdp opportunities`, `cdp sql`, and how rows are shown: the published file in the terminal, and as CSV and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from cdp_pipelines.query import Rows

ROWS_SHOWN, SQL_ROWS_SHOWN = 20, 100
Format = Literal["table", "csv", "json"]

Where = Annotated[
    list[str] | None,
    typer.Option("--where", "-w", help="field=value or field__operator=value; operators gt, gte, lt, lte, in, contains, icontains, isnull. Repeat to narrow."),
]  # fmt: skip
Limit = Annotated[int | None, typer.Option(min=0, help="At most so many rows (default: all; in a table the first few).")]
As = Annotated[Format, typer.Option("--format", "-f", help="csv and json have every row and column.")]
Deleted = Annotated[bool, typer.Option("--include-deleted", help="Deleted and merged-away records too.")]

# What a table shows of a row; csv and json have all columns.
_SHOWN = {
    "contacts": ("connection", "record_type", "customer_id", "email", "first_name", "last_name", "company", "title", "lead_score", "customer_key"),
    "opportunities": ("connection", "id", "contact_id", "name", "stage", "value", "currency", "probability", "close_date"),
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: cdp opportunities --where close_date__gte=2026-01-01 --where is_won=true")(opportunities)
    app.command(epilog='Example: cdp sql "select stage, count(*), sum(value) from opportunities group by all" --format csv')(sql)
    app.command(epilog="Example: cdp report --to report.html")(report)


def opportunities(where: Where = None, limit: Limit = None, format: As = "table", include_deleted: Deleted = False) -> None:
    """Show the opportunities and deals of all CRMs."""
    show("opportunities", where, limit, format, include_deleted)


def sql(
    query: Annotated[str, typer.Argument(help="A query; it can read the published file and nothing else.")],
    limit: Limit = None,
    format: As = "table",
    masked: Annotated[bool, typer.Option("--masked", help="Ask the masked file, which says of nobody who they are.")] = False,
) -> None:
    """Query the published file, or the masked one. It is opened for reading only."""
    from cdp_pipelines import query as published
    from cdp_pipelines.config import load_settings

    with published.sql(load_settings(), query, limit=None if format == "table" else limit, masked=masked) as rows:
        _print(rows, format, None, SQL_ROWS_SHOWN if limit is None else limit)


def report(to: Annotated[Path | None, typer.Option(help="Where to write it (default: report.html in the data directory).")] = None) -> None:
    """Build the page that shows what is published: overlap of the CRMs, match quality, pipeline, data quality, freshness. It names nobody."""
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.report.page import build

    typer.echo(build(load_settings(), to))


def show(table: str, where: list[str] | None, limit: int | None, format: Format, include_deleted: bool) -> None:
    """The rows of a published table that meet the filters, on stdout."""
    from cdp_pipelines import filters, query
    from cdp_pipelines.config import load_settings

    shown = ROWS_SHOWN if limit is None else limit
    # One row more than a table shows tells whether there are more.
    asked = shown + 1 if format == "table" else limit
    with query.rows(load_settings(), table, filters.parse(where or []), limit=asked, include_deleted=include_deleted) as rows:
        _print(rows, format, _SHOWN[table], shown)


def _print(rows: Rows, format: Format, columns: tuple[str, ...] | None, shown: int) -> None:
    from cdp_pipelines.cli import output

    match format:
        case "table":
            output.show_rows(rows, columns, shown)
        case "csv":
            output.write_csv(rows)
        case "json":
            output.write_json(rows)
