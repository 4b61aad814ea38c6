"""What the CRMs have of a person, as they stand now: the plan of what an erasure deletes there too.

Records are found by the ids that are known here and by the person's own addresses, so that what a CRM got since the last sync is among them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from cdp_pipelines.config import Kind
from cdp_pipelines.crm_integrations.base_crm import CRMError
from cdp_pipelines.crm_integrations.writes import LiveRecord
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.person import Person, ids_by_connection
from cdp_pipelines.writeback.plan import Action, Entry, Plan, key_of
from cdp_pipelines.writeback.sessions import Session

HOW: dict[Kind, str] = {
    "salesforce": "deleted for good, or put into the recycle bin where the API user may not", "hubspot": "privacy deletion", "marketo": "deleted",
}  # fmt: skip
# The object that a record is in, by the beginning of its id.
_SALESFORCE = {"003": "Contact", "00Q": "Lead", "001": "Account"}
_OTHERS: dict[Kind, str] = {"hubspot": "contacts", "marketo": "leads"}
_IS_PERSON, _ACCOUNT = "IsPersonAccount", "AccountId"


async def plan(sessions: Mapping[str, Session], person: Person, hasher: Hasher, absent: Mapping[str, str]) -> Plan:
    """The deletions. `absent` says why a connection cannot be asked; one that fails now is among the plan's problems too.

    Records of such a connection that are known here are in the plan all the same. Nothing is changed.
    """
    found = await asyncio.gather(*(_asked(session, person, hasher) for session in sessions.values()))
    entries = tuple(entry for some, _ in found for entry in some)
    problems = {name: problem for name, (_, problem) in zip(sessions, found, strict=True) if problem}
    unknown = {name: f"{name} is not among the connections." for name, _ in person.ids if name not in sessions}
    return Plan("erase", entries, problems=problems | unknown | dict(absent))


async def _asked(session: Session, person: Person, hasher: Hasher) -> tuple[list[Entry], str | None]:
    ids = ids_by_connection(person.ids).get(session.name, [])
    try:
        return await _planned(session, ids, person.own_addresses(hasher)), None
    except CRMError as error:
        known = [_entry(session, _object(session.connection.kind, i), i, "delete") for i in ids]
        return known, " ".join(filter(None, (error.problem, error.remedy)))


async def _planned(session: Session, ids: Sequence[str], addresses: Sequence[str]) -> list[Entry]:
    kind, records = session.connection.kind, dict[tuple[str, str], LiveRecord | None]()
    for name in dict.fromkeys(_object(kind, i) for i in ids):
        mine = [i for i in ids if _object(kind, i) == name]
        found = await session.writer.read(name, mine, await _fields(session, name))
        records |= {(name, i): found.get(i) for i in mine}
    for name, target in (await session.objects()).items():
        hits = await session.writer.find(name, target.email, addresses, await _fields(session, name)) if addresses else {}
        records |= {(name, record.id): record for some in hits.values() for record in some}
    going = {one for _, one in records}
    return list({e.key: e for e in (_judged(session, name, i, record, going) for (name, i), record in records.items())}.values())


def _judged(session: Session, name: str, record_id: str, record: LiveRecord | None, going: set[str]) -> Entry:
    """What is to become of one record."""
    if record is None:
        return _entry(session, name, record_id, "unchanged", reason="the CRM has no such record")
    if record.state == "merged" and record.moved_to in going:
        return _entry(session, name, record_id, "unchanged", reason="it was merged into another record of the person")
    if record.state == "merged":
        reason = f"it was merged into {record.moved_to}, of which nothing says that it is the person's; look at it, and erase it by its id"
        return _entry(session, name, record_id, "refused", code="MERGED", reason=reason)
    if name == "Account" and record.values.get(_IS_PERSON) != "true":
        return _entry(session, name, record_id, "refused", code="NOT_A_PERSON", reason="it is a company's account")
    if record.values.get(_IS_PERSON) == "true" and (account := record.values.get(_ACCOUNT)):
        # Salesforce deletes a person account as a whole, by the account.
        return _entry(session, "Account", account, "delete")
    return _entry(session, name, record_id, "delete")


def _entry(session: Session, name: str, record_id: str, action: Action, *, code: str = "", reason: str = "") -> Entry:
    kind = session.connection.kind
    return Entry(key_of(session.name, name, record_id), session.name, kind, name, action, record_id, code=code, reason=reason)


def _object(kind: Kind, record_id: str) -> str:
    return _SALESFORCE.get(record_id[:3], "Contact") if kind == "salesforce" else _OTHERS[kind]


async def _fields(session: Session, name: str) -> list[str]:
    """What tells of a person account, in an org that has them."""
    if session.connection.kind != "salesforce":
        return []
    there = {info.name for info in await session.client.describe_fields(name)}
    return [field for field in (_IS_PERSON, _ACCOUNT) if field in there and _IS_PERSON in there]
