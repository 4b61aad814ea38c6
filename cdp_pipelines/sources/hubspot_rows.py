"""The shapes of HubSpot's raw rows, and what was seen of an object in a run."""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cdp_pipelines.sources.reader import DELETED, Span

Record = dict[str, Any]

TOP_LEVEL = ("id", "createdAt", "updatedAt", "archived", "archivedAt", "url")
MERGED_IDS, STAGE = "hs_merged_object_ids", "lifecyclestage"


@dataclass
class Seen:
    """What was read of an object in a span: ids of live records, of archived ones, and of those that are gone without a trace.

    `losers` maps a record that was merged away to the one it went into. `back` are live records that an earlier read had as archived.
    """

    start: datetime | None
    live: array[int] = field(default_factory=lambda: array("q"))
    archived: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    back: set[int] = field(default_factory=set)
    losers: dict[int, int] = field(default_factory=dict)

    def covers(self, span: Span) -> bool:
        """Whether this holds everything that a read of the span would find."""
        return self.start is None or (span.start is not None and self.start <= span.start)

    def note(self, records: Iterable[Record]) -> None:
        """Remember records, and what they say of those merged into them."""
        for record in records:
            record_id = int(record["id"])
            if record.get("archived"):
                self.archived.add(record_id)
            else:
                self.live.append(record_id)
            for loser in (record["properties"].get(MERGED_IDS) or "").split(";"):
                if loser.strip().isdigit() and int(loser) != record_id:
                    self.losers[int(loser)] = record_id

    def end(self) -> None:
        """Each id once, where it belongs, and merges of merges straight to the record that survived."""
        for loser, into in self.losers.items():
            passed = {loser}
            while (further := self.losers.get(into)) is not None and into not in passed:
                passed.add(into)
                into = further
            self.losers[loser] = into
        self.live = array("q", sorted(set(self.live) - self.gone))

    @property
    def gone(self) -> set[int]:
        """Records that lists do not show."""
        return self.archived | self.missing | self.losers.keys()


class StageFile:
    """The history of contacts' lifecycle stages, on disk from the list of contacts until its own table is read."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed with the reader that holds it

    def write(self, contacts: list[Record]) -> None:
        """Keep the rows of some contacts, as the list gave them."""
        for archived in (False, True):
            if rows := versions_of([c for c in contacts if bool(c.get("archived")) is archived]):
                self._file.write(json.dumps([archived, rows]) + "\n")

    def read(self, seen: Seen) -> Iterator[list[Record]]:
        """The rows of every contact once, also of one that was archived or merged away while the list was read."""
        self._file.seek(0)
        for archived, rows in map(json.loads, self._file):
            past = seen.losers.keys() if archived else seen.gone
            yield [row for row in rows if int(row["contact_id"]) not in past]


def field_of(name: str) -> str:
    """A property's name among a row's fields: its own, unless the record itself has a key of that name."""
    return f"properties.{name}" if name in TOP_LEVEL else name


def row_of(record: Record) -> Record:
    """A record as a row: its own keys, then its properties."""
    row = {name: record[name] for name in TOP_LEVEL if name in record}
    row |= {field_of(name): value for name, value in record["properties"].items()}
    return row | ({DELETED: True} if record.get("archived") else {})


def versions_of(records: list[Record]) -> list[Record]:
    """The stages' history of contacts: a row for each version, or one without for a contact that never had a stage."""
    rows = []
    for record in records:
        versions = (record.get("propertiesWithHistory") or {}).get(STAGE) or []
        rows += [
            {
                "contact_id": record["id"],
                "value": v.get("value"),
                "timestamp": v.get("timestamp"),
                "source_type": v.get("sourceType"),
                "source_id": v.get("sourceId"),
            }
            for v in versions
        ] or [{"contact_id": record["id"]}]
    return rows


def links_of(record_id: str, links: list[Record]) -> list[Record]:
    """The associations of a record: a row for each type of each, or one without for a record that has none."""
    rows = [
        {
            "from_id": record_id,
            "to_id": str(link["toObjectId"]),
            "type_id": kind.get("typeId"),
            "category": kind.get("category"),
            "label": kind.get("label"),
        }
        for link in links
        for kind in link["associationTypes"]
    ]
    return rows or [{"from_id": record_id}]


def stage_of(pipeline: Record, stage: Record) -> Record:
    """A stage of a pipeline as a row."""
    metadata = stage.get("metadata") or {}
    return {
        "pipeline_id": pipeline["id"],
        "pipeline_label": pipeline.get("label"),
        "pipeline_display_order": pipeline.get("displayOrder"),
        "stage_id": stage["id"],
        "label": stage.get("label"),
        "display_order": stage.get("displayOrder"),
        "probability": metadata.get("probability"),
        "is_closed": metadata.get("isClosed"),
        "archived": stage.get("archived"),
        "createdAt": stage.get("createdAt"),
        "updatedAt": stage.get("updatedAt"),
    }
