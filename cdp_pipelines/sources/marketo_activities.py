"""Marketo activities in one shape. Bulk files and the REST API write the same activity differently; raw rows must not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines.crm_integrations.marketo_merges import DELETE, MERGE
from cdp_pipelines.sources.columns import as_text

ADD_TO_DEAL, REMOVE_FROM_DEAL, UPDATE_DEAL = 34, 35, 36
# They tell of what no filter of the API shows: merges, opportunity links and deletions.
ALWAYS = (MERGE, ADD_TO_DEAL, REMOVE_FROM_DEAL, UPDATE_DEAL, DELETE)
NEW_LEAD, CHANGE_VALUE = 12, 13
# The API's `id` is left out: it may be missing and is not unique.
COLUMNS = (
    "marketoGUID", "leadId", "activityDate", "activityTypeId", "campaignId", "primaryAttributeValueId", "primaryAttributeValue", "attributes",
)  # fmt: skip


def from_rest(row: Mapping[str, Any]) -> dict[str, Any]:
    """An activity of `activities.json` as a raw row; `attributes` is a JSON object of texts, empty ones left out, names in order."""
    given = row.get("attributes") or ()
    named = given if isinstance(given, Mapping) else {a.get("name") or a.get("apiName"): a.get("value") for a in given}
    return {name: row.get(name) for name in COLUMNS[:-1]} | {"attributes": _attributes(named)}


def from_bulk(table: pa.Table) -> pa.Table:
    """A table of a bulk file as raw rows."""
    kept = table.select([name for name in COLUMNS if name in table.column_names])
    # Older files write the zone as +0000.
    times = pc.call_function("replace_substring", [kept["activityDate"]], pc.ReplaceSubstringOptions("+0000", "Z"))
    kept = kept.set_column(kept.column_names.index("activityDate"), "activityDate", times)
    if "attributes" in kept.column_names:
        # Many activities have the same attributes: each text is read once.
        coded = kept["attributes"].combine_chunks().dictionary_encode()
        texts = pa.array(map(_canonical, coded.dictionary.to_pylist()), pa.string())
        attributes = pc.call_function("coalesce", [texts.take(coded.indices), pa.scalar("{}")])
        kept = kept.set_column(kept.column_names.index("attributes"), "attributes", attributes)
    return kept


def happened(row: Mapping[str, Any]) -> datetime:
    """When an activity happened."""
    moment = datetime.fromisoformat(row["activityDate"])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def in_chunks(types: Iterable[int], size: int) -> list[list[int]]:
    """Activity types in groups that one call may ask for."""
    ordered = sorted(set(types))
    return [ordered[at : at + size] for at in range(0, len(ordered), size)]


def _canonical(text: str) -> str:
    """A bulk file's attributes as `from_rest` writes them."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return _attributes({"unreadable": text})
    if isinstance(found, dict) and all(type(value) is str and value for value in found.values()):
        return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()
    # Numbers stay as they are written.
    found = json.loads(text, parse_float=str)
    return _attributes(found if isinstance(found, dict) else {a.get("name"): a.get("value") for a in found if isinstance(a, dict)})


def _attributes(named: Mapping[Any, Any]) -> str:
    texts = {str(name): as_text(value) for name, value in named.items() if value not in (None, "")}
    return orjson.dumps(texts, option=orjson.OPT_SORT_KEYS).decode()
