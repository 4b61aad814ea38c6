"""Whom a contact's name means: a customer key, `connection:id`, an e-mail address or a CRM's id, and the records of that person."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from cdp_pipelines import query
from cdp_pipelines.config import Settings
from cdp_pipelines.crm_integrations.base_crm import CRMError
from cdp_pipelines.writeback.locating import Sought, locate
from cdp_pipelines.writeback.sessions import Session

_PERSON = """
with named as (
    select customer_key from customer_contacts join contacts using (connection, customer_id)
    where customer_key = $1 or connection || ':' || customer_id = $1 or lower(email) = lower($1)
), by_id as (
    select customer_key from customer_contacts where customer_id = $1 qualify count(*) over () = 1
), chosen as (
    select distinct customer_key from named union select customer_key from by_id where not exists (select 1 from named)
)
select c.connection, c.customer_id, c.record_type, c.email, l.customer_key
from chosen join customer_contacts l using (customer_key) join contacts c using (connection, customer_id)
where not c.is_deleted and c.merged_into is null and c.converted_contact_id is null
order by c.last_updated desc nulls last, c.connection, c.customer_id
"""
_OTHERS = """
select distinct c.connection from contacts c join customer_contacts l using (connection, customer_id)
where lower(c.email) = lower($1) and l.customer_key <> $2 and not c.is_deleted and c.merged_into is null
"""


@dataclass
class Person:
    """The records of a person by connection (id, and whether a contact or a lead), and the e-mail address to look for in other CRMs.

    `shared` names the connections where somebody else has the address too. `problem` says why nobody was found.
    """

    ids: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict)
    email: str | None = None
    customer_key: str | None = None
    shared: set[str] = field(default_factory=set)
    problem: str | None = None


async def find_person(settings: Settings, sessions: Mapping[str, Session], named: str) -> Person:
    """The person whom `named` means, from the published tables; where these do not know it, from the CRMs."""
    connection, _, record = named.partition(":")
    person = await asyncio.to_thread(published_person, settings, named)
    if person.ids or person.problem:
        return person
    if "@" in named:
        return Person(email=named.lower())
    if record and connection in sessions:
        return Person({connection: [(record, None)]}, await _email_of(sessions[connection], record))
    return Person(
        problem=f"nobody is known as {named!r}: give a customer key (known after `cdp sync`), connection:id, or an e-mail address"
    )


def published_person(settings: Settings, named: str) -> Person:
    """The person as the last sync knows them; nobody before the first one. An address of several customers means none of them."""
    person = Person()
    try:
        with query.published(settings) as db:
            rows = db.execute(_PERSON, [named]).fetchall()
            keys = {row[4] for row in rows}
            if len(keys) > 1:
                return Person(problem=f"{len(keys)} customers have the e-mail address; name one of them by customer key or connection:id")
            for connection, customer_id, record_type, email, key in rows:
                person.ids.setdefault(connection, []).append((customer_id, record_type))
                person.email, person.customer_key = person.email or email, key
            if person.email:
                person.shared = {row[0] for row in db.execute(_OTHERS, [person.email, person.customer_key]).fetchall()}
    except query.NotPublished:
        return Person()
    return person


async def _email_of(session: Session, record: str) -> str | None:
    try:
        place = (await locate(session, [Sought(record)], ["email"]))[0]
    except CRMError:
        return None  # that CRM's own answer will say so
    value = place.record.values.get(place.object.email) if place.record and place.object else None
    return value.strip().lower() if value and value.strip() else None
