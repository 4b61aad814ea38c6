"""A connection opened for writing: its client, its writer, and the objects in which it keeps people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from cdp_pipelines.config import ConfigError, Connection
from cdp_pipelines.crm_integrations.base_crm import BaseCRM
from cdp_pipelines.crm_integrations.writers import writer_of
from cdp_pipelines.crm_integrations.writes import RecordWriter
from cdp_pipelines.sources import registry
from cdp_pipelines.writeback.fields import ObjectTarget, objects_of


class Session:
    """One connection. What the CRM has is asked once."""

    def __init__(self, client: BaseCRM, writer: RecordWriter):
        self.connection: Connection = client.connection
        self.client, self.writer = client, writer
        self._objects: dict[str, ObjectTarget] | None = None
        self._asking = asyncio.Lock()

    @property
    def name(self) -> str:
        """The connection's name."""
        return self.connection.name

    async def objects(self) -> dict[str, ObjectTarget]:
        """The objects with people by the vendor's name, contacts before leads. May raise a CRMError."""
        async with self._asking:
            if self._objects is None:
                self._objects = await objects_of(self.client)
            return self._objects


@asynccontextmanager
async def opened(connections: Iterable[Connection | ConfigError]) -> AsyncGenerator[Mapping[str, Session]]:
    """Sessions by connection's name. Raises ConfigError for a connection whose settings cannot be used."""
    async with AsyncExitStack() as stack:
        sessions = {}
        for connection in connections:
            if isinstance(connection, ConfigError):
                raise connection
            client = await stack.enter_async_context(registry.client(connection))
            sessions[connection.name] = Session(client, writer_of(client))
        yield sessions
