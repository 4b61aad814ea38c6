"""What Marketo's activities tell of leads that are gone: no filter of the API shows it otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MERGE, DELETE = 32, 37


def merged_leads(row: Mapping[str, Any]) -> dict[str, str]:
    """Loser -> winner of a Merge Leads activity: its lead is the winner, the attribute Merge IDs lists the losers.

    Recorded merges say so (the surviving lead goes on having activities); fivetran/dbt_marketo#17 has it the other way round.
    """
    for attribute in row.get("attributes") or ():
        if attribute.get("name") == "Merge IDs":
            value = attribute.get("value")
            losers = value if isinstance(value, list) else str(value or "").strip("[]").split(",")
            return {str(loser).strip(): str(row["leadId"]) for loser in losers if str(loser).strip()}
    return {}
