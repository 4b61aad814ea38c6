"""Erase a person: from every table, file and log; onto the suppression list; with a proof and a certificate.

What is to be done is on the disk before it begins, so that a kill at any moment is followed by the same erasure: `finish` goes on with
it. Doing it twice changes nothing more.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson

from cdp_pipelines import database, history
from cdp_pipelines.audit import subjects
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.config import KINDS, Settings
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.engines import serving
from cdp_pipelines.lock import warehouse_lock
from cdp_pipelines.masking import token_of
from cdp_pipelines.privacy import person as people_of
from cdp_pipelines.privacy import proof, rewriting, stores, warehouse_rows
from cdp_pipelines.privacy.certificate import Certificate, keep, limits_of
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.needles import Needles
from cdp_pipelines.privacy.person import Person
from cdp_pipelines.privacy.propagating import Connections, Deletion, delete_in_crms, summary, would_delete
from cdp_pipelines.privacy.suppression import Suppression, SuppressionList
from cdp_pipelines.sources import registry
from cdp_pipelines.writeback.outbox import there_is_one
from cdp_pipelines.writeback.plan import Plan
from cdp_pipelines.writeback.service import writing

_PEOPLE_OBJECTS = {"salesforce": {"Contact", "Lead", "Account"}, "hubspot": {"contacts"}, "marketo": {"leads"}}
_IN_TABLES = ("e-mail address", "id")
Say = Callable[[str], None]


@dataclass
class Erasure:
    """One erasure under way, as it is kept until it is done. `asked_by` and `reference` are for the certificate; `source` says who asked.

    With `propagate` the CRMs delete the person too; where one of them must be asked once more, `round` counts.
    """

    id: str
    people: list[Person]
    asked_at: str
    asked_by: str
    reference: str
    source: str
    propagate: bool = False
    round: int = 0
    again: bool = field(default=False)

    def path(self, settings: Settings) -> Path:
        """Where it is kept meanwhile: the only file that names the person until the end."""
        return settings.privacy_dir / "pending" / f"{self.id}.json"


def erase(
    settings: Settings,
    people: Sequence[Person],
    *,
    asked_by: str,
    reference: str = "",
    source: str = "request",
    connections: Connections | None = None,
    say: Say | None = None,
) -> Certificate:
    """Erase some people; with `connections`, in these CRMs too. Gives the certificate, which is `incomplete` where something is left, and
    says what and why.

    Raises WarehouseBusy, WritebackBusy, StillOpen; run it again then, or `finish`.
    """
    tell = say or (lambda text: None)
    with _alone(settings, tell, writes=connections is not None):
        _finish(settings, connections, tell)
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        made = Erasure(name, list(people), now.isoformat(timespec="seconds"), asked_by, reference, source, connections is not None)
        _learn_more(settings, made)
        _keep(settings, made)
        return _carry_out(settings, made, connections, tell)


def finish(settings: Settings, *, connections: Connections | None = None, say: Say | None = None) -> list[Certificate]:
    """Go on with what was begun and not ended; gives the certificates. What is to be done in the CRMs too waits for `connections`."""
    if not under_way(settings):
        return []
    tell = say or (lambda text: None)
    with _alone(settings, tell, writes=connections is not None):
        return _finish(settings, connections, tell)


def under_way(settings: Settings) -> list[Erasure]:
    """What was begun and not ended."""
    return [_load(settings, path) for path in sorted((settings.privacy_dir / "pending").glob("*.json"))]


def _finish(settings: Settings, connections: Connections | None, say: Say) -> list[Certificate]:
    certificates = []
    for made in under_way(settings):
        if made.propagate and connections is None:
            say("An erasure that the CRMs are to make too is under way; `cdp privacy finish` goes on with it.")
        else:
            certificates.append(_carry_out(settings, made, connections, say))
    return certificates


def would_erase(settings: Settings, people: Sequence[Person]) -> dict[str, Counter[str]]:
    """What an erasure would take from where: rows, entries and files. Nothing is changed."""
    with _alone(settings, lambda text: None):
        hasher = Hasher.of_settings(settings)
        listed = SuppressionList(settings).rows() | {h: "asked" for person in people for _, h in person.hashes(hasher)}
        target = people_of.union(people)
        with history.opened(settings) as db:
            counts = {"raw tables": warehouse_rows.sweep_raw(db, suppression := Suppression(hasher, listed), apply=False)}
        target.ids |= suppression.learnt
        return counts | _elsewhere(settings, target, hasher, apply=False)


def would_delete_in_crms(settings: Settings, people: Sequence[Person], connections: Connections) -> Plan:
    """What an erasure would delete in the CRMs, record by record. Nothing is changed."""
    with _alone(settings, lambda text: None):
        made = Erasure("planned", [Person.of_json(person.to_json()) for person in people], "", "", "", "")
        _learn_more(settings, made)
        return would_delete(connections, people_of.union(made.people), Hasher.of_settings(settings))


@contextmanager
def _alone(settings: Settings, say: Say, *, writes: bool = False) -> Generator[None]:
    """Nobody else has the warehouse, or writes to the CRMs."""
    with (
        warehouse_lock(settings, "cdp privacy", say),
        writing(settings) if writes or there_is_one(settings) else nullcontext(),
        serving.in_hand(settings, registry.TABLES),
    ):
        yield


def _learn_more(settings: Settings, made: Erasure) -> None:
    """Rows that are the person's by address or number, of which the last run of identity knew nothing yet."""
    hasher = Hasher.of_settings(settings)
    for person in made.people:
        listed = {h: made.id for _, h in person.hashes(hasher)}
        with history.opened(settings) as db:
            warehouse_rows.sweep_raw(db, suppression := Suppression(hasher, listed), apply=False)
            if suppression.learnt - person.ids:
                person.ids |= suppression.learnt
                people_of.add_raw(db, person)


def _carry_out(settings: Settings, made: Erasure, connections: Connections | None, say: Say) -> Certificate:
    hasher, target = Hasher.of_settings(settings), people_of.union(made.people)
    rewriting.remove_leftovers(settings.data_dir)
    say("putting the person on the suppression list")
    listing = SuppressionList(settings)
    for number, person in enumerate(made.people):
        listing.add(f"{made.id}/{number}", person.hashes(hasher))
    deletions = None
    if made.propagate and connections is not None:
        # On the list first: what the CRMs tell of their deletions then finds nobody.
        say("deleting in the CRMs")
        deletions = delete_in_crms(settings, connections, target, hasher, f"e{made.id}-{made.round}")
        listing.add(f"{made.id}/0", Person("", ids=target.ids).hashes(hasher))
        for one in (one for one in deletions if not one.done):
            say(f"not deleted: {one.place}: {one.reason or one.code}")
    say("erasing")
    history.raw_tables_change(settings)
    listed = Suppression(hasher, listing.rows(), listing)
    with history.opened(settings) as db:
        removed = {"raw tables": warehouse_rows.sweep_raw(db, listed, apply=True)}
    target.ids |= listed.learnt
    removed |= _elsewhere(settings, target, hasher, apply=True, rewrite_anyway=made.again or bool(removed["raw tables"]))
    say("looking for what is left")
    needles, shared, parts = _without_shared(settings, Needles(target.needles(hasher), people_of.ids_by_connection(target.ids)))
    found = proof.search(settings, needles, parts, leave_out=made.path(settings))
    log = AuditLog(settings)
    about = pseudonyms(log, target, hasher)
    destroyed = log.vault.destroy(about)
    certificate = Certificate(
        f"{made.id}-{made.round + 1}" if made.round else made.id, made.source, made.asked_at, made.asked_by, made.reference, datetime.now(UTC).isoformat(timespec="seconds"), about,
        dict(Counter(connection for connection, _ in sorted(target.ids))), {place: dict(counts) for place, counts in removed.items() if counts},
        sum(len(set(person.hashes(hasher))) for person in made.people), destroyed, found.files, found.bytes,
        dict(Counter(needles.values.values())), found.found, shared,
        limits_of(propagated=made.propagate), None if deletions is None else summary(deletions),
    )  # fmt: skip
    digest = keep(settings, certificate)
    rows = sum(sum(counts.values()) for counts in removed.values())
    more: dict[str, Any] = {"certificate": certificate.id, "sha256": digest, "source": made.source, "people": len(made.people)}
    if deletions is not None:
        more["in_crms"] = certificate.in_crms
    log.append([Operation("erase", "person", certificate.result, rows, more, tuple(about))])
    _end(settings, made, target, deletions or ())
    return certificate


def _end(settings: Settings, made: Erasure, target: Person, deletions: Sequence[Deletion]) -> None:
    """Nothing is under way any more, or only what a CRM must be asked for once more."""
    left = [one for one in deletions if one.outcome == "open"]
    if not left:
        _forget(made.path(settings))
        return
    whom = Person("", ids={(one.connection, one.id) for one in left if one.id})
    if any(one.id is None for one in left):  # it may have the person under ids that are not known here
        whom.emails, whom.shared = target.emails, target.shared
    _keep(settings, replace(made, people=[whom], round=made.round + 1))


def _elsewhere(settings: Settings, target: Person, hasher: Hasher, *, apply: bool, rewrite_anyway: bool = False) -> dict[str, Counter[str]]:
    """Everything but the raw tables."""
    needles = Needles(target.needles(hasher), people_of.ids_by_connection(target.ids))
    in_tables = needles.of_kinds(*_IN_TABLES)
    counts: dict[str, Counter[str]] = {}
    with history.opened(settings) as db:
        counts["warehouse"] = warehouse_rows.purge_tables(db, settings.warehouse.stem, target, in_tables, apply=apply)
        kinds = dict(db.execute("select connection, kind from ops.connections").fetchall())
    if apply and (rewrite_anyway or counts["warehouse"]):
        rewriting.rewrite(settings, settings.warehouse)
    for path in sorted(settings.data_dir.glob("*.duckdb")):
        if path == settings.masked_file:
            counts[path.name] = _purge_file(
                settings, path, _masked(settings, target), Needles({}, {}), apply=apply, rewrite_anyway=rewrite_anyway
            )
        elif path != settings.warehouse:
            counts[path.name] = _purge_file(settings, path, target, in_tables, apply=apply, rewrite_anyway=rewrite_anyway)
    objects = {name: _PEOPLE_OBJECTS[kind] for name, kind in kinds.items() if kind in KINDS}
    counts["identity"] = stores.identity_store(settings, target, apply=apply)
    counts["inbox"] = stores.inbox(settings, target, objects, apply=apply)
    counts["outbox"] = stores.outbox(settings, target, in_tables, apply=apply)
    counts["dlt"] = stores.dlt_folders(settings, apply=apply)
    counts["sqlite"] = stores.sqlite_files(settings, needles, apply=apply)
    counts["texts"] = stores.text_files(settings, needles, apply=apply)
    return counts


def _masked(settings: Settings, person: Person) -> Person:
    """The person as the masked file has them: ids and keys as tokens, and nothing else that is theirs alone."""
    ids = {(connection, token_of(settings, one)) for connection, one in person.ids}
    return Person(person.asked, ids, {token_of(settings, key) for key in person.keys})


def _purge_file(settings: Settings, path: Path, target: Person, needles: Needles, *, apply: bool, rewrite_anyway: bool) -> Counter[str]:
    """A file that others may have open for reading."""
    with database.in_memory(settings) as db:
        database.attach(settings, db, path, "looked_at", read_only=True)
        counts = warehouse_rows.purge_tables(db, "looked_at", target, needles, apply=False)
    if apply and (counts or rewrite_anyway):
        rewriting.rewrite_changed(settings, path, lambda db, name: _purge(db, name, target, needles))
    return counts


def _purge(db: duckdb.DuckDBPyConnection, name: str, target: Person, needles: Needles) -> None:
    warehouse_rows.purge_tables(db, name, target, needles, apply=True)


def _without_shared(settings: Settings, needles: Needles) -> tuple[Needles, dict[str, int], set[str]]:
    """Without numbers and names that are in the raw tables still: all rows there are other people's. Gives how many there are of each kind,
    and the values that are a part of a longer one of somebody else, which bytes do not tell apart."""
    with database.in_memory(settings) as db:
        database.attach(settings, db, settings.warehouse, "looked_at", read_only=True)
        there = {value for place, value, _ in warehouse_rows.still_there(db, "looked_at", needles) if place.startswith("raw_")}
    shared = {text: kind for text, kind in needles.values.items() if kind not in _IN_TABLES and text.lower() in there}
    left = {text: kind for text, kind in needles.values.items() if text not in shared}
    return Needles(left, needles.records), dict(Counter(shared.values())), there


def pseudonyms(log: AuditLog, target: Person, hasher: Hasher) -> list[str]:
    """The names under which the audit log has a person; those of mailboxes that others use too are left out."""
    return sorted(
        {subjects.of_record(log.key, *one) for one in target.ids}
        | {subjects.of_address(log.key, address) for address in target.own_addresses(hasher)}
        | {subjects.of_customer(log.key, key) for key in target.keys}
    )


def _keep(settings: Settings, made: Erasure) -> None:
    said: dict[str, Any] = {
        "id": made.id, "people": [person.to_json() for person in made.people], "asked_at": made.asked_at, "asked_by": made.asked_by,
        "reference": made.reference, "source": made.source, "propagate": made.propagate, "round": made.round,
    }  # fmt: skip
    Sealer.of(settings).write(made.path(settings), orjson.dumps(said))


def _load(settings: Settings, path: Path) -> Erasure:
    raw = orjson.loads(Sealer.of(settings).read(path))
    people = [Person.of_json(one) for one in raw["people"]]
    return Erasure(
        raw["id"],
        people,
        raw["asked_at"],
        raw["asked_by"],
        raw["reference"],
        raw["source"],
        raw.get("propagate", False),
        raw.get("round", 0),
        again=True,
    )


def _forget(path: Path) -> None:
    """Overwrite and remove the file that named the person."""
    with path.open("rb+") as file:
        file.write(b"\0" * path.stat().st_size)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
