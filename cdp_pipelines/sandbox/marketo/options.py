"""The knobs of the emulated Marketo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cdp_pipelines.sandbox import credentials


@dataclass
class MarketoOptions:
    """How the emulated instance behaves. Defaults are the vendor's limits, without the waiting, so that a demonstration is quick.

    `calls_per_20_seconds` is 1000 where a real instance allows 100. `denied` holds the endpoint families for which the API user has no
    permission (603): `leads`, `activities`, `opportunities`, `companies`, `campaigns`, `programs`, `lists`.
    `crm_sync` approximates an instance that is synced with a CRM, where the vendor's pages contradict each other: `disabled` answers 1018
    for companies, opportunities and roles; `readonly` changes nothing here, since the sandbox's world writes behind the API.
    `activity_block` is how many activities of all types one page of `activities.json` looks at: the reason for empty pages with more to come.
    `export_seconds` is how long a bulk job is Processing; `status_seconds` how long an answer about its status is repeated (really 60).
    """

    client_id: str = credentials.MARKETO["client_id"]
    client_secret: str = credentials.MARKETO["client_secret"]
    token_seconds: float = 3600
    token_in_query: bool = False
    calls_per_20_seconds: int = 1000
    concurrent_calls: int = 10
    daily_calls: int = 50_000
    denied: frozenset[str] = field(default_factory=frozenset)
    crm_sync: Literal["none", "readonly", "disabled"] = "none"
    export_by_updated_at: bool = True
    export_seconds: float = 0
    status_seconds: float = 0
    export_slots: int = 10
    exports_at_once: int = 2
    export_bytes_a_day: int = 500_000_000
    activity_block: int = 3000
