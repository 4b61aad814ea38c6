"""The certificate of an erasure: what was asked, taken from where, and looked for afterwards; as JSON and as a page. It names nobody."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from cdp_pipelines.audit import keys
from cdp_pipelines.config import Settings
from cdp_pipelines.private_files import write_private

_LIMITS = (
    "Backups and copies outside the data directory are not reached.",
    "Names in free text of other records (the title of a deal, say) are not recognised.",
    "Blocks that files no longer use may stay on a disk until they are written over; keep the data on an encrypted volume.",
)
_NOT_CHANGED = "The CRMs themselves are not changed; the suppression list keeps what they still have from coming back."
_CHANGED = "What a CRM has in its recycle bin, in its own backups, or handed to others is not reached."


def limits_of(*, propagated: bool) -> tuple[str, ...]:
    """What an erasure does not do."""
    return (_CHANGED if propagated else _NOT_CHANGED, *_LIMITS)


@dataclass(frozen=True)
class Certificate:
    """One erasure. `subjects` are pseudonyms, as in the audit log; `records` counts by connection, `removed` by place; `found` is what is left.

    `shared` counts values that other people's records have too, which were therefore not looked for. `in_crms` counts what became
    of the records in the CRMs, by connection, object, outcome and code; None where they were not to be changed.
    """

    id: str
    source: str
    asked_at: str
    asked_by: str
    reference: str
    made_at: str
    subjects: list[str]
    records: dict[str, int]
    removed: dict[str, dict[str, int]]
    suppressed: int
    payloads_destroyed: int
    files_searched: int
    bytes_searched: int
    values_searched: dict[str, int]
    found: dict[str, list[str]]
    shared: dict[str, int]
    limits: tuple[str, ...]
    in_crms: list[dict[str, Any]] | None = None

    @property
    def result(self) -> str:
        """`complete`, or `incomplete` where a value was found after all, or a CRM still has the person."""
        return "incomplete" if self.found or self.left_in_crms else "complete"

    @property
    def left_in_crms(self) -> list[dict[str, Any]]:
        """What the CRMs did not delete."""
        return [one for one in self.in_crms or () if one["outcome"] in ("refused", "open")]


def folder_of(settings: Settings) -> Path:
    """Where certificates are kept."""
    return settings.privacy_dir / "certificates"


def keep(settings: Settings, certificate: Certificate) -> str:
    """Write both files, readable by their owner alone; gives the SHA-256 of the JSON, which the audit log has too."""
    said = orjson.dumps({"result": certificate.result, **asdict(certificate)}, option=orjson.OPT_INDENT_2)
    mac = keys.load(settings).mac("certificate", said)
    signed = orjson.dumps({"mac": mac, "certificate": orjson.Fragment(said)}, option=orjson.OPT_INDENT_2)
    digest = hashlib.sha256(signed).hexdigest()
    for suffix, content in ((".json", signed), (".html", _page(certificate, digest).encode())):
        write_private(folder_of(settings) / f"{certificate.id}{suffix}", content)
    return digest


def _page(c: Certificate, digest: str) -> str:
    removed = [(place, what, f"{n:,}") for place, counts in c.removed.items() for what, n in counts.items()]
    values = ", ".join(f"{n} of kind {kind}" for kind, n in c.values_searched.items()) or "none"
    shared = ", ".join(f"{n} of kind {kind}" for kind, n in c.shared.items())
    verdict = (
        "No value of the person is left in the data directory."
        if not c.found and not c.left_in_crms
        else "Something is left, see below: remove it and erase once more."
    )
    parts = [
        f"<h1>Erasure {_text(c.id)}: {c.result}</h1><p>{verdict}</p>",
        _table(
            ("", ""),
            [
                ("asked", f"{c.asked_at} by {c.asked_by} ({c.source})"), ("reference", c.reference or "none"), ("done", c.made_at),
                ("records", ", ".join(f"{n} in {name}" for name, n in c.records.items()) or "none were held"),
                ("on the suppression list", f"{c.suppressed} keyed hashes"), ("audit payloads made unreadable", str(c.payloads_destroyed)),
                ("searched", f"{c.files_searched:,} files, {c.bytes_searched:,} bytes, for values: {values}"),
                ("not searched for", f"other people's too: {shared}" if shared else "nothing"), ("SHA-256 of the JSON", digest),
            ],
        ),
        "<h2>Taken from</h2>", _table(("place", "what", "rows, entries or files"), removed),
        *(["<h2>Left</h2>", _table(("where", "kinds"), [(place, ", ".join(kinds)) for place, kinds in c.found.items()])] if c.found else []),
        *(["<h2>In the CRMs</h2>", _table(("connection", "object", "outcome", "code", "records"), _in_crms(c.in_crms))] if c.in_crms else []),
        "<h2>What it does not say</h2><ul>" + "".join(f"<li>{_text(one)}</li>" for one in c.limits) + "</ul>",
        f"<p>Pseudonyms in the audit log: {_text(', '.join(c.subjects))}</p>",
    ]  # fmt: skip
    style = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}td,th{padding:.2rem 1rem .2rem 0;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>Erasure {_text(c.id)}</title><style>{style}</style>{''.join(parts)}</html>\n"


def _in_crms(counts: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [tuple(str(one[name]) for name in ("connection", "object", "outcome", "code", "count")) for one in counts]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    return (
        f"<table><tr>{titles}</tr>{''.join('<tr>' + ''.join(f'<td>{_text(cell)}</td>' for cell in row) + '</tr>' for row in rows)}</table>"
    )


def _text(value: str) -> str:
    return html.escape(value)
