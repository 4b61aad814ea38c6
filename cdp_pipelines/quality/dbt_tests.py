"""What dbt's tests found, said as every other check says it: the keys of failing rows, and what to do.

dbt itself tells how many rows a test found. Which ones, the test's own SQL tells once more, and only where one failed.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import sqlglot
from sqlglot import exp

from cdp_pipelines import database, mapping
from cdp_pipelines.config import Settings
from cdp_pipelines.engines.choice import elsewhere
from cdp_pipelines.history import CheckResult
from cdp_pipelines.quality.check import SAMPLE, Listed
from cdp_pipelines.transform import NodeResult

_LOST = "Stops: a row that is doubled or without its key is counted wrongly in every table after it."
# The names that generate/properties.py gives them, and what is written by hand in dbt_project.
_TESTS = (
    Listed(6, "unique_key", "standardized and unified tables", "standardize, unify", True, _LOST, "No two rows share their key.",
        "Two records of a CRM have one id, or a model repeats rows: look at the records in the CRM, then at the model's joins."),
    Listed(6, "unique", "unified tables", "unify", True, _LOST, "Each customer or company has one row.", "A model repeats rows: look at its joins, and report it."),
    Listed(6, "not_null", "standardized and unified tables", "standardize, unify", True, _LOST, "What mapping.yml calls required is there in every row.",
        "A CRM gave a record without its id, or a mapping leads nowhere: see `cdp mapping check`."),
    Listed(6, "accepted_values", "standardized and unified tables", "standardize, unify", True,
        "Stops: the pipeline itself writes these values, so that another one is a fault of ours.", "A value is one of those that mapping.yml accepts.",
        "Correct the mapping's `constant` or `accepted`."),
    Listed(7, "points_to", "standardized tables", "standardize", False, "Warns: a CRM may point to what its API does not show us.",
        "Every reference of a record that is not deleted is the key of a row.", "Give the API user the permission to see the other object, or run `cdp sync --reconcile`."),
    Listed(7, "relationships", "unified tables", "unify", True, "Stops: the pipeline itself makes these keys, so that one which leads nowhere is a fault of ours.",
        "Every key of a customer or company is one of theirs.", "Report it, and keep the published tables."),
    Listed(18, "no_opt_out_is_lost", "consents", "unify", True, "Stops: nobody is to be written to who said no.",
        "Whoever said no at an unknown time, or last of all, is opted out.", "Report it, and keep the published tables."),
    Listed(9, "one_is_counted", "opportunity_links", "unify", True, "Stops: a deal of several CRMs would be counted twice, or not at all.",
        "Of each deal exactly one opportunity is counted.", "Report it, and keep the published tables."),
)  # fmt: skip
TESTS = {test.name: test for test in _TESTS}
# Columns of a test's SQL that are no part of a key.
_COUNTS = {"row_count", "counted", "n_records"}


def results(settings: Settings, nodes: Iterable[NodeResult]) -> dict[str, CheckResult]:
    """What dbt's tests found, by dbt's own name for each. A model that could not be built counts as a failed blocking check of itself.

    The caller holds the warehouse lock.
    """
    found: dict[str, CheckResult] = {}
    for node in nodes:
        if node.resource_type == "model" and node.status == "error":
            problem = f"The model could not be built: {node.message}"
            found[node.node] = CheckResult("builds", node.name, False, True, 0, problem, "See dbt's log.")
        elif node.resource_type == "test" and node.status != "skipped":
            found[node.node] = _result(settings, node)
    return found


def _result(settings: Settings, node: NodeResult) -> CheckResult:
    passed, blocking = node.status == "pass", node.status in ("fail", "error")
    description = node.description or node.name.replace("_", " ")
    result = CheckResult(node.name, node.table or "", passed, blocking, node.failures or 0, description)
    if node.status == "error":
        result.remedy = f"The test could not be made: {node.message} See dbt's log."
    elif not passed:
        test = TESTS.get(node.kind or "")
        result.remedy = test.remedy if test else "See dbt's log."
        with database.connect(settings, settings.warehouse) as db:
            result.sample_keys = _keys(db, node, _as_duckdb_says_it(settings, node.sql or ""))
    return result


def _as_duckdb_says_it(settings: Settings, sql: str) -> str:
    """A test's SQL for the warehouse file, where the engine that ran it is another one."""
    if (engine := elsewhere(settings)) is None:
        return sql.strip()
    statement = sqlglot.parse_one(sql, read=engine.dialect)
    for table in statement.find_all(exp.Table):
        table.set("catalog", None)
    return statement.sql(dialect="duckdb")


def _keys(db: duckdb.DuckDBPyConnection, node: NodeResult, sql: str) -> list[str]:
    """The keys of up to ten rows that a test found."""
    if node.kind in ("not_null", "accepted_values"):
        (schema,) = db.execute(
            "select schema_name from duckdb_tables() where table_name = ? and schema_name <> 'raw'", [node.table]
        ).fetchall()[0]
        wrong = "is null" if node.kind == "not_null" else f"in (select value_field from ({sql}))"
        sql = f'select {", ".join(_key(db, node.table or ""))} from {schema}."{node.table}" where "{node.column}" {wrong}'
    columns = [name for name, *_ in db.execute(f"describe {sql}").fetchall() if name not in _COUNTS]
    first, rest = (["connection"], columns[1:]) if columns[0] == "connection" else ([], columns)
    parts = ", ".join(f"coalesce(\"{name}\"::varchar, '(none)')" for name in rest)
    key = f"concat_ws(':', {''.join(f'{name}, ' for name in first)}concat_ws('/', {parts}))"
    return [one for (one,) in db.execute(f"select distinct {key} as key from ({sql}) order by key limit {SAMPLE}").fetchall()]


def _key(db: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """What tells the rows of a table apart: by the mapping, or, where that does not say it, its columns of keys and ids."""
    if entity := mapping.load().entities.get(table):
        return ["connection", *entity.key]
    columns = db.execute("select column_name from duckdb_columns() where table_name = ? order by column_index", [table]).fetchall()
    return list(dict.fromkeys(name for (name,) in columns if name == "connection" or name.endswith(("_key", "_id"))))
