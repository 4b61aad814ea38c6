"""The report as one HTML file that needs nothing else: no script, no network."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cdp_pipelines import query
from cdp_pipelines.config import Settings
from cdp_pipelines.private_files import write_private
from cdp_pipelines.report.charts import Chart, charts_of
from cdp_pipelines.report.figures import Figure, Figures, figures_of, written


def build(settings: Settings, path: Path | None = None, found: Figures | None = None) -> Path:
    """Write the report of what is published, for its owner alone, in place of an earlier one; gives its path (`settings.report`).

    `found` is what `ask` gave, where the caller has it already. Raises what `ask` raises.
    """
    found = found or ask(settings)
    target = path or settings.report
    target.parent.mkdir(parents=True, exist_ok=True)
    write_private(target, render(found, charts_of(found), settings.published.name).encode())
    return target


def ask(settings: Settings) -> Figures:
    """The report's numbers. Raises NotPublished before the first sync, and QueryError for a file that another version of this program published."""
    with query.published(settings) as db:
        try:
            return figures_of(db)
        except duckdb.Error as error:
            said = str(error).partition("\n")[0]
            raise query.QueryError(f"{settings.published} was published by another version ({said}). Run `cdp sync`.") from None


def render(found: Figures, charts: Mapping[str, Chart], source: str) -> str:
    """The page's text. What comes from data is escaped; the charts are taken as they are."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    failed = sum(row["failed"] for row in found.figures["checks"].records())
    return environment.get_template("page.html.j2").render(
        numeric=_numeric,
        written=written,
        headlines=found.headlines,
        figures=list(found.figures.values()),
        charts=charts,
        source=source,
        made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        failed=f"{failed} {'check' if failed == 1 else 'checks'}" if failed else "",
    )


def _numeric(figure: Figure, column: int) -> bool:
    return any(isinstance(row[column], int | float | Decimal) for row in figure.rows)
