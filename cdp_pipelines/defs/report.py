"""The page for people, built anew whenever the file that it tells of was published."""

import dagster as dg

from cdp_pipelines.config import Settings
from cdp_pipelines.defs.policy import FRESHNESS, OWNERS, POOL
from cdp_pipelines.defs.publish import PUBLISHED
from cdp_pipelines.scrubbing import without_secrets

REPORT = dg.AssetKey(["published", "report"])


@dg.asset(key=REPORT, deps=[PUBLISHED], group_name="published", owners=OWNERS, kinds={"html"}, freshness_policy=FRESHNESS, pool=POOL)
@without_secrets
def report() -> dg.MaterializeResult:
    """Overlap of the CRMs, duplicates, match quality, funnel, pipeline, data quality, freshness and calls on one page, without a value of any person."""
    from cdp_pipelines.report.glances import preview
    from cdp_pipelines.report.page import ask, build

    settings = Settings()
    found = ask(settings)
    path = build(settings, found=found)
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(path),
            "size (bytes)": path.stat().st_size,
            "preview": dg.MetadataValue.md(preview(found)),
        }
    )


defs = dg.Definitions(assets=[report])
