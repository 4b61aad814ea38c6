"""A reader whose API is a dictionary, for tests of what is the same for all CRMs."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from cdp_pipelines.config import Connection, connection_from_config
from cdp_pipelines.crm_integrations.base_crm import CRMError, DayOfCalls
from cdp_pipelines.crm_integrations.rejected import Rejections
from cdp_pipelines.sources.reader import Batch, RawTable, Reader, Span

TABLES = (
    RawTable("contact", "Contact", ("Id",), fields=("Name",)),
    RawTable("roles", "Role", ("from_id", "to_id"), replace_by=("from_id",)),
)


class NoClient:
    """A client that was never asked for anything."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.rejected = Rejections()
        self.day = DayOfCalls()

    async def close(self) -> None:
        """Nothing to close."""


class FakeReader(Reader):
    """Gives the batches of `data[table]`, then raises `fail[table]` if there is one. Remembers the spans it was asked for."""

    tables = TABLES

    def __init__(self, data: dict[str, list[list[dict[str, Any]]]], fail: dict[str, Exception] | None = None, fields: tuple[str, ...] = ()):
        self.data, self.fail, self.more_fields = data, fail or {}, fields
        self.client = NoClient()  # ty: ignore[invalid-assignment]
        self.spans: dict[str, Span] = {}

    async def fields(self, table: RawTable) -> list[str]:
        return [*table.key, *table.fields, *self.more_fields]

    async def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        self.spans[table.name] = Span(span.mode, span.start, span.end, dict(span.state))
        for rows in self.data.get(table.name, []):
            yield Batch(rows)
        if table.name in self.fail:
            raise self.fail[table.name]
        span.state["reads"] = span.state.get("reads", 0) + 1


def salesforce(name: str = "salesforce") -> Connection:
    """A connection that nobody answers."""
    config = {"kind": "salesforce", "client_id": "i", "client_secret": "s", "username": "u", "password": "p", "visibility_lag_seconds": 60}
    return connection_from_config(name, config)


def problem(text: str) -> CRMError:
    """An error of one table."""
    return CRMError("salesforce", text, "Mend it.")
