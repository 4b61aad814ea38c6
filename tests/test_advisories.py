"""What `make check` makes of pip-audit's answers."""

from __future__ import annotations

from typing import Any

from tests.advisories import judge, told

FAULT = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1", "GHSA-x"], "fix_versions": ["2.0"], "description": "..."}


def package(name: str, *vulns: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": list(vulns)}


def test_a_known_vulnerability_fails_and_is_named_with_the_version_that_mends_it():
    lines, code = told(judge({"dependencies": [package("good"), package("bad", FAULT)]}, {}), required=False)
    assert code == 1
    assert "VULNERABLE bad 1.0: PYSEC-2026-1, CVE-2026-1, GHSA-x; mended in 2.0" in lines
    assert "2 dependencies audited, 1 known vulnerabilities." in lines


def test_one_with_a_reason_passes_and_the_reason_is_said():
    lines, code = told(judge({"dependencies": [package("bad", FAULT)]}, {"CVE-2026-1": "we never parse it"}), required=True)
    assert code == 0
    assert lines[0].endswith("Let pass: we never parse it")


def test_nothing_looked_up_is_no_clean_bill():
    nothing = judge({"dependencies": [{"name": "a", "skip_reason": "not found on PyPI"}]}, {})
    for verdict in (nothing, None):
        lines, code = told(verdict, required=False)
        assert code == 0
        assert lines[0].startswith("Dependencies were NOT audited")
        assert told(verdict, required=True)[1] == 1


def test_what_was_not_looked_up_is_named():
    found = judge({"dependencies": [package("good"), {"name": "own", "skip_reason": "not found on PyPI"}]}, {})
    lines, code = told(found, required=False)
    assert code == 0
    assert "Not known to the source, so not audited: own." in lines
    assert told(found, required=True)[1] == 1
