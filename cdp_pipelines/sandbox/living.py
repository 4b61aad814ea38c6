"""The living sandbox: the world, the three stores made from it, and every change that happened to them since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox.change import Batch, ChangeLog, apply_changes
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import World, build_world, truth
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore


class LivingWorld:
    """The stores of a seeded world and the log of what changed in them; the log lies in the folder `state`."""

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
        self.log = ChangeLog(state / "changes.jsonl", name)
        self._duplicates = self._twins()
        self.catch_up()

    def catch_up(self) -> None:
        """Apply what other processes added to the log. Costs one look at the file's size when there is nothing."""
        for batch in self.log.news():
            self._apply(batch)

    def change(self, seed: int, count: int) -> list[dict[str, Any]]:
        """Do a batch of changes now, and put it in the log once it has worked."""
        return self.log.add(seed, count, self._apply)

    def _apply(self, batch: Batch) -> list[dict[str, Any]]:
        done = apply_changes(self.stores, batch.seed, batch.at, batch.count, duplicates=self._duplicates)
        self.batches.append(batch)
        self.changes += [{"at": batch.at.isoformat(), **change} for change in done]
        return done

    def _twins(self) -> dict[Kind, list[tuple[str, str]]]:
        """Pairs of records of one person in one CRM, with the same role: what a careful user merges."""
        found: dict[Kind, list[tuple[str, str]]] = {}
        for kind in KINDS:
            first: dict[tuple[int, str], str] = {}
            for record in self.world.view(kind).people:
                if record.fate == "alive":
                    record_id = self.stores[kind].person_id(record.number)
                    twin = first.setdefault((record.person, record.role), record_id)
                    if twin != record_id:
                        found.setdefault(kind, []).append((twin, record_id))
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
