"""The sandbox's own page: what runs where, how many records there are, and what changed lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox.hosting import SandboxAddresses

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;"
    "vertical-align:top}code{background:#f3f3f3;padding:0 .25rem}"
)
_SHOWN_CHANGES = 40


def render(
    health: Mapping[str, Any], addresses: SandboxAddresses, changes: Sequence[Mapping[str, Any]], requests: Mapping[Kind, int]
) -> str:
    """The page as HTML; `changes` oldest first, `requests` served by CRM since the start."""
    crms = "".join(
        f"<tr><td>{kind.title()}</td><td><code>{addresses.url(kind)}</code></td>"
        f"<td>{escape(', '.join(f'{count:,} {name}' for name, count in health['counts'][kind].items()))}</td><td>{requests[kind]:,}</td></tr>"
        for kind in KINDS
    )
    recent = "".join(
        f"<tr><td>{escape(change['at'][:19])}</td><td>{escape(change['crm'])}</td><td>{escape(change['op'])}</td>"
        f"<td>{escape(change['id'])}</td><td>{escape(', '.join(change.get('fields', ())))}</td></tr>"
        for change in changes[: -_SHOWN_CHANGES - 1 : -1]
    )
    shown = recent or '<tr><td colspan="5">None yet: <code>cdp sandbox change</code></td></tr>'
    links = " · ".join(f'<a href="/sandbox/{name}">{name}</a>' for name in ("health", "counts", "truth", "log", "requests"))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>CDP sandbox</title><style>{_STYLE}</style><h1>CDP sandbox</h1>'
        f"<p>One world of {health['people']:,} people (seed {health['seed']}), seen through three CRMs. {links}</p>"
        f"<table><tr><th>CRM<th>Address<th>Live records<th>Requests</tr>{crms}</table>"
        f"<h2>Recent changes</h2><table><tr><th>At (UTC)<th>CRM<th>Change<th>Record<th>Fields</tr>{shown}</table></html>"
    )
