"""`SELECT Permissions... FROM UserPermissionAccess`: one row, what the user of the session may do. The vendor's object has no records."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Any

from cdp_pipelines.sandbox.salesforce.replies import Refused

# Of some three hundred, those that clients ask about.
KNOWN = (
    "ApiEnabled", "AuthorApex", "BulkApiHardDelete", "CustomizeApplication", "EditReadonlyFields", "ManageUsers", "ModifyAllData",
    "ModifyMetadata", "ViewAllData", "ViewSetup",
)  # fmt: skip
_QUERY = re.compile(r"\s*select\s+([\w\s,]+?)\s+from\s+UserPermissionAccess(?:\s+limit\s+\d+)?\s*", re.IGNORECASE)


def answer(text: str, granted: AbstractSet[str]) -> dict[str, Any] | None:
    """The answer to a query of this object; None for a query of something else. Raises Refused for a permission that there is not."""
    if (found := _QUERY.fullmatch(text)) is None:
        return None
    names = {f"permissions{name}".lower(): name for name in KNOWN}
    row: dict[str, Any] = {"attributes": {"type": "UserPermissionAccess"}}
    for field in re.split(r"\s*,\s*", found[1]):
        if (name := names.get(field.lower())) is None:
            raise Refused(400, "INVALID_FIELD", f"No such column '{field}' on entity 'UserPermissionAccess'.")
        row[f"Permissions{name}"] = name == "ApiEnabled" or name in granted
    return {"totalSize": 1, "done": True, "records": [row]}
