"""The shapes of HubSpot's raw rows, and what was seen of an object in a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines.crm_integrations.hubspot_pages import Ranges, RecordPage
from cdp_pipelines.sources.reader import DELETED, KnownRecords, Span

Record = dict[str, Any]

MERGED_IDS, STAGE = "hs_merged_object_ids", "lifecyclestage"
VERSION_FIELDS = {"id": "contact_id", "value": "value", "timestamp": "timestamp", "sourceType": "source_type", "sourceId": "source_id"}
# Rows of the history that are looked through at a time.
ROWS_AT_ONCE = 10_000


@dataclass
class Seen:
    """What was read of an object in a span: ids of live records, of archived ones, and of those that are gone without a trace.

    `losers` maps a record that was merged away to the one it went into. `back` are live records that an earlier read had as archived.
    `live` is in order once `end` was called.
    """

    start: datetime | None
    live: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    archived: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    back: set[int] = field(default_factory=set)
    losers: dict[int, int] = field(default_factory=dict)
    _parts: list[np.ndarray] = field(default_factory=list)

    def covers(self, span: Span) -> bool:
        """Whether this holds everything that a read of the span would find."""
        return self.start is None or (span.start is not None and self.start <= span.start)

    def note(self, page: RecordPage) -> None:
        """Remember records, and what they say of those merged into them."""
        self._parts.append(page.ids[~page.archived])
        self.archived.update(page.ids[page.archived].tolist())
        if MERGED_IDS in page.records.column_names and any_value(page.records[MERGED_IDS]):
            merged = page.records.select(["id", MERGED_IDS]).drop_null()
            self._note_merged(zip(merged["id"].to_pylist(), merged[MERGED_IDS].to_pylist(), strict=True))

    def note_gone(self, ids: Iterable[int]) -> None:
        """Remember records that a run found gone which was stopped before it came to what belongs to them."""
        self.missing |= set(ids) - set(self.live.tolist()) - self.archived

    def note_known(self, name: str, known: KnownRecords, remaining: dict[str, Ranges | None]) -> None:
        """Remember what an earlier part of the same read has loaded: the warehouse's records outside the ranges (of `live` and `archived`
        records; all where None) that are still to be read."""
        for part, archived in (("live", "false"), ("archived", "true")):
            if (ranges := remaining[part]) is None:
                continue
            ids = np.fromiter(map(int, known.values(name, "id", {"archived": archived})), np.int64)
            for low, high in ranges:
                ids = ids[(ids < (low or 0)) | (ids >= (high or np.iinfo(np.int64).max))]
            if part == "live":
                self._parts.append(ids)
            else:
                self.archived.update(ids.tolist())
        self._note_merged(known.pairs(name, "id", MERGED_IDS))

    def _note_merged(self, pairs: Iterable[tuple[str, str]]) -> None:
        for survivor, merged in pairs:
            for loser in merged.split(";"):
                if loser.strip().isdigit() and int(loser) != int(survivor):
                    self.losers[int(loser)] = int(survivor)

    def end(self) -> None:
        """Each id once, where it belongs, and merges of merges straight to the record that survived."""
        for loser, into in self.losers.items():
            passed = {loser}
            while (further := self.losers.get(into)) is not None and into not in passed:
                passed.add(into)
                into = further
            self.losers[loser] = into
        live = np.concatenate([self.live, *self._parts])
        self._parts.clear()
        self.live = np.setdiff1d(live, _array(self.gone))

    def then(self, later: Seen) -> Seen:
        """What this read and a later one of the same object saw together."""
        archived = (self.archived - set(later.live.tolist())) | later.archived
        both = Seen(self.start, np.concatenate([self.live, later.live]), archived, self.missing | later.missing, later.back)
        both.losers = self.losers | later.losers
        both.end()
        return both

    @property
    def gone(self) -> set[int]:
        """Records that lists do not show."""
        return self.archived | self.missing | self.losers.keys()


class StageFile:
    """The history of contacts' lifecycle stages, on disk from the list of contacts until its own table is read."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed with the reader that holds it
        self._writer: pa.RecordBatchStreamWriter | None = None

    def write(self, page: RecordPage) -> None:
        """Keep the versions of some contacts, as the list gave them."""
        assert page.versions is not None
        archived = np.isin(_numbers(page.versions["id"]), page.ids[page.archived])
        table = page.versions.append_column("archived", pa.array(archived))
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._file, table.schema)
        self._writer.write_table(table.combine_chunks())

    def read(self, seen: Seen) -> Iterator[pa.Table]:
        """The rows of every contact once, also of one that was archived or merged away while the list was read."""
        if self._writer is None:
            return
        self._writer.close()
        self._file.seek(0)
        gone, losers = _array(seen.gone), _array(seen.losers.keys())
        with pa.ipc.open_stream(self._file) as batches:
            for table in _gathered(batches):
                ids, archived = _numbers(table["id"]), np.asarray(table["archived"])
                past = np.where(archived, np.isin(ids, losers), np.isin(ids, gone))
                yield versions_of(table.filter(pa.array(~past)))


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= ROWS_AT_ONCE:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def row_table(page: RecordPage) -> pa.Table:
    """A page's records as rows; archived ones are marked as deleted."""
    if not page.archived.any():
        return page.records
    return page.records.append_column(DELETED, pa.array(["true" if archived else None for archived in page.archived], pa.string()))


def any_value(column: pa.ChunkedArray) -> bool:
    """Whether anything in a column is neither null nor empty."""
    return column.null_count < len(column) and bool(
        pc.call_function("any", [pc.call_function("not_equal", [column, pa.scalar("")])]).as_py()
    )


def versions_of(versions: pa.Table) -> pa.Table:
    """The stages' history of contacts: a row for each version, or one without for a contact that never had a stage."""
    return versions.select(list(VERSION_FIELDS)).rename_columns(list(VERSION_FIELDS.values()))


def keys_only(field_name: str, ids: Iterable[int]) -> pa.Table:
    """Rows with nothing but one key."""
    return pa.table({field_name: pc.cast(pa.array(ids, pa.int64()), pa.string())})


def _array(ids: Iterable[int]) -> np.ndarray:
    return np.fromiter(ids, np.int64)


def _numbers(ids: pa.ChunkedArray) -> np.ndarray:
    return pc.cast(ids, pa.int64()).to_numpy()


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
