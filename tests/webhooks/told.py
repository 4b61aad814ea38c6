"""A sandbox that tells of its changes, and a warehouse that follows: is it what a full sync gives?"""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from cdp_pipelines.config import ConfigError, Connection, Settings, connection_from_config
from cdp_pipelines.sync import sync
from cdp_pipelines.webhooks.catch_up import CaughtUp, catch_up
from cdp_pipelines.webhooks.inbox import Inbox
from tests.sandbox.faulty import Faulty

# With the column that tells rows apart. A company's modified date moves with its contacts' deletions, of which HubSpot tells the contact's alone.
TABLES = {
    "contacts": "customer_id", "opportunities": "id", "opportunity_contacts": "id", "companies": "id", "campaign_members": "id",
    "lifecycle_stage_changes": "contact_id",
}  # fmt: skip
# Marketo tells nothing of companies, nor of changes of an opportunity; the next sync reads them.
UNTOLD = {("companies", "marketo"), ("opportunities", "marketo")}


@dataclass
class Told:
    """A sandbox that tells a receiver of its changes, and a warehouse that follows."""

    sandbox: Faulty
    settings: Settings
    merged: str = ""  # a contact of Salesforce that was merged before the first sync

    @property
    def connections(self) -> list[Connection | ConfigError]:
        return [connection_from_config(name, config) for name, config in self.sandbox.addresses.connections().items()]

    def change(self, seed: int, count: int = 40) -> None:
        answer = self.sandbox.control("POST", "/sandbox/change", {"seed": seed, "count": count})
        assert answer.status_code == 200, answer.text
        self.settle()

    def settle(self) -> None:
        apps = self.sandbox.server.apps
        assert apps["hubspot"].state.webhooks.settle()
        assert apps["salesforce"].state.events.settle()
        assert apps["marketo"].state.webhooks.settle()

    def catch_up(self) -> CaughtUp:
        done = catch_up(self.settings, self.connections)
        assert done is not None
        return done

    def status(self) -> dict[str, Any]:
        with closing(Inbox(self.settings.inbox)) as inbox:
            return inbox.status()["connections"]

    def differences(self, folder: Path) -> dict[tuple[str, str], list[str]]:
        """Rows of a full sync into an empty warehouse that the published file has not, and those that it has beside them, by table and CRM.

        Not those of deleted records that a first reader cannot know; of a purged one that others still point to, all that it can know is that
        it is gone.
        """
        fresh = Settings(data_dir=folder)
        if self.settings.privacy_dir.exists():
            shutil.copytree(self.settings.privacy_dir, fresh.privacy_dir)  # whoever was erased here comes in nowhere
        assert sync(fresh, self.connections, full=True).complete
        found: dict[tuple[str, str], list[str]] = {}
        with duckdb.connect() as db:
            db.execute(f"attach '{self.settings.published}' as kept (read_only); attach '{fresh.published}' as fresh (read_only)")
            for table, key in TABLES.items():
                unknown = ""
                columns = f"* exclude (synced_at{', last_updated' if table == 'companies' else ''})"
                kept, full = (f"select {columns} from {side}.{table}" for side in ("kept", "fresh"))
                if table in ("contacts", "companies"):
                    gone = f"select source_system, {key} from fresh.{table} where is_deleted and created_date is null"
                    unknown = f" union all (({gone}) except all (select source_system, {key} from kept.{table} where is_deleted))"
                    kept, full = (f"{select} where not (is_deleted and (source_system, {key}) in ({gone}))" for select in (kept, full))
                deleted = "true" if table == "lifecycle_stage_changes" else "not is_deleted"
                more = f"from ({kept} except all {full}) as more where {deleted} or (source_system, {key}) in (select source_system, {key} from fresh.{table})"
                for crm, row in db.execute(
                    f"select source_system, {key} from (from ({full} except all {kept}) union all {more}){unknown}"
                ).fetchall():
                    if (table, crm) not in UNTOLD:
                        found.setdefault((table, crm), []).append(row)
        return found
