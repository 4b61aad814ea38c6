"""What a check found, as Dagster shows it."""

import dagster as dg

from cdp_pipelines.history import CheckResult


def check_result(key: dg.AssetKey, found: CheckResult, name: str | None = None) -> dg.AssetCheckResult:
    """The result of a check of an asset, by the name under which Dagster knows the check: its own without another. What a check says of itself is
    what is so when it passes."""
    return dg.AssetCheckResult(
        check_name=name or found.name,
        asset_key=key,
        passed=found.passed,
        severity=dg.AssetCheckSeverity.ERROR if found.blocking else dg.AssetCheckSeverity.WARN,
        description=found.description if found.passed else f"Not so: {found.description} {found.remedy}".strip(),
        metadata={"failed rows": found.failed_rows, "examples": ", ".join(found.sample_keys) or "none"},
    )
