"""The guide's `cdp_engine`: what the state of the syncs is, and whether the CRMs can be reached, with the settings of the environment."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from cdp_pipelines import query, status
from cdp_pipelines.config import ConfigError, Connection, Settings, load_settings
from cdp_pipelines.crm_integrations.base_crm import ConnectionTest


class CDPEngine:
    """Answers about the whole platform. `settings` are those of the environment, read anew at each call, unless given."""

    def __init__(self, settings: Settings | None = None):
        self._settings = settings

    async def get_crm_sync_status(self) -> dict[str, Any]:
        """State, last end, cursor, lag, rows read to rejected, calls used and left of every connection and object, and the failed checks; see `status.read`.

        Before the first sync `state` is `never synced`. Raises ConfigError.
        """
        try:
            return await asyncio.to_thread(status.read, self._current())
        except query.NotPublished as nothing:
            return {"state": "never synced", "problem": str(nothing), "connections": {}, "failed_checks": [], "rejected_rows": []}

    async def test_crm_connections(self, *, within: float | None = None) -> dict[str, dict[str, Any]]:
        """By connection's name, whether it works (`ok`), or the `problem` and its `remedy`, the API calls used and left today,
        the token's scopes, and `warnings` of one that may do more than is needed or ends soon.

        All connections of the environment are tried at once; where there is none, the sandbox's. One that has not answered `within` so many
        seconds, retries included, has that as its problem; unless given, it is waited for. Raises ConfigError for a setting that
        concerns all connections; one that concerns a single connection is that connection's problem.
        """
        # In a thread: starting the sandbox would hold up the caller's event loop.
        return await asyncio.to_thread(self._test, within)

    def _test(self, within: float | None) -> dict[str, dict[str, Any]]:
        from cdp_pipelines.connections import configured

        settings = self._current()
        with configured(settings) as connections:
            tests = asyncio.run(_try_all(settings, connections, within))
        return {test.connection: asdict(test) for test in tests}

    def _current(self) -> Settings:
        return self._settings or load_settings()


async def _try_all(settings: Settings, connections: list[Connection | ConfigError], within: float | None) -> list[ConnectionTest]:
    return await asyncio.gather(*(_try(settings, connection, within) for connection in connections))


async def _try(settings: Settings, connection: Connection | ConfigError, within: float | None) -> ConnectionTest:
    from cdp_pipelines.crm_integrations.rights import with_rights
    from cdp_pipelines.sources import registry
    from cdp_pipelines.writeback.rules import writes_to

    if isinstance(connection, ConfigError):
        name = connection.connection or connection.setting
        kind = settings.connection_kinds().get(name, "unknown")
        return ConnectionTest(name, kind, ok=False, problem=f"{connection.setting} {connection.problem}.", remedy=connection.remedy)
    try:
        async with asyncio.timeout(within), registry.client(connection) as client:
            return await with_rights(client, writes=writes_to(settings.writeback_file, connection))
    except TimeoutError:
        remedy = "Check its address and the network; `cdp connections` waits until it says why."
        return ConnectionTest(connection.name, connection.kind, ok=False, problem=f"It did not answer within {within:g} s.", remedy=remedy)


cdp_engine = CDPEngine()
