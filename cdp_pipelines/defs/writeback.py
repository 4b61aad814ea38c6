"""Write-back, off by default: a plan to look at, and its application once a person has approved it by its hash.

No schedule and no other job runs these. `plan_write_back` makes a plan and shows it; `apply_write_back`, given the plan's hash as
`approved`, does what it says.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import dagster as dg
from pydantic import Field

from cdp_pipelines import encryption
from cdp_pipelines.config import Settings
from cdp_pipelines.connections import configured
from cdp_pipelines.defs.policy import OWNERS, POOL, WHAT
from cdp_pipelines.defs.publish import PUBLISHED
from cdp_pipelines.scrubbing import without_secrets
from cdp_pipelines.writeback import plan as plans
from cdp_pipelines.writeback import service
from cdp_pipelines.writeback.sessions import opened

T = TypeVar("T")
GROUP = "writeback"
PLAN, APPLIED = dg.AssetKey(["writeback", "plan"]), dg.AssetKey(["writeback", "applied"])
CAN_BE_APPLIED = "can_be_applied"


# Dagster's own files are not encrypted.
_SEALED = "Field by field: `cdp writeback apply --dry-run`, with the file below."


class PlanConfig(dg.Config):
    """Which flows of writeback.yml to plan; all, if none is named."""

    flows: list[str] = Field(default_factory=list)


class ApplyConfig(dg.Config):
    """The hash of the plan that a person has approved; it stands in the metadata of `writeback/plan`."""

    approved: str = ""


@dg.asset(
    key=PLAN,
    deps=[PUBLISHED],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"salesforce", "hubspot", "marketo"},
    pool=POOL,
    check_specs=[dg.AssetCheckSpec(CAN_BE_APPLIED, asset=PLAN, description="Every CRM could be asked, and no guard is passed.")],
)
@without_secrets
def writeback_plan(context: dg.AssetExecutionContext, config: PlanConfig) -> dg.MaterializeResult:
    """What would change in the CRMs, field by field, compared with what they hold now. Nothing is written."""
    plan, path = _with_sessions(lambda settings, sessions: service.make_plan(settings, sessions, flows=config.flows))
    for note in plan.notes:
        context.log.info(note)
    wrong = [f"{name}: {problem}" for name, problem in plan.problems.items()] + list(plan.stopped)
    return dg.MaterializeResult(
        metadata={
            "plan": dg.MetadataValue.md(_SEALED if encryption.load(Settings()) else plans.as_markdown(plan)),
            "hash, to approve it": plan.hash,
            "file": dg.MetadataValue.path(str(path)),
            "records": dg.MetadataValue.json(plan.counts()),
            "to be written": len(plan.writes),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=CAN_BE_APPLIED, passed=not wrong, severity=dg.AssetCheckSeverity.ERROR, description=" ".join(wrong) or None
            )
        ],
    )


@dg.asset(
    key=APPLIED, deps=[PLAN], group_name=GROUP, owners=OWNERS, kinds={"salesforce", "hubspot", "marketo"}, pool=POOL, output_required=False
)
@without_secrets
def writeback_applied(context: dg.AssetExecutionContext, config: ApplyConfig) -> Iterator[dg.MaterializeResult]:
    """The approved plan, done: in each CRM, each record once. Without an approved hash nothing is written."""
    if not config.approved:
        context.log.warning("Nothing is written: no plan is approved. Give its hash as `approved` in this step's configuration.")
        return
    path = service.plan_file(Settings(), config.approved)
    report = _with_sessions(lambda settings, sessions: service.apply_plan(settings, sessions, path))
    yield dg.MaterializeResult(
        metadata={
            "run": report.run,
            "records": dg.MetadataValue.json(report.outcomes),
            "not as planned": dg.MetadataValue.md(_left(report, told=encryption.load(Settings()) is None)),
        }
    )
    if not report.complete:
        raise dg.Failure("; ".join(f"{n}: {p}" for n, p in report.problems.items()) + f" Go on with `cdp writeback retry {report.run}`.")


def _with_sessions(work: Callable[..., Awaitable[T]]) -> T:
    settings = Settings()

    async def run(connections: list[Any]) -> T:
        async with opened(connections) as sessions:
            return await work(settings, sessions)

    with configured(settings) as connections:
        return asyncio.run(run(connections))


def _left(report: service.RunReport, *, told: bool) -> str:
    if report.left and not told:
        return "`cdp writeback rejects` lists them."
    lines = [
        f"| {one['connection']} | {one['object']} {one['id'] or '(new)'} | {one['state']} | {one['reason']} |" for one in report.left[:100]
    ]
    return "\n".join(["| CRM | record | ended | why |", "|---|---|---|---|", *lines]) if lines else "none"


plan_write_back = dg.define_asset_job(
    "plan_write_back",
    selection=dg.AssetSelection.assets(PLAN),
    description="What would change in the CRMs.",
    run_tags={WHAT: "plan what would be written to the CRMs"},
)
apply_write_back = dg.define_asset_job(
    "apply_write_back",
    selection=dg.AssetSelection.assets(APPLIED),
    description="Do what an approved plan says; its hash is the configuration `approved` of the step `writeback__applied`.",
    run_tags={WHAT: "write an approved plan to the CRMs"},
)

defs = dg.Definitions(assets=[writeback_plan, writeback_applied], jobs=[plan_write_back, apply_write_back])
