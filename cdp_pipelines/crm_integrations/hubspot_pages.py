"""HubSpot's JSON as Arrow tables of text, without a Python object for each value beyond what the JSON parser makes.

Every value is text as it was sent. What is not text in the JSON where text is the rule is parsed once more, with fractions kept as their text.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import httpx2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines.crm_integrations.hubspot_answers import body_of, quick_body
from cdp_pipelines.crm_integrations.json_text import as_text, whole_text

Record = dict[str, Any]
Ranges = list[list[int | None]]

TOP_LEVEL = ("id", "createdAt", "updatedAt", "archived", "archivedAt", "url")
VERSION_KEYS = ("value", "timestamp", "sourceType", "sourceId")
# What Arrow raises for a value that is not of the type it was told.
_UNLIKE = (pa.ArrowException, UnicodeEncodeError, OverflowError)
_TEXT = pa.string()
_VERSIONS = pa.list_(pa.struct([(key, _TEXT) for key in VERSION_KEYS]))


@dataclass(frozen=True)
class RecordPage:
    """Some records of an object: a row each, their own keys first and then their properties, all text.

    A property named like one of the record's own keys is the column `properties.<name>`. `versions` has a row for each version of the
    properties whose history was asked for (`id`, `property` and `VERSION_KEYS`), and one without a version where there is none.
    `remaining` are the ranges of ids that the list still has to read after this page, `total` the number of records that HubSpot counts.
    `without_id` more records had no id that is a number, and are not there.
    """

    records: pa.Table
    versions: pa.Table | None = None
    remaining: Ranges | None = None
    total: int | None = None
    without_id: int = 0

    def __len__(self) -> int:
        return self.records.num_rows

    @cached_property
    def ids(self) -> np.ndarray:
        """The records' ids."""
        return pc.cast(self.records["id"], pa.int64()).to_numpy()

    @cached_property
    def archived(self) -> np.ndarray:
        """Which records are archived."""
        column = self.records["archived"]
        return np.asarray(pc.call_function("equal", [column, pa.scalar("true")]).fill_null(False))

    def between(self, low: int, high: int | None) -> RecordPage:
        """The records with ids in [low, high), of a page that is in order of id."""
        ids = self.ids
        first, last = np.searchsorted(ids, [low, high]) if high is not None else (np.searchsorted(ids, low), len(ids))
        if (first, last) == (0, len(ids)):
            return self
        mask = np.zeros(len(ids), bool)
        mask[first:last] = True
        return self.only(mask)

    def only(self, mask: np.ndarray) -> RecordPage:
        """The records for which the mask is true."""
        records, versions = self.records.filter(pa.array(mask)), self.versions
        if versions is not None:
            of_record = pc.cast(versions["id"], pa.int64()).to_numpy()
            versions = versions.filter(pa.array(np.isin(of_record, self.ids[mask])))
        return replace(self, records=records, versions=versions)

    def in_order(self) -> RecordPage:
        """The records in order of id."""
        return replace(self, records=self.records.take(pa.array(np.argsort(self.ids))))


def joined(pages: Sequence[RecordPage]) -> RecordPage:
    """Several pages as one."""
    versions = [page.versions for page in pages if page.versions is not None]
    records = pa.concat_tables([page.records for page in pages], promote_options="default")
    return RecordPage(records, pa.concat_tables(versions) if versions else None)


def field_of(name: str) -> str:
    """A property's name among a row's fields: its own, unless the record itself has a key of that name."""
    return f"properties.{name}" if name in TOP_LEVEL else name


def page_of(response: httpx2.Response, history: Sequence[str] = ()) -> RecordPage:
    """The records in an answer."""
    try:
        results, bare = _with_id(quick_body(response)["results"])
        page = _page(results, history)
    except _UNLIKE:
        results, bare = _with_id(body_of(response)["results"])
        page = _page([_texts(record, history) for record in results], history)
    return replace(page, without_id=bare) if bare else page


def _with_id(results: list[Record]) -> tuple[list[Record], int]:
    """The records that have an id, and how many have none."""
    found = [record for record in results if str(record.get("id")).isdecimal()]
    return found, len(results) - len(found)


def _page(results: list[Record], history: Sequence[str]) -> RecordPage:
    own, properties = _by_name(results), _by_name([record["properties"] for record in results])
    nothing = (None,) * len(results)
    columns = [own.get(name, nothing) if name != "archived" else map(as_text, own.get(name, nothing)) for name in TOP_LEVEL]
    # One array for all columns, one after the other: much quicker than an array for each, or one of structs.
    values = pa.array(list(itertools.chain(*columns, *properties.values())), _TEXT)
    names = [*TOP_LEVEL, *map(field_of, properties)]
    records = pa.Table.from_arrays([values.slice(n * len(results), len(results)) for n in range(len(names))], names=names)
    return RecordPage(records, _versions(records["id"].combine_chunks(), results, history) if history else None)


def _by_name(objects: list[Record]) -> dict[str, Sequence[Any]]:
    """The values of each name in all objects."""
    names = [*objects[0]] if objects else []
    if all([*each] == names for each in objects):
        return dict(zip(names, zip(*(each.values() for each in objects), strict=True), strict=True))
    return {name: [each.get(name) for each in objects] for name in dict.fromkeys(name for each in objects for name in each)}


def _versions(ids: pa.Array, results: list[Record], history: Sequence[str]) -> pa.Table:
    tables = []
    for name in history:
        lists = pa.array([(r.get("propertiesWithHistory") or {}).get(name) for r in results], _VERSIONS)
        columns = dict(zip(VERSION_KEYS, lists.flatten().flatten(), strict=True))
        table = _of_each(ids, "id", np.asarray(lists.value_parent_indices()), columns)
        tables.append(table.append_column("property", pa.repeat(name, table.num_rows).cast(_TEXT)))
    return pa.concat_tables(tables)


def links_of(found: dict[str, list[Record]]) -> pa.Table:
    """Associations (id -> `toObjectId` with its `associationTypes`): a row for each type of each, and one with nothing but `from_id` for
    a record that has none."""
    ids = pa.array(list(found), _TEXT)
    try:
        lists = pa.array(list(found.values()), _links_type(pa.int64()))
    except _UNLIKE:
        lists = pa.array([[_link_texts(link) for link in links] for links in found.values()], _links_type(_TEXT))
    links, of_record = lists.flatten(), lists.value_parent_indices()
    kinds = links.field("associationTypes")
    of_link, each = kinds.value_parent_indices(), kinds.flatten()
    columns = {
        "to_id": pc.cast(links.field("toObjectId").take(of_link), _TEXT),
        "type_id": pc.cast(each.field("typeId"), _TEXT),
        "category": each.field("category"),
        "label": each.field("label"),
    }
    return _of_each(ids, "from_id", np.asarray(of_record.take(of_link)), columns)


@lru_cache(maxsize=2)
def _links_type(number: pa.DataType) -> pa.DataType:
    kind = pa.struct([("category", _TEXT), ("typeId", number), ("label", _TEXT)])
    return pa.list_(pa.struct([("toObjectId", number), ("associationTypes", pa.list_(kind))]))


def _of_each(ids: pa.Array, key: str, parents: np.ndarray, columns: dict[str, pa.Array]) -> pa.Table:
    """Rows that belong to records, with the record's id as `key`; a record without any has one row with its id only."""
    table = pa.table({key: ids.take(pa.array(parents)), **columns})
    without = np.ones(len(ids), bool)
    without[parents] = False
    if not without.any():
        return table
    bare = ids.filter(pa.array(without))
    return pa.concat_tables([table, pa.table({key: bare, **{name: pa.nulls(len(bare), _TEXT) for name in columns}})])


def _texts(record: Record, history: Iterable[str]) -> Record:
    """A record with every value as text."""
    own = {name: record.get(name) if name == "archived" else whole_text(record.get(name)) for name in TOP_LEVEL}
    versions = record.get("propertiesWithHistory") or {}
    return own | {
        "properties": {name: whole_text(value) for name, value in record["properties"].items()},
        "propertiesWithHistory": {name: _each(versions.get(name), lambda v: _picked(v, VERSION_KEYS)) for name in history},
    }


def _link_texts(link: Record) -> Record:
    kinds = _each(link["associationTypes"], lambda kind: _picked(kind, ("category", "typeId", "label")))
    return {"toObjectId": whole_text(link["toObjectId"]), "associationTypes": kinds}


def _picked(values: Record, names: Iterable[str]) -> Record:
    return {name: whole_text(values.get(name)) for name in names}


def _each(values: list[Record] | None, change: Callable[[Record], Record]) -> list[Record]:
    return [change(value) for value in values or []]
