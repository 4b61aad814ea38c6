"""What is measured of the tables that are about to be published, and the checks of it against earlier runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import duckdb

from cdp_pipelines import history
from cdp_pipelines.config import Settings
from cdp_pipelines.history import CheckResult
from cdp_pipelines.quality import check, disagreements, duplicates, moments, picklists, profiles, schema, source_fields
from cdp_pipelines.quality.check import Check
from cdp_pipelines.quality.moments import WARM_UP
from cdp_pipelines.quality.usual import Figures, as_count, as_share, outliers

LEAST_ROWS = 50
"""A share of fewer rows moves by itself."""
_UNUSUAL = "Warns: what is unusual may be right (an import, a clean-up), and only people can tell."
_LOOK = "`cdp status` says what the last sync read; see quality.{table} for how it came. What stays so is usual after half of the runs that are looked at."

ROWS = Figures(
    "quality.column_profiles", ("table_name", "connection"), "rows", "greatest(0.05 * usual, 10)", as_count(),
    "concat_ws(':', nullif(connection, ''), table_name)", zero_if_gone=True,
)  # fmt: skip
NULLS = Figures(
    "quality.column_profiles", ("table_name", "connection", "column_name"), "null_rate", "0.02", as_share("null"),
    "concat_ws(':', nullif(connection, ''), table_name || '.' || column_name)", f"rows >= {LEAST_ROWS} and nulls < rows",
)  # fmt: skip
SAME_EMAIL = Figures("quality.duplicates", ("connection",), "same_email_rate", "0.01", as_share("with an address seen before"), "connection",
                     f"with_email >= {LEAST_ROWS}")  # fmt: skip
SAME_CUSTOMER = Figures("quality.duplicates", ("connection",), "same_customer_rate", "0.01", as_share("of a customer seen before"), "connection",
                        f"records >= {LEAST_ROWS}")  # fmt: skip
DISAGREEING = Figures(
    "quality.disagreements", ("table_name", "field", "left_system", "right_system"), "rate", "0.02", as_share("disagree"),
    "table_name || '.' || field || ' of ' || left_system || ' and ' || right_system", f"compared >= {LEAST_ROWS}",
)  # fmt: skip
_EMPTIED = f"""
    select now.connection || ':' || now.table_name || '.' || now.column_name as key, 1 as rows
    from quality.column_profiles as now
    join (
        select table_name, connection, column_name, median(null_rate) as usual from quality.column_profiles
        where measured_at in {moments.before(profiles.TABLE)} and rows > 0 group by all
    ) using (table_name, connection, column_name)
    where measured_at = {moments.newest(profiles.TABLE)} and connection <> '' and rows >= 20 and nulls = rows and usual < 1"""

CHECKS = (
    Check("rows_as_usual", "column_profiles", False, "Every table has about as many rows of each connection as it usually has.",
          _LOOK.format(table="column_profiles"), outliers(ROWS), 5, _UNUSUAL),
    Check("nulls_as_usual", "column_profiles", False, "Every column is about as often empty as it usually is.",
          _LOOK.format(table="column_profiles"), outliers(NULLS), 5, _UNUSUAL),
    Check("columns_filled", "column_profiles", False, "No column of a connection that had values has lost all of them.",
          "The API user may have lost the permission to see the field: give it back, and run `cdp sync --full`.", _EMPTIED, 4,
          "Warns: the other columns are right, and somebody may have emptied or given up the field on purpose."),
    Check("values_known", "values_seen", False, f"No picklist has a value that its connection never had in the {picklists.LEARNT_DAYS} days and more that it is known.",
          "See the newest rows of quality.values_seen; where a rule goes by the values (stages, what counts as won, a report), add the new one.",
          picklists.UNSEEN, 4, "Warns: a new value is the CRM's to give, and its rows are right."),
    Check("filled_fields_mapped", "source_fields", False, "No field of a CRM that nothing maps has begun to hold values in the last day.",
          "Map it in mapping.yml if somebody wants it (CONTRIBUTING.md); quality.source_fields has all fields. Raw keeps its values.",
          source_fields.NEW_AND_UNMAPPED, 11, "Warns: what is not mapped yet is kept in raw, and no mapped value is wrong by it."),
    Check("same_email_as_usual", "duplicates", False, "Each connection has about as many contacts of one e-mail address as it usually has.",
          _LOOK.format(table="duplicates"), outliers(SAME_EMAIL), 9, _UNUSUAL),
    Check("same_customer_as_usual", "duplicates", False, "Of each connection's contacts about as many are one customer with another one as usually are.",
          "If same_email_as_usual passes, who is who changed without a change of the data: see identity_edges for the rule. " + _LOOK.format(table="duplicates"),
          outliers(SAME_CUSTOMER), 9, _UNUSUAL),
    Check("crms_agree_as_usual", "disagreements", False, "The CRMs disagree about each field of one customer or company about as often as they usually do.",
          "See quality.disagreement_examples for whom; a sync between the CRMs that stopped, or an import into one of them, shows here first.",
          outliers(DISAGREEING), 15, _UNUSUAL),
)  # fmt: skip
# Which history a check goes by; with less than the warm-up it passes.
_LEARNS_FROM = {
    "rows_as_usual": profiles.TABLE, "nulls_as_usual": profiles.TABLE, "same_email_as_usual": duplicates.TABLE,
    "same_customer_as_usual": duplicates.TABLE, "crms_agree_as_usual": disagreements.TABLE,
}  # fmt: skip


# DuckDB reads a table in groups of so many rows, each by one thread: on smaller ones more threads only wait for each other, twice as long.
_LARGE = "select 1 from duckdb_tables() where estimated_size > 122880 limit 1"


@dataclass(frozen=True)
class Measured:
    """What a run measured: the checks' results, the rows of each table, and the newest disagreements (field, pair, compared, disagreeing)."""

    checks: list[CheckResult]
    rows: dict[str, int]
    disagreements: list[tuple[str, str, int, int]]


def measure(settings: Settings, *, now: datetime | None = None, once_an_hour: bool = False) -> Measured:
    """Measure the standardized and unified tables, write it to schema `quality`, and check it against what earlier runs measured.

    With `once_an_hour` nothing is done where that was done in this hour: a run after a change notification has a few seconds, and the next
    measurement takes the place of the last one of its hour anyway. The caller holds the warehouse lock, and has built all tables.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
    with history.opened(settings) as db:
        schema.create(db)
        if once_an_hour and moments.measured_in_hour(db, profiles.TABLE, moment):
            return Measured([], {}, [])
        if not db.execute(_LARGE).fetchall():
            db.execute("set threads = 1")
        db.execute("begin")
        moments.thin_results(db, moment)
        for what in (profiles, duplicates, disagreements, source_fields, picklists):
            what.measure(db, moment)
        db.execute("commit")
        results = [_learning(db, result) for result in check.run_all(db, CHECKS)]
        rows = {name: db.execute(f"select count(*) from {schema.SCHEMA}.{name}").fetchall()[0][0] for name in schema.TABLES}
        found = db.execute(
            f"select table_name || '.' || field, left_system || ' and ' || right_system, compared, disagreeing from {disagreements.TABLE} "
            f"where measured_at = {moments.newest(disagreements.TABLE)} order by rate desc, 1, 2"
        ).fetchall()
    history.record_checks(settings, moment, results)
    return Measured(results, rows, found)


def _learning(db: duckdb.DuckDBPyConnection, result: CheckResult) -> CheckResult:
    """The result, with word of it where there is not enough history to say anything."""
    table = _LEARNS_FROM.get(result.name)
    if table is None or (known := moments.earlier(db, table)) >= WARM_UP:
        return result
    return replace(
        result, description=f"{result.description} Still learning what is usual: it has {known} of {WARM_UP} earlier measurements."
    )
