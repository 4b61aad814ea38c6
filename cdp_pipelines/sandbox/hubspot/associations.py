"""Links between records, each with one or more association types, readable from both ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cdp_pipelines.sandbox.hubspot.properties import COMPANIES, CONTACTS, DEALS, ObjectType


@dataclass(frozen=True)
class AssociationType:
    """A kind of link as read from one end; `inverse` is the id of the same kind read from the other end. `name` is v3's word for it."""

    type_id: int
    inverse: int
    label: str | None
    name: str
    category: str = "HUBSPOT_DEFINED"


CONTACT_COMPANY = AssociationType(279, 280, None, "contact_to_company_unlabeled")
CONTACT_COMPANY_PRIMARY = AssociationType(1, 2, "Primary", "contact_to_company")
DEAL_CONTACT = AssociationType(3, 4, None, "deal_to_contact")
DEAL_COMPANY = AssociationType(341, 342, None, "deal_to_company_unlabeled")
DEAL_COMPANY_PRIMARY = AssociationType(5, 6, "Primary", "deal_to_company")

# Labels of the portal's own making. HubSpot knows no primary contact of a deal, so portals that need one make such a label.
PRIMARY_CONTACT = "Primary contact"
_LABELS = (
    PRIMARY_CONTACT, "Decision Maker", "Economic Buyer", "Evaluator", "Influencer", "Business User", "Executive Sponsor",
    "Technical Buyer",
)  # fmt: skip
DEAL_CONTACT_LABELS = {
    label: AssociationType(21 + 2 * n, 22 + 2 * n, label, label.lower().replace(" ", "_"), "USER_DEFINED")
    for n, label in enumerate(_LABELS)
}

Types = tuple[AssociationType, ...]


class Links:
    """Links from records of one type to records of another. A pair has one entry, whatever the number of its types."""

    def __init__(self, start: ObjectType, end: ObjectType, types: Types):
        self.start, self.end, self.types = start, end, types
        self._ends: dict[int, dict[int, Types]] = {}
        self._starts: dict[int, dict[int, Types]] = {}

    def add(self, start: int, end: int, types: Types) -> None:
        """Link two records; types come on top of those that the pair already has."""
        known = self._ends.get(start, {}).get(end, ())
        types = tuple(dict.fromkeys((*known, *types)))
        self._ends.setdefault(start, {})[end] = types
        self._starts.setdefault(end, {})[start] = types

    def remove(self, start: int, end: int) -> None:
        """Unlink two records, whether or not they were linked."""
        self._ends.get(start, {}).pop(end, None)
        self._starts.get(end, {}).pop(start, None)

    def of(self, kind: ObjectType, record_id: int) -> dict[int, Types]:
        """The other ends of a record's links, with the types as read from that record."""
        if kind is self.start:
            return self._ends.get(record_id, {})
        return {other: tuple(map(inverse, types)) for other, types in self._starts.get(record_id, {}).items()}

    def others(self, kind: ObjectType, record_id: int) -> Iterable[int]:
        """The other ends alone."""
        return (self._ends if kind is self.start else self._starts).get(record_id, {}).keys()

    def move(self, kind: ObjectType, loser: int, winner: int) -> None:
        """Give all links of one record to another of the same type."""
        for other, types in list((self._ends if kind is self.start else self._starts).get(loser, {}).items()):
            if kind is self.start:
                self.remove(loser, other)
                self.add(winner, other, types)
            else:
                self.remove(other, loser)
                self.add(other, winner, types)

    def labels(self, kind: ObjectType) -> Types:
        """The types that there are, as read from records of this type."""
        return self.types if kind is self.start else tuple(map(inverse, self.types))


def inverse(kind: AssociationType) -> AssociationType:
    """The same kind of link, read from the other end."""
    first, _, rest = kind.name.partition("_to_")
    second, _, suffix = rest.partition("_")
    name = f"{second}_to_{first}" + (f"_{suffix}" if suffix else "") if rest else kind.name
    return AssociationType(kind.inverse, kind.type_id, kind.label, name, kind.category)


def no_links() -> list[Links]:
    """The three kinds of links, empty."""
    return [
        Links(CONTACTS, COMPANIES, (CONTACT_COMPANY_PRIMARY, CONTACT_COMPANY)),
        Links(DEALS, CONTACTS, (DEAL_CONTACT, *DEAL_CONTACT_LABELS.values())),
        Links(DEALS, COMPANIES, (DEAL_COMPANY_PRIMARY, DEAL_COMPANY)),
    ]
