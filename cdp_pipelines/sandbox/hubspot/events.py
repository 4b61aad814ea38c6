"""What happens to a portal's records, for those who want to be told: the webhooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cdp_pipelines.sandbox.hubspot.properties import ObjectType

What = Literal["creation", "deletion", "merge", "propertyChange", "restore", "associationChange", "privacyDeletion"]


@dataclass(frozen=True)
class Happening:
    """One thing that happened to one record. `more` has what the vendor's event has beside the common fields."""

    kind: ObjectType
    what: What
    record_id: int
    at: datetime
    source: str
    more: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Happening], None]
