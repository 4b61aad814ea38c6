"""Links between records, each with one or more association types, readable from both ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from cdp_pipelines.sandbox.hubspot.properties import COMPANIES, CONTACTS, DEALS, TYPES, ObjectType


@dataclass(frozen=True)
class AssociationType:
    """A kind of link as read from one end; `inverse` is the id of the same kind read from the other end. `name` is v3's word for it."""

    type_id: int
    inverse: int
    label: str | None
    name: str
    category: str = "HUBSPOT_DEFINED"
    inverse_label: str | None = None


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
World = Callable[[int], dict[int, Types]]
_FIRST_LABEL = 101


class Links:
    """Links from records of one type to records of another. A pair has one entry, whatever the number of its types."""

    def __init__(self, start: ObjectType, end: ObjectType, types: Types):
        self.start, self.end, self.types = start, end, types
        self._ends: dict[int, dict[int, Types]] = {}
        self._starts: dict[int, dict[int, Types]] = {}
        # The world's, for records whose links nobody has changed yet.
        self._world: tuple[World, World] = (_nobody, _nobody)
        self._renewals: list[Callable[[Types], Types]] = []

    def begin_with(self, ends: World, starts: World) -> None:
        """Let two functions tell the links that there are from the beginning: ids to the other ends, types as read from the start."""
        self._world = (ends, starts)

    def _seen(self, at_start: bool, record_id: int) -> dict[int, Types]:
        """A record's links, to be read."""
        kept = (self._ends if at_start else self._starts).get(record_id)
        if kept is not None:
            return kept
        found = self._world[not at_start](record_id)
        for renewed in self._renewals:
            found = {other: renewed(types) for other, types in found.items()}
        return found

    def _kept(self, at_start: bool, record_id: int) -> dict[int, Types]:
        """A record's links, to be changed."""
        side = self._ends if at_start else self._starts
        if record_id not in side:
            side[record_id] = self._seen(at_start, record_id)
        return side[record_id]

    def define(self, label: str, name: str, inverse_label: str | None = None) -> AssociationType:
        """A new label of the portal's own making."""
        number = max([_FIRST_LABEL - 2, *(t.type_id for t in self.types if t.category == "USER_DEFINED")]) + 2
        self.types += (AssociationType(number, number + 1, label, name, "USER_DEFINED", inverse_label),)
        return self.types[-1]

    def redefine(self, old: AssociationType, new: AssociationType | None) -> None:
        """Change a label everywhere, or with None remove it."""

        def renewed(types: Types) -> Types:
            return tuple(t for kind in types for t in ([new] if kind == old else [kind]) if t is not None)

        self.types = renewed(self.types)
        for side in (self._ends, self._starts):
            for others in side.values():
                for other, types in others.items():
                    if old in types:
                        others[other] = renewed(types)
        self._renewals.append(renewed)

    def add(self, start: int, end: int, types: Types) -> None:
        """Link two records; types come on top of those that the pair already has."""
        known = self._kept(True, start).get(end, ())
        types = tuple(dict.fromkeys((*known, *types)))
        self._kept(True, start)[end] = types
        self._kept(False, end)[start] = types

    def take(self, start: int, end: int, types: Types) -> None:
        """Take types from a pair; without any left it is no longer linked."""
        left = tuple(t for t in self._seen(True, start).get(end, ()) if t not in types)
        self.remove(start, end)
        if left:
            self.add(start, end, left)

    def remove(self, start: int, end: int) -> None:
        """Unlink two records, whether or not they were linked."""
        self._kept(True, start).pop(end, None)
        self._kept(False, end).pop(start, None)

    def of(self, kind: ObjectType, record_id: int) -> dict[int, Types]:
        """The other ends of a record's links, with the types as read from that record."""
        if kind is self.start:
            return self._seen(True, record_id)
        return {other: tuple(map(inverse, types)) for other, types in self._seen(False, record_id).items()}

    def others(self, kind: ObjectType, record_id: int) -> Iterable[int]:
        """The other ends alone."""
        return self._seen(kind is self.start, record_id).keys()

    def move(self, kind: ObjectType, loser: int, winner: int) -> None:
        """Give all links of one record to another of the same type."""
        for other, types in list(self._seen(kind is self.start, loser).items()):
            if kind is self.start:
                self.remove(loser, other)
                self.add(winner, other, types)
            else:
                self.remove(other, loser)
                self.add(other, winner, types)

    def labels(self, kind: ObjectType) -> Types:
        """The types that there are, as read from records of this type."""
        return self.types if kind is self.start else tuple(map(inverse, self.types))


def _nobody(record_id: int) -> dict[int, Types]:
    return {}


@cache
def inverse(kind: AssociationType) -> AssociationType:
    """The same kind of link, read from the other end."""
    first, _, rest = kind.name.partition("_to_")
    second, _, suffix = rest.partition("_")
    name = f"{second}_to_{first}" + (f"_{suffix}" if suffix else "") if rest else kind.name
    back = kind.inverse_label or kind.label
    return AssociationType(kind.inverse, kind.type_id, back, name, kind.category, kind.label if kind.inverse_label else None)


def unlabelled(links: Links) -> AssociationType:
    """The type that every pair has."""
    return next(t for t in links.types if t.label is None)


def primary(links: Links) -> AssociationType | None:
    """The type of which a record at the start has one pair at most."""
    return next((t for t in links.types if t.label == "Primary" and t.category == "HUBSPOT_DEFINED"), None)


# Links that a portal has besides those of contacts, companies and deals: from, to, type id, type id the other way.
_OTHERS = (
    ("contact", "ticket", 15, 16), ("note", "contact", 202, 201), ("note", "company", 190, 189), ("note", "deal", 214, 213),
    ("task", "contact", 204, 203), ("task", "company", 192, 191), ("task", "deal", 216, 215),
)  # fmt: skip


def no_links() -> list[Links]:
    """All kinds of links, empty; the first three are contact to company, deal to contact, deal to company."""
    kinds = {t.singular: t for t in TYPES}
    return [
        Links(CONTACTS, COMPANIES, (CONTACT_COMPANY_PRIMARY, CONTACT_COMPANY)),
        Links(DEALS, CONTACTS, (DEAL_CONTACT, *DEAL_CONTACT_LABELS.values())),
        Links(DEALS, COMPANIES, (DEAL_COMPANY_PRIMARY, DEAL_COMPANY)),
        *(Links(kinds[a], kinds[b], (AssociationType(there, back, None, f"{a}_to_{b}"),)) for a, b, there, back in _OTHERS),
    ]
