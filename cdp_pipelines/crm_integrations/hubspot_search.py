"""A search for what changed in a window of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from cdp_pipelines.crm_integrations.hubspot_pages import RecordPage

SEARCH_PAGE = 200
# A property that says when a record last changed: contacts have their own.
MODIFIED = {"contacts": "lastmodifieddate"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def modified_property(object_name: str) -> str:
    """The property by which changed records of an object are found."""
    return MODIFIED.get(object_name, "hs_lastmodifieddate")


@dataclass(frozen=True)
class Window:
    """Records whose property `by` is in [start, end)."""

    by: str
    start: datetime
    end: datetime

    def query(self, properties: Sequence[str], last: int, after: str) -> dict[str, Any]:
        """The search for those with ids beyond `last`, in order of id, from the offset `after` on."""
        filters = [
            # HubSpot fails on a filter from the epoch on.
            {"propertyName": self.by, "operator": "GTE", "value": str(max(_milliseconds(self.start), 1))},
            {"propertyName": self.by, "operator": "LT", "value": str(_milliseconds(self.end))},
        ]
        beyond = [{"propertyName": "hs_object_id", "operator": "GT", "value": str(last)}] if last else []
        return {
            "filterGroups": [{"filters": filters + beyond}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": [*properties, *({self.by} - set(properties))],
            "limit": SEARCH_PAGE,
            "after": after,
        }

    def inside(self, page: RecordPage) -> RecordPage:
        """The records of a page that are in the window; others occur (estuary/connectors PR 2210)."""
        low, high = _milliseconds(self.start), _milliseconds(self.end)
        mask = [low <= _milliseconds(moment) < high for moment in self._moments(page)]
        return page if all(mask) else page.only(np.array(mask))

    def _moments(self, page: RecordPage) -> list[datetime]:
        own = page.records[self.by].to_pylist() if self.by in page.records.column_names else [None] * len(page)
        texts = [text or updated for text, updated in zip(own, page.records["updatedAt"].to_pylist(), strict=True)]
        return [datetime.fromtimestamp(int(t) / 1000, UTC) if t.isdigit() else datetime.fromisoformat(t) for t in texts]


def _milliseconds(moment: datetime) -> int:
    # Rounded down, as HubSpot does: a change in the window's last millisecond then belongs to the next window.
    return (moment - _EPOCH) // timedelta(milliseconds=1)
