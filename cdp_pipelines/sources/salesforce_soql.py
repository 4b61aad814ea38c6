"""The queries that read an object: which fields, which time, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from cdp_pipelines.crm_integrations.salesforce import soql_time

# SystemModstamp moves with every change; LastModifiedDate can be set by integrations (mautic/mautic PR 5841), and is what is left where
# SystemModstamp cannot be filtered (airbytehq/airbyte PR 68166).
CURSORS = ("SystemModstamp", "LastModifiedDate")
# Salesforce refuses a request line and headers of more than 16,384 bytes.
MAX_QUERY_BYTES = 14_000
IDS_PER_QUERY = 300


@dataclass(frozen=True)
class Selection:
    """An object's records, all of them or those changed in [start, end) by the cursor field."""

    object: str
    fields: tuple[str, ...]
    cursor: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    @property
    def where(self) -> str:
        """The condition, with the word WHERE; empty for all."""
        return f" WHERE {' AND '.join(self._tests())}" if self._tests() else ""

    def count(self) -> str:
        """How many there are."""
        return f"SELECT COUNT() FROM {self.object}{self.where}"

    def whole(self) -> str:
        """All fields in one query, in no order: for Bulk."""
        return _soql(self.fields, self.object, self.where)

    def parts(self) -> list[str]:
        """One query for all fields, or as many as it takes to keep each within what a URL may hold; all in the same order."""
        order = f"{self.cursor}, Id" if self.cursor else "Id"
        return [f"{_soql(part, self.object, self.where)} ORDER BY {order}" for part in _split(self.fields, self.where)]

    def by_id(self, after: str | None, limit: int) -> list[str]:
        """As `parts`, for the next records in the order of their ids."""
        tests = [*self._tests(), *([f"Id > '{after}'"] if after else [])]
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        return [f"{_soql(part, self.object, where)} ORDER BY Id LIMIT {limit}" for part in _split(self.fields, where)]

    def _tests(self) -> list[str]:
        if not self.cursor:
            return []
        tests = [f"{self.cursor} >= {soql_time(self.start)}"] if self.start else []
        if self.end:
            # Salesforce stamps with whole seconds: the seconds in which the window begins and ends are read whole.
            end = self.end + timedelta(microseconds=-self.end.microsecond % 1_000_000)
            tests.append(f"{self.cursor} < {soql_time(end)}")
        return tests


def of_ids(object_name: str, fields: Iterable[str], ids: Iterable[str]) -> list[str]:
    """As `Selection.parts`, for the records with these ids."""
    listed = ",".join(f"'{record_id}'" for record_id in ids)
    where = f" WHERE Id IN ({listed})"
    return [f"{_soql(part, object_name, where)} ORDER BY Id" for part in _split(fields, where)]


def cursors(described: Mapping[str, Any]) -> list[str]:
    """The fields by which changes of an object can be asked for, the best first, according to its describe answer."""
    filterable = {field["name"] for field in described["fields"] if field.get("filterable", True)}
    return [name for name in CURSORS if name in filterable]


def _soql(fields: Iterable[str], object_name: str, where: str) -> str:
    return f"SELECT {','.join(fields)} FROM {object_name}{where}"


def _split(fields: Iterable[str], where: str) -> Iterator[list[str]]:
    room = MAX_QUERY_BYTES - 500 - len(quote(where))
    part, size = ["Id"], 0
    for field in fields:
        if field == "Id":
            continue
        length = len(quote(f"{field},"))
        if size + length > room and len(part) > 1:
            yield part
            part, size = ["Id"], 0
        part.append(field)
        size += length
    yield part
