"""What is measured of the tables from run to run, between the unified tables and the published file."""

from collections.abc import Iterator

import dagster as dg

from cdp_pipelines import mapping
from cdp_pipelines.config import Settings
from cdp_pipelines.defs import identify, transform
from cdp_pipelines.defs.policy import FRESHNESS, OWNERS, POOL
from cdp_pipelines.defs.results import check_result
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.quality import measuring, schema
from cdp_pipelines.scrubbing import without_secrets

KEYS = {name: dg.AssetKey([schema.SCHEMA, name]) for name in schema.TABLES}
_TABLES = sorted(
    key for step in (transform.standardize, identify.who_is_who, transform.unify) for key in step.keys if key.path[0] != "staging"
)
_COMPARED = [dg.AssetKey(path) for path in (["standardized", "contacts"], ["standardized", "companies"], ["unified", "customer_contacts"], ["unified", "company_records"])]  # fmt: skip
# What each is measured of.
_OF = {
    "column_profiles": _TABLES,
    "duplicates": [key for key in _COMPARED if "contacts" in key.path[1]],
    "disagreements": _COMPARED,
    "disagreement_examples": _COMPARED,
    "source_fields": [dg.AssetKey([f"raw_{kind}", table]) for kind, tables in mapping.load().raw.items() for table in tables],
    "values_seen": [key for key in _TABLES if key.path[0] == "standardized"],
}


def _spec(name: str, table: schema.Table) -> dg.AssetSpec:
    columns = [
        dg.TableColumn(column, one.type.partition(" ")[0], one.description, dg.TableColumnConstraints(nullable="not null" not in one.type))
        for column, one in table.columns.items()
    ]
    return dg.AssetSpec(
        KEYS[name],
        deps=_OF[name],
        description=table.description,
        group_name=schema.SCHEMA,
        owners=OWNERS,
        kinds={"python", "duckdb"},
        freshness_policy=FRESHNESS,
        metadata={"dagster/table_name": f"{schema.SCHEMA}.{name}", "dagster/column_schema": dg.TableSchema(columns)},
    )


@dg.multi_asset(
    name="measure",
    specs=[_spec(name, table) for name, table in schema.TABLES.items()],
    check_specs=[
        dg.AssetCheckSpec(check.name, asset=KEYS[check.table], description=check.description, blocking=check.blocking)
        for check in measuring.CHECKS
    ],
    pool=POOL,
)
@without_secrets
def measure(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """Profiles of all columns, duplicates, what the CRMs disagree about, fields and values, checked against earlier runs."""
    settings = Settings()
    with warehouse_lock(settings, f"Dagster run {context.run.run_id}", context.log.info):
        found = measuring.measure(settings)
    for name, key in KEYS.items():
        metadata: dict[str, dg.MetadataValue | int] = {"dagster/row_count": found.rows[name]}
        if name == "disagreements":
            metadata["now"] = dg.MetadataValue.md(_table(found.disagreements))
        yield dg.MaterializeResult(
            key, metadata=metadata, check_results=[check_result(key, one) for one in found.checks if one.table == name]
        )


def _table(rows: list[tuple[str, str, int, int]]) -> str:
    lines = [
        f"| {field} | {pair} | {compared:,} | {disagreeing:,} | {disagreeing / compared:.1%} |"
        for field, pair, compared, disagreeing in rows
    ]
    return "\n".join(["| field | CRMs | compared | disagreeing | share |", "|---|---|---|---|---|", *lines])


defs = dg.Definitions(assets=[measure])
