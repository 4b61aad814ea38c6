"""The guide's calls for one contact: create it or update it in every CRM at once, and say for each what happened."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal

from cdp_pipelines import query
from cdp_pipelines.config import Settings
from cdp_pipelines.crm_integrations.base_crm import CRMContact, CRMError
from cdp_pipelines.crm_integrations.writes import CLEAR
from cdp_pipelines.mapping import load
from cdp_pipelines.privacy.refusing import REASON, Refusing
from cdp_pipelines.writeback.applying import Applying
from cdp_pipelines.writeback.consent import Consents
from cdp_pipelines.writeback.outbox import Outbox
from cdp_pipelines.writeback.outgoing import Outgoing
from cdp_pipelines.writeback.persons import Person, find_person, published_person
from cdp_pipelines.writeback.plan import Entry, Plan
from cdp_pipelines.writeback.planner import Asked, plan_connection
from cdp_pipelines.writeback.rules import NOT_WRITTEN, FieldRule, Target
from cdp_pipelines.writeback.service import new_run, writing
from cdp_pipelines.writeback.sessions import Session
from cdp_pipelines.writeback.values import blank
from cdp_pipelines.writeback.wanted import Wanted, read_consents

What = Literal["create", "update"]
Outcome = Literal["created", "updated", "unchanged", "conflict", "rejected", "skipped", "pending"]


# What a contact that was read from a CRM carries of that CRM, and another one has no use for.
_OF_ITS_CRM = {
    *NOT_WRITTEN, "customer_key", "owner_id", "company_id", "salesforce_id", "converted_contact_id", "is_deleted", "merged_into", "synced_at",
}  # fmt: skip


class ContactError(ValueError):
    """A contact cannot be written as given; the text names the field and what to do."""


@dataclass
class ContactResult:
    """What happened in one CRM. `id` is the record's there, `written` our fields that were written, `kept` those that were not, and why.

    `retry` is the command that sends what is pending, `run` what `cdp writeback undo` takes back.
    """

    connection: str
    outcome: Outcome
    id: str | None = None
    object: str | None = None
    reason: str | None = None
    written: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    retry: str | None = None
    run: str | None = None


@dataclass(frozen=True)
class _Request:
    """One contact in one CRM: `ids` are the records that are known there (id, contact or lead), `email` is for looking."""

    what: What
    values: Mapping[str, Any]
    clears: Sequence[str] = ()
    ids: Sequence[tuple[str, str | None]] = ()
    email: str | None = None
    customer_key: str | None = None
    overwrite: bool = False
    skip: str | None = None


async def create_contact(settings: Settings, sessions: Mapping[str, Session], contact: CRMContact) -> dict[str, ContactResult]:
    """Make a contact in every CRM that does not have it. Where it is there already, empty fields are filled and nothing is overwritten.

    Raises ContactError for a contact without an e-mail address, or with a field that cannot be written.
    """
    values = {f.name: getattr(contact, f.name) for f in fields(contact) if f.name != "extra"} | contact.extra
    values = _checked({n: v for n, v in values.items() if v is not None and n not in _OF_ITS_CRM})
    if blank(values.get("email")):
        raise ContactError("A contact needs an e-mail address: by it the CRMs are asked whether they have it already.")
    email = str(values["email"]).strip().lower()
    if (erased := Refusing.of(settings)) and erased.is_listed(sessions, values):
        return _refused(sessions)
    person = await asyncio.to_thread(published_person, settings, email)
    requests = {
        name: _Request("create", values, ids=person.ids.get(name, []), email=email, customer_key=person.customer_key) for name in sessions
    }
    return await _everywhere(settings, sessions, requests)


async def update_contact(
    settings: Settings, sessions: Mapping[str, Session], contact_id: str, data: Mapping[str, Any], *, overwrite: bool = False
) -> dict[str, ContactResult]:
    """Write these fields to every record of one person. `contact_id` is a customer key, `connection:id`, an e-mail address, or a CRM's id.

    A value that somebody changed in a CRM since we last wrote it is a conflict, unless `overwrite`. None and blank change nothing; `CLEAR`
    empties a field. Raises ContactError for a field that cannot be written.
    """
    clears = [name for name, value in data.items() if value is CLEAR]
    values = _checked({n: v for n, v in data.items() if v is not CLEAR} | dict.fromkeys(clears))
    if not values:
        raise ContactError("There is nothing to write: give at least one field.")
    person = await find_person(settings, sessions, contact_id.strip())
    if (erased := Refusing.of(settings)) and _is_erased(erased, sessions, contact_id.strip(), values, person):
        return _refused(sessions)
    requests = {}
    for name in sessions:
        ids = person.ids.get(name, [])
        email = None if ids or name in person.shared else person.email
        skip = None if ids or email else person.problem or _nobody(name in person.shared)
        requests[name] = _Request("update", values, clears, ids, email, person.customer_key, overwrite, skip)
    return await _everywhere(settings, sessions, requests)


def _is_erased(erased: Refusing, sessions: Iterable[str], named: str, values: Mapping[str, Any], person: Person) -> bool:
    """Whether who is named, or who is to be written, was erased."""
    connection, _, record = named.partition(":")
    whom = [{"email": person.email}, {"email": values.get("email")}, {"email" if "@" in named else "id": named}]
    records = [(connection, record), *((name, i) for name, ids in person.ids.items() for i, _ in ids)]
    return erased.is_listed(sessions, *whom) or any(erased.listed(name, [{"id": i}]) for name, i in records if i)


def _refused(sessions: Iterable[str]) -> dict[str, ContactResult]:
    return {name: ContactResult(name, "rejected", reason=REASON) for name in sessions}


async def retry_calls(settings: Settings, sessions: Mapping[str, Session]) -> dict[str, ContactResult]:
    """Do the calls that are still pending, because their CRM could not be reached, by connection (the last of each)."""
    results: dict[str, ContactResult] = {}
    consents = await asyncio.to_thread(_published_consents, settings)
    with writing(settings), Outbox(settings) as outbox:
        for call in outbox.pending_calls():
            if session := sessions.get(call["connection"]):
                request = _Request(**call["request"])
                results[session.name] = await _one(outbox, call["run"], call["call"], session, request, consents)
    return results


async def _everywhere(settings: Settings, sessions: Mapping[str, Session], requests: Mapping[str, _Request]) -> dict[str, ContactResult]:
    consents = await asyncio.to_thread(_published_consents, settings)
    lock = writing(settings)
    await asyncio.to_thread(lock.__enter__)
    try:
        with Outbox(settings) as outbox:
            run = new_run("contact")
            calls = {name: f"{run}-{name}-{os.urandom(2).hex()}" for name in sessions}
            for name, request in requests.items():
                if not request.skip:
                    outbox.call(calls[name], run, name, request.what, asdict(request))
            if not all(request.skip for request in requests.values()):
                outbox.begin(Plan("contact", ()), run)
            answers = await asyncio.gather(*(_one(outbox, run, calls[n], sessions[n], requests[n], consents) for n in sessions))
            return dict(zip(sessions, answers, strict=True))
    finally:
        lock.__exit__(None, None, None)


def _published_consents(settings: Settings) -> Consents:
    """Who said no, as the last sync knows; nobody before the first one."""
    try:
        with query.published(settings) as db:
            return read_consents(db)
    except query.NotPublished:
        return Consents.unknown()


async def _one(outbox: Outbox, run: str, call: str, session: Session, request: _Request, consents: Consents) -> ContactResult:
    """One contact in one CRM: planned against it, sent, and answered for."""
    if request.skip:
        return ContactResult(session.name, "skipped", reason=request.skip)
    problem = None
    try:
        if not outbox.entries(run, connection=session.name):
            outbox.add(run, await _planned(outbox, session, request, consents))
        problem = (await Applying(outbox, run, {session.name: session}).go(session.name)).get(session.name)
    except CRMError as error:
        problem = " ".join(filter(None, (error.problem, error.remedy)))
    result = _result(session, request, outbox.entries(run, connection=session.name), problem)
    result.run = run
    outbox.call_ended(call, reason=result.reason, pending=result.outcome == "pending")
    return result


async def _planned(outbox: Outbox, session: Session, request: _Request, consents: Consents) -> list[Entry]:
    # Who updates one person says what they want; what is made is made without being asked for in each CRM.
    refusals = consents.of(request.customer_key, request.email) if request.what == "create" else ()
    policy = FieldRule(policy="fill_empty" if request.what == "create" else "source_wins")
    clear = FieldRule(policy="source_wins", clear=True)
    rules = {name: clear if name in request.clears else policy for name in request.values}
    target = Target(fields=rules, create=request.what == "create")
    row = Wanted(session.name, request.values, email=request.email, customer_key=request.customer_key, refusals=refusals)
    known = [replace(row, id=i, record_type=t) for i, t in request.ids]
    over = None if request.overwrite else frozenset()
    asked = Asked(target, outbox.bases(session.name), outbox.open_creates(session.name), over, tell_all=True)
    entries = (await plan_connection(session, known or [row], asked)).entries
    return [_same_person(entry) for entry in entries] if request.what == "create" else entries


def _same_person(entry: Entry) -> Entry:
    """A record that is there already under another name is somebody else with the same address: nothing is written to it."""
    for k in entry.kept:
        if entry.action == "update" and k.field in ("first_name", "last_name") and str(k.theirs).casefold() != str(k.ours).casefold():
            reason = f"{entry.id} has this e-mail address and another {k.field}; to change it, update it"
            return replace(entry, action="conflict", code="OTHER_NAME", reason=reason, changes=())
    return entry


def _result(session: Session, request: _Request, entries: Sequence[Outgoing], problem: str | None) -> ContactResult:
    """One answer for the entries of a contact: where a CRM has it more than once, what was written counts before what was not."""
    if problem or any(e.state in ("pending", "sent") for e in entries):
        reason = problem or next((e.reason for e in entries if e.state in ("pending", "sent")), None)
        one = next((e for e in entries if e.state in ("pending", "sent")), None)
        return ContactResult(session.name, "pending", one.id if one else None, reason=reason, retry="cdp writeback retry")
    if not entries:
        return ContactResult(session.name, "skipped", reason=_nobody(False))
    ranked: list[Outcome] = ["created", "updated", "conflict", "rejected", "unchanged"]
    best = min(entries, key=lambda e: ranked.index(_outcome(e)))
    kept = {k.field: k.why for e in entries for k in e.entry.kept}
    written = list(dict.fromkeys(c.field for e in entries if e.state in ("created", "updated") for c in e.changes))
    outcome = _outcome(best)
    if outcome == "unchanged" and request.what == "create" and any(k.how == "kept" for k in best.entry.kept):
        reason = "it is there already, with other values in some fields; they are kept"
    else:
        reason = best.reason
    return ContactResult(session.name, outcome, best.id, best.entry.object, reason, written, kept)


def _outcome(one: Outgoing) -> Outcome:
    match one.state:
        case "refused":
            return "rejected"
        case "created" | "updated" | "unchanged" | "conflict" | "rejected":
            return one.state
        case _:
            return "pending"


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    known = load().entities["contacts"].mapped
    for name, value in values.items():
        if name in NOT_WRITTEN or name not in known:
            valid = ", ".join(sorted(set(known) - set(NOT_WRITTEN)))
            raise ContactError(f"{name!r} cannot be written. Fields of a contact that can: {valid}.")
        if isinstance(value, datetime):
            raise ContactError(f"{name} cannot be a time.")
    return {name: value if value is None or isinstance(value, str | int | float | bool) else str(value) for name, value in values.items()}


def _nobody(shared: bool) -> str:
    return "this CRM has the e-mail address, but of somebody else" if shared else "this CRM has no record of the person"
