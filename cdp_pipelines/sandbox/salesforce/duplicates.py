"""The org's duplicate rules: records of one object that match by e-mail address, accounts by name (approximated: the vendor compares loosely)."""

from __future__ import annotations

from typing import Any

from cdp_pipelines.sandbox.salesforce.options import SalesforceOptions
from cdp_pipelines.sandbox.salesforce.records import Record
from cdp_pipelines.sandbox.salesforce.replies import Refused
from cdp_pipelines.sandbox.salesforce.schema import ObjectSpec
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore

_VERSION = "66.0"


def check(
    store: SalesforceStore, options: SalesforceOptions, spec: ObjectSpec, number: int | None, values: Record, save_duplicates: bool
) -> None:
    """Raise Refused (DUPLICATES_DETECTED) when a live record matches the one that is written and the client did not say to save it."""
    field = "Name" if spec.name == "Account" else "Email"
    wanted = values.get(field)
    if wanted is None or (save_duplicates and options.duplicate_allow_save):
        return
    records = store.records[spec.name]
    ids = [records.id(n) for n in records.having(field, wanted) if n != number and n not in records.deleted]
    if ids:
        result = _result(spec.name, ids, options.duplicate_allow_save)
        raise Refused(400, "DUPLICATES_DETECTED", result["errorMessage"], more={"duplicateResult": result})


def _result(name: str, ids: list[str], allow_save: bool) -> dict[str, Any]:
    matches = [{
        "additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0,
        "record": {"attributes": {"type": name, "url": f"/services/data/v{_VERSION}/sobjects/{name}/{i}"}, "Id": i},
    } for i in ids]  # fmt: skip
    return {
        "allowSave": allow_save, "duplicateRule": f"Standard_{name}_Duplicate_Rule", "duplicateRuleEntityType": name,
        "errorMessage": "Use one of these records?",
        "matchResults": [{"entityType": name, "errors": [], "matchEngine": "FuzzyMatchEngine", "matchRecords": matches,
                          "rule": f"Standard_{name}_Match_Rule_v1_1", "size": len(matches), "success": True}],
    }  # fmt: skip
