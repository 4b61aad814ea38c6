"""The living sandbox: the world, the three stores made from it, and every change that happened to them since."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from starlette.types import ASGIApp

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox import clock, columns
from cdp_pipelines.sandbox.change import apply_changes
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.journal import Batch, Entry, Journal, Purge, Write
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world, truth
from cdp_pipelines.sandbox.replay import Recorder, replay
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore


class LivingWorld:
    """The stores of a seeded world and the journal of what changed in them; the journal lies in the folder `state`.

    Nothing of the journal is done again before `resume` has the apps through which clients write.
    """

    def __init__(self, *, people: int, seed: int, state: Path, empty: frozenset[Kind] = frozenset()):
        self.people = people
        self.world: World = build_world(people=people, seed=seed, empty=empty)
        self.stores: dict[Kind, Any] = {
            "salesforce": SalesforceStore(self.world.salesforce, self.world.owners),
            "hubspot": HubSpotStore(self.world.hubspot, self.world.owners, salesforce=self.world.salesforce),
            "marketo": MarketoStore(self.world.marketo, self.world.owners, self.world.salesforce.people),
        }
        self.changes: list[dict[str, Any]] = []
        self.batches: list[Batch] = []
        name = f"people={people} seed={seed}" + "".join(f" without={kind}" for kind in sorted(empty))
        self.journal = Journal(state / "changes.jsonl", name)
        self._apps: dict[Kind, ASGIApp] = {}
        self._one_at_a_time = asyncio.Lock()

    def resume(self, apps: Mapping[Kind, ASGIApp]) -> dict[Kind, Recorder]:
        """Do what the journal says, and give the apps in a wrapping that writes on in it."""
        self._apps = dict(apps)
        self.catch_up()
        return {kind: Recorder(kind, app, self.journal, self._one_at_a_time, self._do_all, self._note_write) for kind, app in apps.items()}

    def catch_up(self) -> None:
        """Do what other processes added to the journal. Costs one look at the file's size when there is nothing."""
        self._do_all(self.journal.news())

    async def change(self, seed: int, count: int) -> list[dict[str, Any]]:
        """Do a batch of changes now, and put it in the journal once it has worked."""
        async with self._one_at_a_time:
            return self.journal.add(seed, count, self._do)

    def purge(self, kind: Kind, record: str) -> None:
        """Remove a record for good. Raises KeyError or ValueError when there is none that can be removed."""
        with self.journal.writing(self._do_all):
            entry = Purge(kind, clock.now(), record)
            self._do(entry)
            self.journal.append(entry)

    def _do_all(self, entries: Sequence[Entry]) -> None:
        for writing, group in groupby(entries, lambda entry: isinstance(entry, Write)):
            if not writing:
                for entry in group:
                    with clock.at(entry.at, replaying=True):
                        self._do(entry)
                continue
            writes = [entry for entry in group if isinstance(entry, Write)]
            for write, worked in zip(writes, replay(writes, self._apps), strict=True):
                if worked:
                    self._note_write(write)

    def _do(self, entry: Entry) -> list[dict[str, Any]]:
        if isinstance(entry, Purge):
            _purge(self.stores[entry.crm], entry)
            self.changes.append({"at": entry.at.isoformat(), "op": "purge", "crm": entry.crm, "id": entry.id})
        if not isinstance(entry, Batch):
            return []
        done = apply_changes(self.stores, entry.seed, entry.at, entry.count, duplicates=self._twins)
        self.batches.append(entry)
        self.changes += [{"at": entry.at.isoformat(), **change} for change in done]
        return done

    def _note_write(self, write: Write) -> None:
        self.changes.append({"at": write.at.isoformat(), "op": "request", "crm": write.crm, "id": f"{write.method} {write.path}"})

    @cached_property
    def _twins(self) -> dict[Kind, list[tuple[str, str]]]:
        """Pairs of records of one person in one CRM, with the same role: what a careful user merges."""
        found: dict[Kind, list[tuple[str, str]]] = {}
        for kind in KINDS:
            people = columns.of_people(self.world.view(kind).people)
            alive = np.flatnonzero(people.fate == columns.ALIVE)
            one = people.person[alive].astype(np.int64) * 2 + people.contact[alive]
            _, first, which = np.unique(one, return_index=True, return_inverse=True)
            twins = alive[first[which]]
            later = np.flatnonzero(twins != alive)
            if len(later):
                name = self.stores[kind].person_id
                found[kind] = [
                    (name(twin), name(record)) for twin, record in zip(twins[later].tolist(), alive[later].tolist(), strict=True)
                ]
        return found

    def truth(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """`people.truth` with the vendors' ids, and with the records that changes made. A newcomer's key is the moment and a number.

        Records that clients made through an API are unknown here.
        """
        found = truth(self.world)
        person_of: dict[tuple[str, str], str] = {}
        for key, records in found["people"].items():
            for record in records:
                record["id"] = self.stores[record["crm"]].person_id(record["number"])
                person_of[record["crm"], record["id"]] = key
        for records in found["companies"].values():
            for record in records:
                record["id"] = self.stores[record["crm"]].company_id(record["number"])
        for records in found["deals"].values():
            for record in records:
                record["id"] = self.stores[record["crm"]].deal_id(record["number"])
        for change in self.changes:
            if change["op"] == "create":
                key, record_id = change["person"], change["id"]
            elif change["op"] == "convert" and (change["crm"], change["id"]) in person_of:
                key, record_id = person_of[change["crm"], change["id"]], change["contact"]
            else:
                continue
            person_of[change["crm"], record_id] = key
            found["people"].setdefault(key, []).append({"crm": change["crm"], "id": record_id, "role": change["op"]})
        return found

    def counts(self) -> dict[Kind, dict[str, int]]:
        """Live records by CRM and vendor object."""
        return {kind: store.counts() for kind, store in self.stores.items()}


def _purge(store: Any, entry: Purge) -> None:
    """Out of the recycle bin in Salesforce, elsewhere at once."""
    remove = getattr(store, "purge_record", store.delete_person)
    remove(entry.id, entry.at)
