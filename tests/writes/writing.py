"""A CRM as tests write to it: a client of the sandbox, or of any application on loopback, in an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cdp_pipelines.config import Kind, connection_from_config
from cdp_pipelines.crm_integrations.base_crm import BaseCRM
from cdp_pipelines.crm_integrations.writers import writer_of
from cdp_pipelines.crm_integrations.writes import LiveRecord, RecordWrite, RecordWriter, Value, WriteResult
from cdp_pipelines.sources import registry
from tests.sandbox.faulty import Faulty

T = TypeVar("T")
_QUICK: dict[str, dict[str, Any]] = {
    "salesforce": {"bulk_poll_seconds": 0.01},
    "hubspot": {"calls_per_10_seconds": 100_000, "searches_per_second": 1_000},
    "marketo": {"calls_per_20_seconds": 100_000, "bulk_poll_seconds": 0.01},
}


@dataclass
class Writing:
    """Writes to one CRM and remembers the calls and results of the latest one. `make` makes a writer with options of its own."""

    kind: Kind
    config: Mapping[str, Any]
    make: Callable[[Any], RecordWriter] = writer_of
    calls: int = 0
    told: list[WriteResult] = field(default_factory=list)

    def do(self, action: Callable[[RecordWriter], Awaitable[T]]) -> T:
        """What an action gives that is done with a writer."""

        async def run() -> T:
            connection = connection_from_config(self.kind, {**self.config, **_QUICK[self.kind]})
            client: BaseCRM = registry.client(connection)
            async with client:
                try:
                    return await action(self.make(client))
                finally:
                    self.calls = client.calls.total()

        return asyncio.run(run())

    def write(self, object_name: str, writes: Sequence[RecordWrite]) -> list[WriteResult]:
        """Results, which were also told one by one, each once."""
        self.told = []

        async def tell(result: WriteResult) -> None:
            self.told.append(result)

        results = self.do(lambda writer: writer.write(object_name, writes, on_result=tell))
        assert [r.key for r in results] == [w.key for w in writes]
        assert sorted(self.told, key=lambda r: r.key) == sorted(results, key=lambda r: r.key)
        return results

    def read(self, object_name: str, ids: Iterable[str], *fields: str) -> dict[str, LiveRecord]:
        """Records by id."""
        return self.do(lambda writer: writer.read(object_name, ids, fields))

    def find(self, object_name: str, by: str, values: Iterable[str], *fields: str) -> dict[str, list[LiveRecord]]:
        """Records by a value."""
        return self.do(lambda writer: writer.find(object_name, by, values, fields))

    def delete(self, object_name: str, ids: Sequence[str], **more: Any) -> list[WriteResult]:
        """Results of a deletion."""
        return self.do(lambda writer: writer.delete(object_name, ids, **more))

    def made(self, object_name: str, *records: Mapping[str, Value]) -> list[str]:
        """Ids of new records."""
        results = self.write(object_name, creates(object_name, *records))
        assert [r.outcome for r in results] == ["created"] * len(records), results
        return [r.id or "" for r in results]


def writing(sandbox: Faulty, kind: Kind, make: Callable[[Any], RecordWriter] = writer_of, **settings: Any) -> Writing:
    """Writes to a CRM of the sandbox."""
    return Writing(kind, {**sandbox.addresses.connections()[kind], **settings}, make)


def creates(object_name: str, *records: Mapping[str, Value]) -> list[RecordWrite]:
    """New records."""
    return [RecordWrite(f"new {n}", object_name, "create", None, fields) for n, fields in enumerate(records)]


def update(object_name: str, record_id: str, key: str = "", **fields: Value) -> RecordWrite:
    """A change of a record."""
    return RecordWrite(key or f"change {record_id}", object_name, "update", record_id, fields)


def requests(sandbox: Faulty, kind: str) -> int:
    """Calls that the CRM got so far."""
    return sum(sandbox.control("GET", "/sandbox/requests").json()[kind].values())
