"""Whether any pinned dependency has a known vulnerability: pip-audit over requirements.txt, and what to make of what it says.

python -m tests.advisories             fails for a known one; says so, and does not fail, where no source of advisories answers
python -m tests.advisories --require   fails for that too

pip-audit itself ends well when it could look up nothing at all, which must not be taken for a clean bill.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdp_pipelines.config import PROJECT_DIR

SERVICES = ("pypi", "osv")
SECONDS = 180


@dataclass
class Verdict:
    """What an audit found: `known` vulnerabilities, `passed` ones with our reason, how many packages were looked up, which were not."""

    known: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    audited: int = 0
    skipped: list[str] = field(default_factory=list)


def judge(report: Mapping[str, Any], reasons: Mapping[str, str]) -> Verdict:
    """Read pip-audit's JSON. `reasons` are the advisories that do not concern us, by any of their ids."""
    verdict = Verdict()
    for package in report["dependencies"]:
        if "skip_reason" in package:
            verdict.skipped.append(package["name"])
            continue
        verdict.audited += 1
        for fault in package["vulns"]:
            ids = [fault["id"], *fault.get("aliases", [])]
            reason = next((reasons[one] for one in ids if one in reasons), None)
            mended = f"; mended in {', '.join(fault['fix_versions'])}" if fault.get("fix_versions") else ""
            line = f"{package['name']} {package['version']}: {', '.join(ids)}{mended}"
            if reason:
                verdict.passed.append(f"{line}. Let pass: {reason}")
            else:
                verdict.known.append(line)
    return verdict


def told(verdict: Verdict | None, *, required: bool) -> tuple[list[str], int]:
    """The verdict, None where no source answered, as lines for people and an exit code."""
    if verdict is None or not verdict.audited:
        said = (
            "Dependencies were NOT audited: no source of advisories answered (PyPI, OSV). Run `make audit` where the network reaches one."
        )
        return [said], 1 if required else 0
    lines = [*verdict.passed, *(f"VULNERABLE {one}" for one in verdict.known)]
    if verdict.skipped:
        lines.append(f"Not known to the source, so not audited: {', '.join(verdict.skipped)}.")
    lines.append(f"{verdict.audited} dependencies audited, {len(verdict.known)} known vulnerabilities.")
    if verdict.known:
        lines.append("Raise the version in pyproject.toml and requirements.txt, or say in [tool.advisories] why it does not concern us.")
    return lines, 1 if verdict.known or (required and verdict.skipped) else 0


def audit(service: str) -> dict[str, Any] | None:
    """pip-audit's JSON by one source; None when it does not answer."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(PROJECT_DIR / "requirements.txt"), "--no-deps", "--disable-pip"]
    command += ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        return json.loads(ended.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None


def main() -> int:
    """Audit, by the second source when the first one knows nothing; gives the exit code."""
    reasons = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text())["tool"]["advisories"]
    verdict: Verdict | None = None
    for service in SERVICES:
        report = audit(service)
        verdict = judge(report, reasons) if report is not None else None
        if verdict is not None and verdict.audited:
            break
    lines, code = told(verdict, required="--require" in sys.argv[1:])
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
