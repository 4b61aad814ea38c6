"""From wanted rows to entries, compared with the CRM as it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from cdp_pipelines.crm_integrations.writes import LiveRecord
from cdp_pipelines.privacy import refusing
from cdp_pipelines.privacy.refusing import Refusing
from cdp_pipelines.writeback.consent import carries_the_no, refused_fields
from cdp_pipelines.writeback.deciding import Known, Side, decide
from cdp_pipelines.writeback.fields import FieldTarget, ObjectTarget, Via
from cdp_pipelines.writeback.locating import PARENTS, Located, Sought, locate
from cdp_pipelines.writeback.plan import Change, Entry, Kept, key_of
from cdp_pipelines.writeback.rules import FieldRule, Target
from cdp_pipelines.writeback.sessions import Session
from cdp_pipelines.writeback.values import blank
from cdp_pipelines.writeback.wanted import Wanted

Links = dict[tuple[Via, str], list[str]]
Base = Mapping[tuple[str, str], Mapping[str, Known]]
TWICE = "DUPLICATE"
CONSENT = "CONSENT"


@dataclass
class Found:
    """What planning one connection found. `absent` counts rows that the CRM has no record for and that may not be made there."""

    entries: list[Entry] = field(default_factory=list)
    looked_at: int = 0
    unchanged: int = 0
    absent: int = 0
    nowhere: dict[str, str] = field(default_factory=dict)
    """Our field -> why this CRM has no place for it."""


@dataclass(frozen=True)
class Asked:
    """How to plan one connection: what goes there, what we know, and what a person said.

    `making` has the e-mail addresses of creates that are still open, with their run. `overwrite` has the places (`connection:id`) where
    ours wins a conflict; None is everywhere. `tell_all` gives an entry for what is unchanged, too, with all that is kept. `erased` knows who
    was erased.
    """

    target: Target
    base: Base
    making: Mapping[str, str] = field(default_factory=dict)
    overwrite: frozenset[str] | None = frozenset()
    tell_all: bool = False
    erased: Refusing | None = None


async def plan_connection(session: Session, rows: Sequence[Wanted], asked: Asked) -> Found:
    """The entries for one connection. May raise a CRMError when the CRM cannot be asked."""
    found = Found()
    erased = _erased(session.name, rows, asked.erased)
    allowed = [row for place, row in enumerate(rows) if not row.suppressed and place not in erased]
    objects = await session.objects()
    located = await locate(session, [Sought(row.id, row.record_type, row.email) for row in allowed], asked.target.fields)
    made = _Entries(session, found, objects, asked, await _links(session, objects, allowed))
    for place, row in enumerate(rows):
        if place in erased:
            made.erased(row)
        elif row.suppressed:
            made.refused(row, "SUPPRESSED", "writeback.yml says that this person is not written to")
    gone = asked.erased.listed(session.name, [{"id": place.record and place.record.id} for place in located]) if asked.erased else ()
    for number, (row, place) in enumerate(zip(allowed, located, strict=True)):
        if number in gone:
            made.erased(row)
        else:
            made.add(row, place)
    found.entries = sorted(made.entries, key=lambda e: (e.object, e.action, e.parent, e.id or ""))
    return found


def _erased(connection: str, rows: Sequence[Wanted], listed: Refusing | None) -> set[int]:
    """The places of the rows that are an erased person's, by their values, their address or their record."""
    if listed is None:
        return set()
    # A number alone tells nobody where the record came through the list already: it may have gone to somebody else since.
    told = [
        row.values if not row.id or row.values.keys() & {"first_name", "last_name"} else {"email": row.values.get("email")} for row in rows
    ]
    return listed.listed(
        connection, [{**values, "email": row.email or values.get("email"), "id": row.id} for row, values in zip(rows, told, strict=True)]
    )


async def _links(session: Session, objects: Mapping[str, ObjectTarget], rows: Sequence[Wanted]) -> Links:
    """The ids of the records that have a value of ours, where a field of the CRM holds another record's id."""
    found: Links = {}
    for to in {to for target in objects.values() for to in target.fields.values() if to.via}:
        values = list(dict.fromkeys(str(v).strip() for row in rows if not blank(v := row.values.get(to.ours))))
        if values and to.via:
            for value, records in (await session.writer.find(to.via.object, to.via.field, values, ["Id"])).items():
                found[to.via, value.strip().casefold()] = [record.id for record in records]
    return found


class _Entries:
    """Collects the entries of one connection; no record and no e-mail address twice."""

    def __init__(self, session: Session, found: Found, objects: Mapping[str, ObjectTarget], asked: Asked, links: Links):
        self._links = links
        self._session, self._found, self._objects, self._asked = session, found, objects, asked
        self._by_key: dict[str, Entry] = {}
        self._seen: dict[str, tuple[Change, ...]] = {}

    @property
    def entries(self) -> list[Entry]:
        return list(self._by_key.values())

    def add(self, row: Wanted, place: Located) -> None:
        self._found.looked_at += 1
        if place.code:
            self.refused(row, place.code, place.reason)
        elif place.record is not None and place.object is not None:
            self._existing(row, place, place.object, place.record)
        elif self._asked.target.create:
            self._new(row)
        else:
            self._found.absent += 1

    def refused(self, row: Wanted, code: str, reason: str, *, key: str = "") -> None:
        identity = row.id or f"email:{(row.email or '').strip().lower()}:{row.customer_key}"
        name = self._named(row)
        key = key or key_of(self._session.name, name, identity)
        kind = self._session.connection.kind
        self._put(Entry(key, self._session.name, kind, name, "refused", row.id, row.email, row.customer_key, code=code, reason=reason))

    def erased(self, row: Wanted) -> None:
        """Somebody who was erased: the entry says so, and nothing of whom."""
        nobody = replace(row, id=None, email=None, customer_key=None, values={})
        self.refused(nobody, refusing.CODE, refusing.REASON, key=key_of(self._session.name, refusing.CODE, str(len(self._by_key))))

    def _existing(self, row: Wanted, place: Located, target: ObjectTarget, record: LiveRecord) -> None:
        key = key_of(self._session.name, target.object, record.id)
        changes, kept = self._compare(row, target, record)
        if key in self._seen:
            self._again(row, record.id, key, target, changes)
            return
        self._seen[key] = changes
        conflicts, invalid, refused = ([k for k in kept if k.how == how] for how in ("conflict", "invalid", "consent"))
        shown = kept if self._asked.tell_all else [*conflicts, *invalid, *refused]
        entry = Entry(
            key, self._session.name, self._session.connection.kind, target.object, "update", record.id, row.email, row.customer_key, place.found_by,
            record.version, record.values.get(PARENTS.get(target.object, "")) or "", changes, tuple(shown), followed=place.followed,
        )  # fmt: skip
        if changes:
            self._put(entry)
        elif conflicts:
            self._put(replace(entry, action="conflict", code="CHANGED", reason=_fields(conflicts)))
        elif invalid:
            self._put(replace(entry, action="refused", code="VALUE", reason=_fields(invalid)))
        elif refused:
            self._put(replace(entry, action="refused", code=CONSENT, reason=_fields(refused)))
        else:
            self._found.unchanged += 1
            if self._asked.tell_all:
                self._put(replace(entry, action="unchanged"))

    def _compare(self, row: Wanted, target: ObjectTarget, record: LiveRecord) -> tuple[tuple[Change, ...], list[Kept]]:
        written = self._asked.base.get((target.object, record.id), {})
        refused = refused_fields(row.refusals)
        newer = _newer(row.as_of, record.version)
        over = self._asked.overwrite is None or f"{self._session.name}:{record.id}" in self._asked.overwrite
        changes: list[Change] = []
        kept: list[Kept] = []
        for name, rule in self._asked.target.fields.items():
            if name not in row.values:
                continue
            to = target.fields[name]
            # What was read is the other record's name, and its id is what is compared.
            read = Known(row.read[name]) if name in row.read and not to.via else None
            side = Side(record.values.get(to.to or ""), written.get(name), read)
            value = self._linked(to, row.values[name])
            decided = (
                value
                if isinstance(value, Kept)
                else decide(to, rule, value, side, newer=newer, overwrite=over, refused=refused.get(name, ""))
            )
            self._sort(decided, changes, kept)
        return tuple(changes), kept

    def _sort(self, decided: Change | Kept | None, changes: list[Change], kept: list[Kept]) -> None:
        """To the changes or to what is kept; of two fields of ours that the CRM keeps in one, the first counts."""
        if isinstance(decided, Change):
            before = next((c for c in changes if c.to == decided.to), None)
            if before is None:
                changes.append(decided)
            elif before.new != decided.new:
                why = f"the CRM keeps it in the same field as {before.field}, which comes first"
                kept.append(Kept(decided.field, decided.to, decided.old, decided.new, why))
        elif decided is not None:
            kept.append(decided)
            if decided.how == "nowhere":
                self._found.nowhere[decided.field] = decided.why

    def _again(self, row: Wanted, id_: str, key: str, target: ObjectTarget, changes: tuple[Change, ...]) -> None:
        """The same record once more: nothing to say when both rows want the same of it."""
        if {(c.to, c.new) for c in changes} != {(c.to, c.new) for c in self._seen[key]}:
            reason = "another row wants other values in the same record; make one row of them"
            self.refused(replace(row, id=id_, record_type=target.record_type), TWICE, reason, key=f"{key}.{self._found.looked_at}")

    def _new(self, row: Wanted) -> None:
        name = self._named(row)
        email = (row.email or "").strip().lower()
        key = key_of(self._session.name, name, f"email:{email}")
        if not email:
            self.refused(row, "NO_EMAIL", "a contact without an e-mail address cannot be looked up, so it could be made twice")
        elif email in self._asked.making:
            self.refused(row, "PENDING", f"it is still to be made by run {self._asked.making[email]}; `cdp writeback retry`")
        elif key in self._seen:
            reason = "the e-mail address is there twice (upper and lower case do not count); the first row makes the contact"
            self.refused(row, TWICE, reason, key=f"{key}.{self._found.looked_at}")
        else:
            changes, kept = self._all_of(row, self._objects[name])
            if why := carries_the_no(row.refusals, {c.field: c.new for c in changes}):
                self.refused(row, CONSENT, why)
                return
            self._seen[key] = changes
            entry = Entry(key, self._session.name, self._session.connection.kind, name, "create", None, email, row.customer_key, changes=changes,
                          kept=tuple(k for k in kept if self._asked.tell_all or k.how == "invalid"))  # fmt: skip
            self._put(entry)

    def _all_of(self, row: Wanted, target: ObjectTarget) -> tuple[tuple[Change, ...], list[Kept]]:
        rule = FieldRule(policy="source_wins")
        changes: list[Change] = []
        kept: list[Kept] = []
        for name in self._asked.target.fields:
            if (value := row.values.get(name)) is not None:
                value = self._linked(target.fields[name], value)
                decided = value if isinstance(value, Kept) else decide(target.fields[name], rule, value, Side(None))
                self._sort(decided, changes, kept)
        return tuple(changes), kept

    def _linked(self, to: FieldTarget, value: Any) -> Any:
        """A value of ours, or the id of the one record that has it; kept where there is none, or several."""
        if to.via is None or blank(value):
            return value
        ids = self._links.get((to.via, str(value).strip().casefold()), [])
        if len(ids) == 1:
            return ids[0]
        said = f"this CRM has {len(ids) or 'no'} {to.via.object} records with this {to.via.field}, and {to.to} takes the id of one"
        return Kept(to.ours, to.to, None, str(value), said)

    def _named(self, row: Wanted) -> str:
        """The object that a new record is made in, or that a known one is in."""
        wanted = row.record_type if row.id else self._asked.target.create_as
        return next((name for name, target in self._objects.items() if target.record_type == wanted), next(iter(self._objects)))

    def _put(self, entry: Entry) -> None:
        self._by_key.setdefault(entry.key, entry)


def _fields(kept: Sequence[Kept]) -> str:
    return "; ".join(f"{k.field}: {k.why}" for k in kept)


def _newer(as_of: datetime | None, version: str) -> bool:
    """Whether a row is newer than the record's last change; not when either is unknown."""
    try:
        changed = datetime.fromisoformat(version)
    except ValueError:
        return False
    return as_of is not None and as_of > (changed if changed.tzinfo else changed.replace(tzinfo=UTC))
