"""The guide's `CRMIntegrationManager`: several CRM connections, configured in code, as one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from cdp_pipelines import query
from cdp_pipelines.config import ConfigError, Connection, Settings, connection_from_config, load_settings
from cdp_pipelines.crm_integrations.base_crm import BaseCRM, CRMContact
from cdp_pipelines.summary import SyncSummary, summarize

if TYPE_CHECKING:
    import pandas as pd

    from cdp_pipelines.writeback.sessions import Session


class CRMIntegrationManager:
    """Connections by name, each a dictionary with the guide's keys; use it as an asynchronous context manager.

    A name that is not a kind needs a `kind` among its keys: `{"emea": {"kind": "salesforce", "client_id": ...}}`. `settings` (where the
    data lies) are those of the environment unless given. Raises ConfigError, naming the setting, for a configuration that cannot work.
    """

    def __init__(self, crm_configs: Mapping[str, Mapping[str, Any]], settings: Settings | None = None):
        self._connections = [_connection(name, config) for name, config in crm_configs.items()]
        if not self._connections:
            raise ConfigError("crm_configs", "is empty", "Give at least one of salesforce, hubspot, marketo.")
        self._settings = settings or load_settings()
        self._clients: dict[str, BaseCRM] = {}
        self._writers: dict[str, Session] = {}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        from cdp_pipelines.sources import registry

        for connection in self._connections:
            self._clients[connection.name] = await self._open.enter_async_context(registry.client(connection))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._clients.clear()
        self._writers.clear()
        await self._open.aclose()

    async def test_all_connections(self) -> dict[str, dict[str, Any]]:
        """By connection's name: `ok`, or the `problem` and its `remedy`; also `account`, `calls_used`, `calls_left`, `scopes`, `warnings` of a
        token that may do too much or ends soon, and `expires_at`. All at once.
        """
        from cdp_pipelines.crm_integrations.rights import with_rights
        from cdp_pipelines.writeback.rules import writes_to

        self._check_open()
        clients = self._clients.values()
        tests = await asyncio.gather(*(with_rights(c, writes=writes_to(self._settings.writeback_file, c.connection)) for c in clients))
        return {test.connection: asdict(test) for test in tests}

    async def sync_all_crms(self, full: bool = False) -> SyncSummary:
        """Extract, transform, check and publish; `full` reads everything anew instead of what changed.

        A CRM that fails does not raise: the summary says what is incomplete, and why. Raises WarehouseBusy when another run goes on
        for longer than `CDP_LOCK_WAIT_SECONDS`.
        """
        from cdp_pipelines.sync import sync

        return summarize(await asyncio.to_thread(sync, self._settings, list(self._connections), full=full))

    async def get_unified_contacts(
        self, filters: Mapping[str, Any] | None = None, as_dataframe: bool = False
    ) -> list[CRMContact] | pd.DataFrame:
        """The published contacts of all CRMs that meet every filter, such as `{'source_system': 'salesforce', 'lead_score__gt': 50}`.

        Each has its `customer_key`, the same for all records of one person. Deleted and merged-away records are left out unless a filter
        mentions `is_deleted` or `merged_into`. Raises FilterError, and NotPublished before the first sync.
        """
        return await asyncio.to_thread(query.contacts, self._settings, filters, as_dataframe=as_dataframe)

    async def create_contact_in_all_crms(self, contact: CRMContact) -> dict[str, dict[str, Any]]:
        """Make the contact in every CRM that does not have it, and say what happened in each, by connection's name.

        Each answer has `outcome` (created, updated, unchanged, conflict, rejected, skipped, pending), the record's `id`, the `reason`, what
        was `written` and what was `kept`. Where the contact is there already, its empty fields are filled and nothing is overwritten. An
        unreachable CRM is `pending`: `cdp writeback retry` sends it later. Raises ContactError for a contact that cannot be written.
        """
        from cdp_pipelines.writeback.contact_calls import create_contact

        answers = await create_contact(self._settings, self._sessions(), contact)
        return {name: asdict(result) for name, result in answers.items()}

    async def update_contact_in_all_crms(
        self, contact_id: str, data: Mapping[str, Any], *, overwrite: bool = False
    ) -> dict[str, dict[str, Any]]:
        """Write these fields to every record of a person, and say what happened in each CRM; see `create_contact_in_all_crms`.

        `contact_id` is a customer key, `connection:id`, an e-mail address, or a CRM's id. A value that somebody changed in a CRM since we
        last wrote it is a conflict and stays, unless `overwrite`. None and blank change nothing; `writes.CLEAR` empties a field.
        """
        from cdp_pipelines.writeback.contact_calls import update_contact

        answers = await update_contact(self._settings, self._sessions(), contact_id, data, overwrite=overwrite)
        return {name: asdict(result) for name, result in answers.items()}

    def _sessions(self) -> dict[str, Session]:
        from cdp_pipelines.crm_integrations.writers import writer_of
        from cdp_pipelines.writeback.sessions import Session

        self._check_open()
        for name, client in self._clients.items():
            if name not in self._writers:
                self._writers[name] = Session(client, writer_of(client))
        return self._writers

    def _check_open(self) -> None:
        if not self._clients:
            raise RuntimeError("The manager is not open. Use `async with CRMIntegrationManager(...) as crm_manager`.")


def _connection(name: str, config: Mapping[str, Any]) -> Connection:
    if not isinstance(config, Mapping):
        raise ConfigError(f"crm_configs[{name!r}]", "is not a dictionary of settings", "Give the connection's settings by name.", name)
    return connection_from_config(name, config)
