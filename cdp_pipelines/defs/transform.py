"""Staging, standardized and unified tables: the dbt project, one step on each side of the gate.

Two steps and not one: all models of one step run in one dbt process, so a check between them could not stop the later ones. The models and
tests come from dbt's manifest; they are built by the same function as in `cdp sync`, in this process, which takes a quarter of the time
that dbt's command line and dagster-dbt's own metadata queries would take.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtProject, dbt_assets

from cdp_pipelines import database, sync, transform
from cdp_pipelines.config import Settings
from cdp_pipelines.defs.columns import columns, with_origins
from cdp_pipelines.defs.policy import FRESHNESS, OWNERS, POOL
from cdp_pipelines.defs.results import check_result
from cdp_pipelines.history import CheckResult
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.publish import publish_status
from cdp_pipelines.report.glances import glances
from cdp_pipelines.scrubbing import without_secrets

_COLUMNS = "dagster/column_schema"
project = DbtProject(transform.PROJECT_DIR)
MANIFEST = transform.manifest(Settings())


class Layers(DagsterDbtTranslator):
    """Names follow the dbt folders: key = schema/table, group = schema."""

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """The spec of one model, with the project's owners and the freshness that standardized and unified tables promise."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = manifest["nodes"].get(unique_id)
        if node is None or node["resource_type"] != "model":
            return spec
        metadata = dict(spec.metadata)
        if isinstance(columns_shown := metadata.get(_COLUMNS), dg.TableSchema):
            # The UI prefers these descriptions to those of a run.
            metadata[_COLUMNS] = with_origins(spec.key, columns_shown)
        # Without the SQL that comes with it, below which nobody would look; `make docs` shows that.
        return spec.replace_attributes(
            description=node["description"],
            owners=OWNERS,
            freshness_policy=FRESHNESS if node["schema"] != "staging" else None,
            metadata=metadata,
        )

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetCheckSpec | None:
        """The spec of one test, with its description, or else its name in words."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None or spec.description:
            return spec
        return spec._replace(description=manifest["nodes"][unique_id].get("description") or spec.name.replace("_", " "))


def models(name: str, layer: str) -> dg.AssetsDefinition:
    """One step: the models of a layer with their tests."""

    @dbt_assets(
        name=name,
        manifest=MANIFEST,
        project=project,
        select=transform.LAYERS[layer],
        dagster_dbt_translator=Layers(),
        pool=POOL,
    )
    @without_secrets
    def assets(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        settings = Settings()
        with warehouse_lock(settings, f"Dagster run {context.run.run_id}", context.log.info):
            nodes, tests = sync.build_models(settings, " ".join(sorted(key.path[-1] for key in context.selected_asset_keys)))
            if any(test.blocking and not test.passed for test in tests.values()):
                publish_status(settings)
            yield from _tables(context, settings, nodes)
        yield from _tests(context, tests)
        failed = [f"{node.node}: {node.message}" for node in nodes if not node.ok and node.status != "skipped"]
        if failed:
            raise dg.Failure("; ".join(failed))

    return assets


def _tables(context: dg.AssetExecutionContext, settings: Settings, results: list[transform.NodeResult]) -> Iterator[dg.MaterializeResult]:
    keys = {key.path[-1]: key for key in context.selected_asset_keys}
    with database.connect(settings, settings.warehouse) as db:
        for result in results:
            if result.resource_type != "model" or result.status != "success":
                continue
            key = keys[result.node]
            count = db.execute(f'select count(*) from {key.path[0]}."{key.path[1]}"').fetchall()[0][0]
            shown = {title: dg.MetadataValue.md(text) for title, text in glances(db, *key.path[:2]).items()}
            told = {"dagster/row_count": count, "seconds": round(result.seconds, 2), **columns(db, key, _described().get(result.node, {}))}
            yield dg.MaterializeResult(key, metadata={**told, **shown})


@cache
def _described() -> dict[str, dict[str, str]]:
    """What the columns of each model mean. Comments in the database have it too, but not those of views."""
    nodes = json.loads(MANIFEST.read_text())["nodes"].values()
    return {n["name"]: {c: of["description"] for c, of in n["columns"].items()} for n in nodes if n["resource_type"] == "model"}


def _tests(context: dg.AssetExecutionContext, tests: Mapping[str, CheckResult]) -> Iterator[dg.AssetCheckResult]:
    keys = {key.name: key for key in context.selected_asset_check_keys}
    for node, test in tests.items():
        if node in keys:
            yield check_result(keys[node].asset_key, test, node)


standardize = models("standardize", "standardized")
unify = models("unify", "unified")

defs = dg.Definitions(assets=[standardize, unify])
