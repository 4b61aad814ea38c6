"""Who was erased is not written to a CRM either: which of some people that are to be written are on the suppression list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from cdp_pipelines.config import Settings
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.suppression import Suppression, SuppressionList

CODE = "ERASED"
REASON = (
    "this person was erased and is on the suppression list, so nothing is written of them; "
    "`cdp privacy unsuppress` with a reason takes a person off it"
)
# Our fields of a contact, as the columns by which the list knows people.
_COLUMNS = {
    "id": "id", "email": "email", "phone": "phone", "mobile_phone": "mobilephone", "first_name": "firstname", "last_name": "lastname",
    "country": "country",
}  # fmt: skip


class Refusing:
    """The list, asked by what is to be written. It learns nothing from that: only what the CRMs have teaches it."""

    def __init__(self, hasher: Hasher, listed: Mapping[str, str]):
        self._hasher, self._listed = hasher, listed

    @classmethod
    def of(cls, settings: Settings) -> Refusing | None:
        """The list of these settings; None where nobody is on it."""
        listed = SuppressionList(settings).rows()
        return cls(Hasher.of_settings(settings), listed) if listed else None

    def listed(self, connection: str, people: Sequence[Mapping[str, Any]]) -> set[int]:
        """The places of those who are on the list, by the same rules as rows that come from a CRM (docs/security.md).

        Each has our fields of a contact, and `id` for the record that it would be written to, if it has one.
        """
        if not people:
            return set()
        columns = {theirs: [_text(one.get(ours)) for one in people] for ours, theirs in _COLUMNS.items()}
        columns["_merged_into"] = [None] * len(people)
        rows = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        judged = Suppression(self._hasher, dict(self._listed)).judge("hubspot", "contacts", connection, rows)
        return {place for place, stays in enumerate(judged.keep) if not stays}

    def is_listed(self, connections: Iterable[str], *people: Mapping[str, Any]) -> bool:
        """Whether any of some descriptions is a listed person's, in any of these connections."""
        return any(self.listed(connection, people) for connection in connections)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
