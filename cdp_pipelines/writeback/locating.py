"""Which live record a wanted row is about: by id, following merges and conversions, or by e-mail address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cdp_pipelines.crm_integrations.writes import LiveRecord
from cdp_pipelines.writeback.fields import ObjectTarget
from cdp_pipelines.writeback.sessions import Session
from cdp_pipelines.writeback.values import blank

# A chain of merges is followed so far; the vendors' own are seldom longer than two.
MOST_MOVES = 6
# What Salesforce locks together with a record; sorted by it, two batches do not wait for each other (jsforce#1018).
PARENTS = {"Contact": "AccountId"}


@dataclass(frozen=True)
class Located:
    """The record, or why there is none to write to (`code`, `reason`). Neither means that the CRM has none."""

    object: ObjectTarget | None = None
    record: LiveRecord | None = None
    found_by: str = ""
    followed: str = ""
    code: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Sought:
    """What is known of a record that is looked for: its id and whether it is a contact or a lead; else its e-mail address."""

    id: str | None = None
    record_type: str | None = None
    email: str | None = None


async def locate(session: Session, sought: Sequence[Sought], ours: Iterable[str]) -> list[Located]:
    """For each of `sought`, where it is now, with the values of these fields of ours. May raise a CRMError."""
    objects = await session.objects()
    fields = list(ours)
    found: list[Located] = [Located()] * len(sought)
    with_id = [i for i, one in enumerate(sought) if one.id]
    for i, located in (await _by_id(session, objects, fields, {i: sought[i] for i in with_id})).items():
        found[i] = located
    emails = {i: one.email.strip().lower() for i, one in enumerate(sought) if not one.id and one.email and not blank(one.email)}
    for i, located in (await _by_email(session, objects, fields, emails)).items():
        found[i] = located
    return found


def read_fields(target: ObjectTarget, ours: Iterable[str]) -> list[str]:
    """The CRM's fields to read of a record: these of ours, its e-mail address, and its parent."""
    parent = PARENTS.get(target.object)
    return list(dict.fromkeys([*target.vendor_fields(ours), target.email, *([parent] if parent else [])]))


async def _by_id(
    session: Session, objects: Mapping[str, ObjectTarget], ours: list[str], sought: Mapping[int, Sought]
) -> dict[int, Located]:
    found: dict[int, Located] = {}
    where = {i: (one.id or "", _objects_for(objects, one)) for i, one in sought.items()}
    first = {i: one_id for i, (one_id, _) in where.items()}
    for _ in range(MOST_MOVES):
        records = await _read(session, objects, ours, where)
        following: dict[int, tuple[str, list[str]]] = {}
        for i, (one_id, names) in where.items():
            hit = next(((name, records[name][one_id]) for name in names if one_id in records[name]), None)
            if hit is None:
                found[i] = Located(code="GONE", reason="the CRM does not know this record any more")
                continue
            name, record = hit
            followed = first[i] if one_id != first[i] else ""
            if record.state == "live":
                followed = first[i] if record.id != first[i] else ""
                found[i] = Located(objects[name], record, "id", followed)
            elif record.state == "deleted" or not record.moved_to:
                found[i] = Located(code="DELETED" if record.state == "deleted" else "MERGED", reason=_gone(record))
            else:
                contact = next(iter(objects))  # a lead is converted to the first object: contacts
                following[i] = (record.moved_to, [contact if record.state == "converted" else name])
        if not following:
            return found
        where = following
    return found | {i: Located(code="MERGED", reason="it was merged too many times to follow") for i in where}


async def _read(
    session: Session, objects: Mapping[str, ObjectTarget], ours: list[str], where: Mapping[int, tuple[str, list[str]]]
) -> dict[str, dict[str, LiveRecord]]:
    records: dict[str, dict[str, LiveRecord]] = {}
    for name, target in objects.items():
        ids = list(dict.fromkeys(one_id for one_id, names in where.values() if name in names))
        records[name] = await session.writer.read(name, ids, read_fields(target, ours)) if ids else {}
    return records


def _objects_for(objects: Mapping[str, ObjectTarget], one: Sought) -> list[str]:
    """Where to look for an id: the object with records of this type, or all of those whose ids look so."""
    if names := [name for name, target in objects.items() if target.record_type == one.record_type]:
        return names
    prefixes = {"Contact": "003", "Lead": "00Q"}
    if names := [name for name in objects if name in prefixes and (one.id or "").startswith(prefixes[name])]:
        return names
    return list(objects)


async def _by_email(
    session: Session, objects: Mapping[str, ObjectTarget], ours: list[str], emails: Mapping[int, str]
) -> dict[int, Located]:
    if not emails:
        return {}
    hits: dict[str, list[tuple[str, LiveRecord]]] = {email: [] for email in emails.values()}
    for name, target in objects.items():
        answer = await session.writer.find(name, target.email, list(hits), read_fields(target, ours))
        for email, records in answer.items():
            hits[email.strip().lower()] += [(name, record) for record in records]
    found: dict[int, Located] = {}
    moved: dict[int, Sought] = {}
    known: dict[int, str] = {}
    for i, email in emails.items():
        live = [(name, record) for name, record in hits[email] if record.state == "live"]
        best = [hit for hit in live if hit[0] == live[0][0]]  # a contact comes before a lead of the same person
        if len(best) > 1:
            ids = ", ".join(sorted(record.id for _, record in best)[:5])
            found[i] = Located(
                code="SEVERAL", reason=f"{len(best)} records of this CRM have the e-mail address ({ids}); merge them, or name one by its id"
            )
        elif best:
            found[i] = Located(objects[best[0][0]], best[0][1], "e-mail")
        elif gone := next((record for _, record in hits[email] if record.moved_to), None):
            moved[i], known[i] = Sought(gone.moved_to, "contact" if gone.state == "converted" else None), gone.id
    if moved:
        followed = await _by_id(session, objects, ours, moved)
        found |= {i: replace(one, found_by="e-mail", followed=known[i]) for i, one in followed.items()}
    return found


def _gone(record: LiveRecord) -> str:
    if record.state == "deleted":
        return "it was deleted in the CRM"
    return f"it was {record.state}, and the CRM does not say into which record"
