"""Everyday changes in the CRMs, in seeded batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox import dirt, names
from cdp_pipelines.sandbox.store import CrmStore, HasCustomFields, KeepsCompanies, Purges

Change = dict[str, Any]
Pairs = Mapping[Kind, Sequence[tuple[str, str]]]
_CLEARABLE = ("phone", "title", "lead_score")


@dataclass
class _Day:
    """What the operations of one batch share."""

    stores: dict[Kind, CrmStore]
    rng: Random
    at: datetime
    count: int
    duplicates: Pairs | None
    done: list[Change] = field(default_factory=list)
    _people: dict[Kind, list[str]] = field(default_factory=dict)

    def people(self, store: CrmStore) -> list[str]:
        """The live people of a CRM. Asked for once: a store makes every id anew, which takes a while in a large world."""
        if store.kind not in self._people:
            self._people[store.kind] = store.live_people()
        return self._people[store.kind]

    def note(self, op: str, store: CrmStore, record: str, **more: Any) -> None:
        self.done.append({"op": op, "crm": store.kind, "id": record, **more})
        people = self.people(store)
        gone = {"delete": record, "purge": record, "merge": more.get("loser"), "convert": record}.get(op)
        come = {"create": record, "restore": record, "convert": more.get("contact")}.get(op)
        if gone is not None and gone in people:
            people.remove(gone)
        if come is not None and come not in people:
            people.append(come)


def apply_changes(
    stores: dict[Kind, CrmStore], seed: int, at: datetime, count: int = 60, duplicates: Pairs | None = None
) -> list[dict[str, Any]]:
    """Do `count` everyday changes over the CRMs, all at the moment `at`; the same seed, moment and state give the same changes.

    `duplicates` are pairs of records of one person (ids, by CRM) from which merges are taken, so that the truth stays true; without it
    any two records are merged. Gives what was done in order: `op`, `crm`, `id` and, by operation, `fields`, `person` (a newcomer's key in
    the truth), `contact` (what a lead became), `loser`, `linked`, `company`, `was` (a field's old name). Fewer than `count` when too little is left to change.
    """
    day = _Day({kind: stores[kind] for kind in KINDS if kind in stores}, Random(f"{seed}:{at.isoformat()}"), at, count, duplicates)
    operations, weights = zip(*_OPERATIONS, strict=True)
    for _ in range(count * 5):
        if len(day.done) >= count or not day.stores:
            break
        day.rng.choices(operations, weights)[0](day, day.rng.choice(list(day.stores.values())))
    return [_json(change) for change in day.done]


def _json(change: Change) -> Change:
    fields = {k: v if v is None or isinstance(v, int | str) else str(v) for k, v in change.get("fields", {}).items()}
    return {**change, "fields": fields} if fields else change


def _arrive(day: _Day, store: CrmStore) -> None:
    """A new person, in this CRM and often in others on the same day."""
    first, last = day.rng.choice(names.FIRST_NAMES["US"]), day.rng.choice(names.LAST_NAMES["US"])
    address = f"{names.ascii_letters(first)}.{names.ascii_letters(last)}{day.rng.randrange(10**6)}@{day.rng.choice(names.MAIL_PROVIDERS)}"
    digits = f"{day.rng.choice(('212', '312', '415', '617'))}55501{day.rng.randrange(100):02d}"
    person = f"{day.at.isoformat()}#{len(day.done)}"
    others = [other for other in day.stores.values() if other is not store and day.rng.random() < 0.35]
    for known in [store, *others][: day.count - len(day.done)]:
        fields = {
            "first_name": first, "last_name": last, "email": dirt.email(day.rng, address, known.kind).strip(),
            "phone": dirt.phone(day.rng, digits, "US") if day.rng.random() < 0.6 else None, "title": names.title(day.rng),
            "company": f"{day.rng.choice(names.COMPANY_HEADS)}side {day.rng.choice(names.COMPANY_TRADES)}", "lead_score": day.rng.randrange(100),
        }  # fmt: skip
        day.note("create", known, known.create_person(fields, day.at), fields=fields, person=person)


def _edit(day: _Day, store: CrmStore) -> None:
    if (person := _one(day, day.people(store))) is None:
        return
    new: dict[str, Callable[[], Any]] = {
        "lead_score": lambda: day.rng.randrange(101),
        "title": lambda: names.title(day.rng),
        "phone": lambda: dirt.phone(day.rng, f"{day.rng.choice(('206', '303', '512'))}55501{day.rng.randrange(100):02d}", "US"),
        "email": lambda: f"moved{day.rng.randrange(10**9)}@{day.rng.choice(names.MAIL_PROVIDERS)}",
        "last_name": lambda: day.rng.choice(names.LAST_NAMES["US"]),
        "first_name": lambda: day.rng.choice(names.FIRST_NAMES["US"]),
    }
    chosen = day.rng.choices(list(new), (8, 3, 3, 1, 1, 1), k=day.rng.randint(1, 3))
    fields = {name: new[name]() for name in dict.fromkeys(chosen)}
    store.edit_person(person, fields, day.at)
    day.note("edit", store, person, fields=fields)


def _clear(day: _Day, store: CrmStore) -> None:
    if (person := _one(day, day.people(store))) is not None:
        fields = {day.rng.choice(_CLEARABLE): None}
        store.edit_person(person, fields, day.at)
        day.note("edit", store, person, fields=fields)


def _delete(day: _Day, store: CrmStore) -> None:
    if (person := _one(day, day.people(store))) is not None:
        store.delete_person(person, day.at)
        day.note("delete", store, person)


def _restore(day: _Day, store: CrmStore) -> None:
    if (person := _one(day, store.deleted_people())) is not None:
        store.restore_person(person, day.at)
        day.note("restore", store, person)


def _purge(day: _Day, store: CrmStore) -> None:
    if isinstance(store, Purges) and (person := _one(day, store.purgeable_people())) is not None:
        store.purge_record(person, day.at)
        day.note("purge", store, person)


def _merge(day: _Day, store: CrmStore) -> None:
    people = day.people(store)
    if day.duplicates is not None:
        live = set(people)
        pair = _one(day, [pair for pair in day.duplicates.get(store.kind, ()) if live.issuperset(pair)])
    else:
        winner, loser = _one(day, people), _one(day, people)
        pair = (winner, loser) if winner is not None and loser is not None and winner != loser else None
    # Salesforce merges leads with leads and contacts with contacts; an id's first three characters are its object.
    if pair is None or (store.kind == "salesforce" and pair[0][:3] != pair[1][:3]):
        return
    store.merge_people(*pair, day.at)
    day.note("merge", store, pair[0], loser=pair[1])


def _convert(day: _Day, store: CrmStore) -> None:
    # Only Salesforce converts leads; a few tries, since the person drawn may be a contact.
    store = day.stores.get("salesforce", store)
    people = day.people(store)
    for person in day.rng.sample(people, min(len(people), 4)):
        if (contact := store.convert_person(person, day.at)) is not None:
            day.note("convert", store, person, contact=contact)
            return


def _new_deal(day: _Day, store: CrmStore) -> None:
    people = _linkable(day, store)
    linked = day.rng.sample(people, min(len(people), day.rng.choices((0, 1, 2, 3), (15, 50, 25, 10))[0]))
    fields = {
        "name": f"New business {day.rng.randrange(10**6)}",
        "stage": day.rng.randrange(7),
        "amount": _amount(day),
        "close_date": _close(day),
    }
    day.note("create_deal", store, store.create_deal(fields, linked, day.at), fields=fields, linked=linked)


def _edit_deal(day: _Day, store: CrmStore) -> None:
    if (deal := _one(day, store.live_deals())) is None:
        return
    name = day.rng.choice(("stage", "stage", "amount", "close_date"))
    fields = {name: {"stage": lambda: day.rng.randrange(7), "amount": lambda: _amount(day), "close_date": lambda: _close(day)}[name]()}
    store.edit_deal(deal, fields, day.at)
    day.note("edit_deal", store, deal, fields=fields)


def _delete_deal(day: _Day, store: CrmStore) -> None:
    if (deal := _one(day, store.live_deals())) is not None:
        store.delete_deal(deal, day.at)
        day.note("delete_deal", store, deal)


def _link(day: _Day, store: CrmStore) -> None:
    deal, person = _one(day, store.live_deals()), _one(day, _linkable(day, store))
    if deal is not None and person is not None and person not in store.deal_people(deal):
        store.link(deal, person, day.at)
        day.note("link", store, deal, linked=[person])


def _unlink(day: _Day, store: CrmStore) -> None:
    deal = _one(day, store.live_deals())
    person = _one(day, sorted(store.deal_people(deal))) if deal is not None else None
    if deal is not None and person is not None:
        store.unlink(deal, person, day.at)
        day.note("unlink", store, deal, linked=[person])


def _edit_company(day: _Day, store: CrmStore) -> None:
    """Also the way to change what a formula field of many people says, without a change to any of them."""
    if not isinstance(store, KeepsCompanies) or (company := _one(day, store.live_companies())) is None:
        return
    new: dict[str, Callable[[], Any]] = {
        "region": lambda: day.rng.choice(("EMEA", "AMER", "APAC")),
        "industry": lambda: day.rng.choice(names.INDUSTRIES),
        "phone": lambda: dirt.phone(day.rng, f"20255501{day.rng.randrange(100):02d}", "US"),
    }
    fields = {name: new[name]() for name in dict.fromkeys(day.rng.choices(list(new), k=2))}
    if done := store.edit_company(company, fields, day.at):
        day.note("edit_company", store, company, fields=done)


def _move(day: _Day, store: CrmStore) -> None:
    if not isinstance(store, KeepsCompanies):
        return
    company, person = _one(day, store.live_companies()), _one(day, _linkable(day, store))
    if company is not None and person is not None and store.move_person(person, company, day.at):
        day.note("move", store, person, company=company)


def _new_field(day: _Day, store: CrmStore) -> None:
    if isinstance(store, HasCustomFields):
        day.note("add_field", store, store.add_field_for_people(day.rng.randrange(10**6), day.at))


def _rename_field(day: _Day, store: CrmStore) -> None:
    """Only fields that changes made: whoever reads the others counts on their names."""
    if isinstance(store, HasCustomFields) and (field := _one(day, store.added_fields())) is not None:
        day.note("rename_field", store, store.rename_field_for_people(field, day.rng.randrange(10**6), day.at), was=field)


_OPERATIONS: tuple[tuple[Callable[[_Day, CrmStore], None], int], ...] = (
    (_edit, 30), (_arrive, 8), (_clear, 6), (_delete, 5), (_restore, 4), (_merge, 5), (_convert, 8), (_new_deal, 6), (_edit_deal, 14), (_delete_deal, 3),
    (_link, 6), (_unlink, 5), (_edit_company, 4), (_move, 4), (_new_field, 1), (_rename_field, 1), (_purge, 2),
)  # fmt: skip


def _one(day: _Day, items: Sequence[Any]) -> Any:
    """One of the items; None when there are none."""
    return items[day.rng.randrange(len(items))] if items else None


def _linkable(day: _Day, store: CrmStore) -> list[str]:
    """People who can be part of a deal: in Salesforce contacts (003) only."""
    people = day.people(store)
    return [person for person in people if person.startswith("003")] if store.kind == "salesforce" else people


def _amount(day: _Day) -> Decimal | None:
    return None if day.rng.random() < 0.1 else Decimal(day.rng.randrange(50_000_00)).scaleb(-2)


def _close(day: _Day) -> date:
    return (day.at + timedelta(days=day.rng.randint(-10, 120))).date()
