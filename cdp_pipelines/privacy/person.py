"""Whom an erasure is about: all that the warehouse knows of a person's identity, over the whole identity cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import duckdb

from cdp_pipelines import history
from cdp_pipelines.config import Settings
from cdp_pipelines.identity.references import NotFound, find
from cdp_pipelines.privacy.hashes import Hasher, Kind, addresses, id_bucket, last_digits, name_signs, plain_id, spelled
from cdp_pipelines.privacy.where import PEOPLE

LONG_ID = 15
"""Ids of at least so many characters are looked for in bytes; shorter ones would be found by chance."""


@dataclass
class Person:
    """A person as known here. Values are as they are written in the tables; `shared` are those that others have too.

    `asked` is what the request named. `ids` are (connection, id) of contacts, leads and person accounts, `keys` the customer's keys.
    """

    asked: str
    ids: set[tuple[str, str]] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    emails: set[str] = field(default_factory=set)
    phones: set[tuple[str, str | None]] = field(default_factory=set)
    names: set[tuple[str | None, str | None]] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)

    @property
    def known(self) -> bool:
        """Whether the tables have a record."""
        return bool(self.ids)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: value if isinstance(value, str) else sorted(map(_listed, value), key=str) for name, value in asdict(self).items()}

    @classmethod
    def of_json(cls, raw: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        made = cls(raw.pop("asked"))
        for name, values in raw.items():
            getattr(made, name).update(tuple(value) if isinstance(value, list) else value for value in values)
        return made

    def hashes(self, hasher: Hasher) -> Iterator[tuple[Kind, str]]:
        """What the suppression list is to hold of the person."""
        for connection, one in self.ids:
            yield "id", hasher.id(connection, one)
            yield "bucket", hasher.bucket("id", id_bucket(one))
        signs = {sign for name in self.names for sign in name_signs(*name)}
        for address in self.emails:
            if found := hasher.mailbox(address):
                shared = found.kind == "role" or found.address in self.shared
                yield "shared_mailbox" if shared else "mailbox", hasher.hash("shared_mailbox" if shared else "mailbox", found.address)
                yield "bucket", hasher.bucket("domain", found.domain)
                yield from (("named", hasher.hash("named", f"{found.address}\n{sign}")) for sign in signs if shared)
        for number, country in self.phones:
            if line := hasher.line(number, country):
                kind: Kind = "shared_line" if line in self.shared else "line"
                yield kind, hasher.hash(kind, line)
                yield "bucket", hasher.bucket("line", last_digits(line) or line[-4:])
                yield from (("named", hasher.hash("named", f"{line}\n{sign}")) for sign in signs)

    def own_addresses(self, hasher: Hasher) -> list[str]:
        """The addresses that are the person's alone."""
        return sorted(a for a in self.emails if (m := hasher.mailbox(a)) and m.kind != "role" and m.address not in self.shared)

    def needles(self, hasher: Hasher) -> dict[str, str]:
        """What is looked for in bytes and text, and of which kind it is: addresses, numbers, long ids, full names."""
        found: dict[str, str] = {}
        for address in self.emails:
            mailbox = hasher.mailbox(address)
            if mailbox and (mailbox.kind == "role" or mailbox.address in self.shared):
                continue
            for spelling in {address, address.strip(), address.strip().lower(), mailbox.address if mailbox else address.strip()}:
                found[spelling] = "e-mail address"
        for number, country in self.phones:
            line = hasher.line(number, country)
            if line and line not in self.shared:
                found |= {number.strip(): "telephone number", line: "telephone number"}
        for _, one in self.ids:
            if len(one) >= LONG_ID:
                found[plain_id(one)] = "id"
        for first, last in self.names:
            if first and last and len(first.strip()) > 1 and len(last.strip()) > 1:
                found[f"{first.strip()} {last.strip()}"] = "name"
        return {text: kind for text, kind in found.items() if len(text) >= 5}


def look_up(settings: Settings, *, email: str | None = None, record: str | None = None, customer: str | None = None) -> Person:
    """The person whom one of these names. Where no table knows one, the person is the address or record alone.

    Raises NotFound for an address of several customers, and for a customer key that nobody has. The caller holds the warehouse lock.
    """
    asked = next(text for text in (email, record, customer) if text is not None).strip()
    hasher = Hasher.of_settings(settings)
    person = Person(asked)
    if email is not None:
        if hasher.mailbox(asked) is None:
            raise NotFound(f"{asked!r} is no e-mail address of a person. Give the person's own, or a record as connection:id.")
        person.emails.add(asked)
    elif record is not None:
        connection, colon, one = asked.partition(":")
        if not colon or not one:
            raise NotFound(f"{asked!r} is no record. Give it as connection:id, for example hubspot:101.")
        person.ids.add((connection, one))
    with history.opened(settings) as db:
        if _has_people(db):
            db.execute("set search_path = 'unified,standardized'")
            try:
                person.keys.add(find(db, asked).customer_key)
            except NotFound as nobody:
                if customer is not None or "customers have this e-mail address" in str(nobody):
                    raise
            _add_records(db, person)
            _add_shared(db, hasher, person)
        elif customer is not None:
            raise NotFound("No customers are known yet. Give an e-mail address, or a record as connection:id.")
        add_raw(db, person)
    return person


def _has_people(db: duckdb.DuckDBPyConnection) -> bool:
    there = "select count(*) from duckdb_tables() where (schema_name, table_name) in (('unified', 'customer_contacts'), ('standardized', 'contacts'), ('unified', 'customer_aliases'))"
    return db.execute(there).fetchall() == [(3,)]


def _add_records(db: duckdb.DuckDBPyConnection, person: Person) -> None:
    keys = list(person.keys)
    former = db.execute("select old_key from customer_aliases where list_contains(?, new_key) and reason = 'merged'", [keys]).fetchall()
    person.keys.update(key for (key,) in former)
    records = db.execute(
        "select connection, customer_id, email, phone, mobile_phone, country, first_name, last_name from customer_contacts "
        "join contacts using (connection, customer_id) where list_contains(?, customer_key)",
        [keys],
    )
    for connection, one, email, phone, mobile, country, first, last in records.fetchall():
        person.ids.add((connection, one))
        person.names.add((first, last))
        person.emails.update(address for address in [email] if address)
        person.phones.update((number, country) for number in (phone, mobile) if number)


def add_raw(db: duckdb.DuckDBPyConnection, person: Person) -> None:
    """Values as the CRMs wrote them, of the same records: other spellings, and fields that are not mapped."""
    for (kind, table), people in PEOPLE.items():
        there = {
            name
            for (name,) in db.execute(
                "select column_name from duckdb_columns() where schema_name = ? and table_name = ?", [f"raw_{kind}", table]
            ).fetchall()
        }
        wanted = [c for c in (*people.emails, *people.phones, people.first, people.last, people.country) if c in there]
        if not there:
            continue
        ids = [list(pair) for pair in person.ids]
        columns = ", ".join(f'"{c}"' for c in wanted)
        found = db.execute(f'select {columns} from raw_{kind}."{table}" where list_contains(?, [connection, id])', [ids])
        for values in found.fetchall():
            row = dict(zip(wanted, values, strict=True))
            person.names.add((row.get(people.first), row.get(people.last)))
            for text in (row[c] for c in people.emails if row.get(c)):
                person.emails.update(addresses(spelled(text)))
            person.phones.update((row[c], row.get(people.country)) for c in people.phones if row.get(c))


def _add_shared(db: duckdb.DuckDBPyConnection, hasher: Hasher, person: Person) -> None:
    """Which of the person's mailboxes and lines others have too: those tell nobody alone."""
    mine = {m.address for address in person.emails if (m := hasher.mailbox(address))}
    lines = {line for number, country in person.phones if (line := hasher.line(number, country))}
    domains = sorted({text.rpartition("@")[2].lower() for text in person.emails} | {address.rpartition("@")[2] for address in mine})
    others = "from contacts join customer_contacts using (connection, customer_id) where not list_contains($keys, customer_key) and not is_deleted"
    keys = list(person.keys)
    near = db.execute(
        f"select distinct email {others} and list_contains($domains, split_part(lower(email), '@', 2))", {"keys": keys, "domains": domains}
    )
    person.shared |= mine & {m.address for (address,) in near.fetchall() if (m := hasher.mailbox(address))}
    ends = sorted({line[-4:] for line in lines})
    for column in ("phone", "mobile_phone"):
        held = db.execute(
            f"select distinct {column}, country {others} and list_contains($ends, right(regexp_replace({column}, '[^0-9]', '', 'g'), 4))",
            {"keys": keys, "ends": ends},
        )
        person.shared |= lines & {line for number, country in held.fetchall() if (line := hasher.line(number, country))}


def union(people: Sequence[Person]) -> Person:
    """Several people as one, for what is done to all of them at once."""
    made = Person(", ".join(person.asked for person in people))
    for person in people:
        for name in ("ids", "keys", "emails", "phones", "names", "shared"):
            getattr(made, name).update(getattr(person, name))
    return made


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def ids_by_connection(ids: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Connection -> ids."""
    found: dict[str, list[str]] = {}
    for connection, one in sorted(ids):
        found.setdefault(connection, []).append(one)
    return found
