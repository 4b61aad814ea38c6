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
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        from cdp_pipelines.sources import registry

        for connection in self._connections:
            self._clients[connection.name] = await self._open.enter_async_context(registry.client(connection))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._clients.clear()
        await self._open.aclose()

    async def test_all_connections(self) -> dict[str, dict[str, Any]]:
        """By connection's name: `ok`, or the `problem` and its `remedy`; also `account`, `calls_used`, `calls_left`. All at once."""
        if not self._clients:
            raise RuntimeError("The manager is not open. Use `async with CRMIntegrationManager(...) as crm_manager`.")
        tests = await asyncio.gather(*(client.test_connection() for client in self._clients.values()))
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


def _connection(name: str, config: Mapping[str, Any]) -> Connection:
    if not isinstance(config, Mapping):
        raise ConfigError(f"crm_configs[{name!r}]", "is not a dictionary of settings", "Give the connection's settings by name.", name)
    return connection_from_config(name, config)
