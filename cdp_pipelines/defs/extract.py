"""Raw tables: what each CRM's API said. One step for each CRM, over all of its connections."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import duckdb

from cdp_pipelines import checks, database, lineage, sync
from cdp_pipelines.config import KINDS, ConfigError, Connection, Kind, Settings
from cdp_pipelines.connections import configured
from cdp_pipelines.defs.columns import columns
from cdp_pipelines.defs.policy import OWNERS, POOL
from cdp_pipelines.defs.results import check_result
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.mapping import load
from cdp_pipelines.scrubbing import without_secrets
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.report import TableReport

COMPLETE = "complete"


class ExtractConfig(dg.Config):
    """How to extract: from each table's cursor, or everything anew; then, if asked to, what neither can see."""

    full: bool = False
    reconcile: bool = False


def raw_tables(kind: Kind) -> dg.AssetsDefinition:
    """The raw tables of one CRM, and for each two checks: that it was read to its end, and that every row of it could be kept."""
    keys = {table.name: dg.AssetKey([f"raw_{kind}", table.name]) for table in registry.TABLES[kind]}
    specs = [
        dg.AssetSpec(
            keys[table.name],
            description=load().raw[kind][table.name].description,
            group_name=f"raw_{kind}",
            owners=OWNERS,
            kinds={"dlt", "duckdb", kind},
            metadata={"dagster/table_name": f"raw_{kind}.{table.name}", "vendor object": table.object},
        )
        for table in registry.TABLES[kind]
    ]
    completeness = [
        dg.AssetCheckSpec(COMPLETE, asset=key, description="Every connection's table was read to its end.") for key in keys.values()
    ]
    kept = {
        check.table: dg.AssetCheckSpec(check.name, asset=check.table.split("."), description=check.description)
        for check in checks.raw_checks(kind)
    }

    @dg.multi_asset(name=f"raw_{kind}", specs=specs, check_specs=[*completeness, *kept.values()], pool=POOL)
    @without_secrets
    def assets(context: dg.AssetExecutionContext, config: ExtractConfig) -> Iterator[dg.MaterializeResult]:
        settings = Settings()
        with configured(settings) as connections, warehouse_lock(settings, f"Dagster run {context.run.run_id}", context.log.info):
            mine = [c for c in connections if sync.kind_of(c, settings) == kind]
            reports = _extract(context, settings, mine, config)
            sync.create_missing_raw_tables(settings)
            rejected = {result.table: result for result in checks.run_raw(settings, [kind])}
            with database.connect(settings, settings.warehouse) as db:
                for table, key in keys.items():
                    found = [r for r in reports if r.table == table]
                    told = [_completeness(key, found), check_result(key, rejected[f"raw_{kind}.{table}"])]
                    yield dg.MaterializeResult(key, metadata=_metadata(db, kind, table, found), check_results=told)

    return assets


def _extract(
    context: dg.AssetExecutionContext, settings: Settings, connections: list[Connection | ConfigError], config: ExtractConfig
) -> list[TableReport]:
    reports: list[TableReport] = []
    for connection in connections:
        outcome = sync.ingest(settings, connection, full=config.full, reconcile=config.reconcile)
        state = "complete" if outcome.complete else f"incomplete: {outcome.problem or 'see the tables'}"
        context.log.info(f"{outcome.connection}: {sum(t.rows_read for t in outcome.tables)} rows, {outcome.calls} calls, {state}")
        for warning in outcome.warnings:
            context.log.warning(f"{outcome.connection}: {warning}")
        reports += outcome.tables
    return reports


def _completeness(key: dg.AssetKey, reports: list[TableReport]) -> dg.AssetCheckResult:
    missing = [f"{r.connection}: {r.problem} {r.remedy or ''}".strip() for r in reports if r.state != "ok"]
    return dg.AssetCheckResult(
        check_name=COMPLETE,
        asset_key=key,
        passed=not missing,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(missing) or "Read to its end for every connection.",
        metadata={"connections": len(reports)},
    )


def _metadata(db: duckdb.DuckDBPyConnection, kind: Kind, table: str, reports: list[TableReport]) -> dict[str, Any]:
    relation = f'raw_{kind}."{table}"'
    names = [name for name, *_ in db.execute(f"describe {relation}").fetchall()]
    count = db.execute(f"select count(*) from {relation}").fetchall()[0][0]
    rows = "".join(
        f"| {r.connection} | {r.mode} | {r.rows_read:,} | {r.rows_inserted:,} | {r.rows_updated:,} | {r.rows_deleted:,} | {r.rows_rejected:,} | {r.calls:,} | {r.state} |\n"
        for r in reports
    )
    return {
        "dagster/row_count": count,
        **columns(db, dg.AssetKey([f"raw_{kind}", table]), lineage.raw_descriptions(load(), kind, table, names)),
        "this run": dg.MetadataValue.md(
            "| connection | mode | read | new | updated | deleted | rejected | calls | state |\n|---|---|---|---|---|---|---|---|---|\n"
            + rows
        ),
    }


defs = dg.Definitions(assets=[raw_tables(kind) for kind in KINDS])
