"""The guide's calls for one contact: create it or update it in every CRM at once, and say for each what happened."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from cdp_pipelines import query
from cdp_pipelines.config import Settings
from cdp_pipelines.crm_integrations.base_crm import CRMContact, CRMError
from cdp_pipelines.crm_integrations.writes import CLEAR
from cdp_pipelines.mapping import load
from cdp_pipelines.writeback.applying import Applying
from cdp_pipelines.writeback.locating import locate
from cdp_pipelines.writeback.outbox import Outbox, Outgoing
from cdp_pipelines.writeback.plan import Entry, Plan
from cdp_pipelines.writeback.planner import Asked, plan_connection
from cdp_pipelines.writeback.rules import NOT_WRITTEN, FieldRule, Target
from cdp_pipelines.writeback.service import new_run, writing
from cdp_pipelines.writeback.sessions import Session
from cdp_pipelines.writeback.values import blank
from cdp_pipelines.writeback.wanted import Wanted

What = Literal["create", "update"]
Outcome = Literal["created", "updated", "unchanged", "conflict", "rejected", "skipped", "pending"]


class ContactError(ValueError):
    """A contact cannot be written as given; the text names the field and what to do."""


@dataclass
class ContactResult:
    """What happened in one CRM. `id` is the record's there, `written` our fields that were written, `kept` those that were not, and why.

    `retry` is the command that sends what is pending.
    """

    connection: str
    outcome: Outcome
    id: str | None = None
    object: str | None = None
    reason: str | None = None
    written: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    retry: str | None = None


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
    values = _checked({n: v for n, v in values.items() if v is not None and n not in (*NOT_WRITTEN, "customer_key")})
    if blank(values.get("email")):
        raise ContactError("A contact needs an e-mail address: by it the CRMs are asked whether they have it already.")
    known = await asyncio.to_thread(_by_email, settings, str(values["email"]))
    request = _Request("create", values, email=str(values["email"]).strip().lower(), customer_key=known)
    return await _everywhere(settings, sessions, dict.fromkeys(sessions, request))


async def update_contact(
    settings: Settings, sessions: Mapping[str, Session], contact_id: str, data: Mapping[str, Any], *, overwrite: bool = False
) -> dict[str, ContactResult]:
    """Write these fields to every record of one person. `contact_id` is a customer key, `connection:id`, an e-mail address, or a CRM's id.

    A value that somebody changed in a CRM since we last wrote it is a conflict, unless `overwrite`. None and blank change nothing; `CLEAR`
    empties a field. Raises ContactError for a field that cannot be written.
    """
    clears = [name for name, value in data.items() if value is CLEAR]
    values = _checked({n: v for n, v in data.items() if v is not CLEAR} | dict.fromkeys(clears))
    found = await _find_person(settings, sessions, contact_id.strip())
    requests = {}
    for name in sessions:
        ids = found.ids.get(name, [])
        skip = None if ids or found.email else found.problem or "this CRM has no record of the person"
        requests[name] = _Request("update", values, clears, ids, found.email, found.customer_key, overwrite, skip)
    return await _everywhere(settings, sessions, requests)


async def retry_calls(settings: Settings, sessions: Mapping[str, Session]) -> dict[str, ContactResult]:
    """Do the calls that are still pending, because their CRM could not be reached, by connection (the last of each)."""
    results: dict[str, ContactResult] = {}
    with writing(settings), Outbox(settings) as outbox:
        for call in outbox.pending_calls():
            if session := sessions.get(call["connection"]):
                request = _Request(**call["request"])
                results[session.name] = await _one(outbox, call["run"], call["call"], session, request)
    return results


async def _everywhere(settings: Settings, sessions: Mapping[str, Session], requests: Mapping[str, _Request]) -> dict[str, ContactResult]:
    lock = writing(settings)
    await asyncio.to_thread(lock.__enter__)
    try:
        with Outbox(settings) as outbox:
            run = new_run("contact")
            calls = {name: f"{run}-{name}-{os.urandom(2).hex()}" for name in sessions}
            for name, request in requests.items():
                if not request.skip:
                    outbox.call(calls[name], run, name, request.what, asdict(request))
            outbox.begin(Plan("contact", ()), run)
            answers = await asyncio.gather(*(_one(outbox, run, calls[n], sessions[n], requests[n]) for n in sessions))
            return dict(zip(sessions, answers, strict=True))
    finally:
        lock.__exit__(None, None, None)


async def _one(outbox: Outbox, run: str, call: str, session: Session, request: _Request) -> ContactResult:
    """One contact in one CRM: planned against it, sent, and answered for."""
    if request.skip:
        return ContactResult(session.name, "skipped", reason=request.skip)
    problem = None
    try:
        if not outbox.entries(run, connection=session.name):
            outbox.add(run, await _planned(outbox, session, request))
        problem = (await Applying(outbox, run, {session.name: session}).go()).get(session.name)
    except CRMError as error:
        problem = " ".join(filter(None, (error.problem, error.remedy)))
    result = _result(session, request, outbox.entries(run, connection=session.name), problem)
    outbox.call_ended(call, reason=result.reason, pending=result.outcome == "pending")
    return result


async def _planned(outbox: Outbox, session: Session, request: _Request) -> list[Entry]:
    policy = FieldRule(policy="fill_empty" if request.what == "create" else "source_wins")
    clear = FieldRule(policy="source_wins", clear=True)
    rules = {name: clear if name in request.clears else policy for name in request.values}
    target = Target(fields=rules, create=request.what == "create")
    row = Wanted(session.name, request.values, email=request.email, customer_key=request.customer_key)
    known = [Wanted(session.name, request.values, id=i, record_type=t, email=request.email, customer_key=request.customer_key) for i, t in request.ids]
    over = None if request.overwrite else frozenset()
    asked = Asked(target, outbox.bases(session.name), outbox.open_creates(session.name), over, tell_all=True)
    return (await plan_connection(session, known or [row], asked)).entries


def _result(session: Session, request: _Request, entries: Sequence[Outgoing], problem: str | None) -> ContactResult:
    """One answer for the entries of a contact: where a CRM has it more than once, what was written counts before what was not."""
    if problem or any(e.state in ("pending", "sent") for e in entries):
        reason = problem or next((e.reason for e in entries if e.state in ("pending", "sent")), None)
        one = next((e for e in entries if e.state in ("pending", "sent")), None)
        return ContactResult(session.name, "pending", one.id if one else None, reason=reason, retry="cdp writeback retry")
    if not entries:
        return ContactResult(session.name, "skipped", reason="this CRM has no record of the person")
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
    if one.state == "refused":
        return "unchanged" if one.code == "UNCHANGED" else "rejected"
    if one.state in ("created", "updated", "unchanged", "conflict", "rejected"):
        return one.state
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


@dataclass
class _Person:
    ids: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict)
    email: str | None = None
    customer_key: str | None = None
    problem: str | None = None


async def _find_person(settings: Settings, sessions: Mapping[str, Session], contact_id: str) -> _Person:
    """The records of a person, from the published tables; where these do not know it, from the CRMs by e-mail address."""
    name, _, record = contact_id.partition(":")
    person = await asyncio.to_thread(_published, settings, contact_id)
    if person.ids:
        return person
    if "@" in contact_id:
        return _Person(email=contact_id.lower())
    if record and name in sessions:
        email = await _email_of(sessions[name], record)
        return _Person({name: [(record, None)]}, email)
    return _Person(
        problem=f"nobody is known as {contact_id!r}: give a customer key, connection:id, or an e-mail address (after `cdp sync`, for the first)"
    )


async def _email_of(session: Session, record: str) -> str | None:
    try:
        place = (await locate(session, [Wanted(session.name, {}, id=record)], ["email"]))[0]
    except CRMError:
        return None  # that CRM's own answer will say so
    value = place.record.values.get(place.object.email) if place.record and place.object else None
    return value.strip().lower() if value and value.strip() else None


_PERSON = """
with named as (
    select customer_key from customer_contacts join contacts using (connection, customer_id)
    where customer_key = $1 or connection || ':' || customer_id = $1 or lower(email) = lower($1)
), by_id as (
    select customer_key from customer_contacts where customer_id = $1 qualify count(*) over () = 1
), chosen as (select distinct customer_key from named union select customer_key from by_id where not exists (select 1 from named))
select c.connection, c.customer_id, c.record_type, c.email, l.customer_key
from chosen join customer_contacts l using (customer_key) join contacts c using (connection, customer_id)
where not c.is_deleted and c.merged_into is null and c.converted_contact_id is null
order by c.last_updated desc nulls last, c.connection, c.customer_id
"""


def _published(settings: Settings, contact_id: str) -> _Person:
    person = _Person()
    try:
        with query.published(settings) as db:
            rows = db.execute(_PERSON, [contact_id]).fetchall()
    except query.NotPublished:
        return person
    for connection, customer_id, record_type, email, key in rows:
        person.ids.setdefault(connection, []).append((customer_id, record_type))
        person.email = person.email or email
        person.customer_key = key
    return person


def _by_email(settings: Settings, email: str) -> str | None:
    """The customer with this e-mail address, if one was published."""
    return _published(settings, email.strip()).customer_key
