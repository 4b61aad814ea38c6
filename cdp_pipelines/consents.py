"""Whether a person may be reached, by channel: the part of the mapping spec that says which fields tell, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field

from cdp_pipelines.pii import Pii
from cdp_pipelines.strict import Name, Strict

Decision = Literal["opted_out", "allowed"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
OPT_OUTS = ("do_not_email", "do_not_call", "marketing_suspended")
"""The fields of a contact by which somebody says no. A write may give it, and never takes it back."""


class Channel(Strict):
    """A way to reach a person. `fields` are not sent to a CRM for somebody who said no to it."""

    opted_out_if: Annotated[tuple[Name, ...], Field(min_length=1)]
    decided_at: Name
    fields: tuple[Name, ...]


class Consents(Strict):
    """The two tables: `evidence`, what each record says, and `table`, what follows for each customer and channel."""

    table: Name
    evidence: Name
    records: Name
    links: Name
    key: Name
    id: Name
    basis: Name
    channels: Annotated[dict[Name, Channel], Field(min_length=1)]

    def check_against(self, fields: Mapping[str, str]) -> None:
        """Raise ValueError when it speaks of a field that the records (name -> type) have not, or of one of another type."""
        wanted = {self.id: "text", self.basis: "text"}
        for channel in self.channels.values():
            wanted |= dict.fromkeys(channel.opted_out_if, "boolean") | {channel.decided_at: "timestamp"}
            wanted |= {name: fields[name] for name in channel.fields if name in fields}
            if unknown := [name for name in channel.fields if name not in fields]:
                raise ValueError(f"consents: {self.records} has no field {unknown[0]!r}")
        for name, kind in wanted.items():
            if fields.get(name) != kind:
                raise ValueError(f"consents: {self.records} has no {kind} field {name!r}")

    def classes(self) -> dict[str, dict[str, Pii]]:
        """The class of personal data of each column of the two tables."""
        shared: dict[str, Pii] = {self.key: "id", "channel": "none", "decision": "none", "decided_at": "none", "legal_basis": "none"}
        record: dict[str, Pii] = {"connection": "none", self.id: "id", "said_by": "none"}
        return {
            self.table: {**shared, **record, "why": "none", "evidence_count": "none", "opted_out_count": "none"},
            self.evidence: {**shared, **record, "source_system": "none", "last_updated": "none"},
        }
