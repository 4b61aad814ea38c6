"""Who is who: the customers that the standardized contacts are records of, between the checks and the unified models."""

from collections.abc import Iterator

import dagster as dg

from cdp_pipelines import database
from cdp_pipelines.config import Settings
from cdp_pipelines.defs.columns import columns
from cdp_pipelines.defs.policy import FRESHNESS, OWNERS, POOL
from cdp_pipelines.defs.results import check_result
from cdp_pipelines.identity import health, tables
from cdp_pipelines.identity.step import identify
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.publish import publish_status
from cdp_pipelines.report.glances import glances
from cdp_pipelines.scrubbing import without_secrets

CONTACTS = dg.AssetKey(["standardized", "contacts"])
KEYS = {name: dg.AssetKey([tables.SCHEMA, name]) for name in tables.TABLES}


def _spec(name: str, table: tables.Table) -> dg.AssetSpec:
    return dg.AssetSpec(
        KEYS[name],
        deps=[CONTACTS],
        description=table.description,
        group_name=tables.SCHEMA,
        owners=OWNERS,
        kinds={"python", "duckdb"},
        freshness_policy=FRESHNESS,
        metadata={"dagster/table_name": f"{tables.SCHEMA}.{name}"},
    )


@dg.multi_asset(
    name="identify",
    specs=[_spec(name, table) for name, table in tables.TABLES.items()],
    check_specs=[
        dg.AssetCheckSpec(check.name, asset=KEYS["customer_contacts"], description=check.description, blocking=check.blocking)
        for check in health.CHECKS.values()
    ],
    pool=POOL,
)
@without_secrets
def who_is_who(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """Resolve all contacts into customers, with the keys that they had."""
    settings = Settings()
    with warehouse_lock(settings, f"Dagster run {context.run.run_id}", context.log.info):
        found = identify(settings)
        with database.connect(settings, settings.warehouse) as db:
            shown = {title: dg.MetadataValue.md(text) for title, text in glances(db, tables.SCHEMA, "customer_contacts").items()}
            told = {name: columns(db, key, tables.TABLES[name].columns) for name, key in KEYS.items()}
        if any(result.blocking and not result.passed for result in found.checks):
            publish_status(settings)
    results = [check_result(KEYS[result.table], result) for result in found.checks]
    for name, key in KEYS.items():
        metadata = {"dagster/row_count": found.rows[name], **told[name]}
        if name == "customer_contacts":
            yield dg.MaterializeResult(
                key, metadata={**metadata, "report": dg.MetadataValue.md(found.report), **shown}, check_results=results
            )
        else:
            yield dg.MaterializeResult(key, metadata=metadata)


defs = dg.Definitions(assets=[who_is_who])
