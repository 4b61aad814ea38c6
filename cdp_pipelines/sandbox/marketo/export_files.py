"""The files of bulk extract: how values are written, and the dirt that real ones were seen to have."""

from __future__ import annotations

from typing import Any

import orjson

from cdp_pipelines.sandbox.marketo.activities import Activity
from cdp_pipelines.sandbox.marketo.fields import LEAD_FIELDS, searchable
from cdp_pipelines.sandbox.marketo.options import MarketoOptions

FORMATS = ("CSV", "TSV", "SSV")
# What real files were seen to have in their text, and the fields that get it.
_DIRT = {"nul": "\x00", "u2028": "\u2028", "crlf": "\r\n"}
_DIRTY = {f.name for f in LEAD_FIELDS if f.name and f.type in ("string", "text")} - searchable(LEAD_FIELDS)


def separator(layout: str, options: MarketoOptions) -> str:
    """What stands between the values of a file in this format."""
    return {"CSV": ",", "TSV": "\t"}.get(layout, ";" if options.ssv_separator == "semicolon" else " ")


def dirtied(lead: dict[str, Any], fields: list[str], dirt: frozenset[str]) -> dict[str, Any]:
    """A lead as a file shows it: with dirt, every tenth has it in its first text of those that are asked for."""
    name = next((f for f in fields if f in _DIRTY), None)
    if not dirt or name is None or lead["id"] % 10 != 3:
        return lead
    text = str(lead[name] or "")
    text += "".join(piece for kind, piece in _DIRT.items() if kind in dirt)
    return {**lead, name: Raw(f'"{text[:1]}"{text[1:]}"') if "quotes" in dirt else text}


class Raw(str):
    """A cell that is written as it is."""


def activity_value(activity: Activity, field_name: str) -> Any:
    """What a column of an activities file says; attributes without a value are left out."""
    if field_name != "attributes":
        return activity.get(field_name)
    return orjson.dumps({a["name"]: a["value"] for a in activity["attributes"] if a["value"] not in (None, "")}).decode()


def cell(value: Any, separator: str) -> str:
    """A value as Marketo writes it: nothing is a bare null, which the text "null" cannot be told from."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Raw):
        return value
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in (separator, '"', "\n", "\r")) else text
