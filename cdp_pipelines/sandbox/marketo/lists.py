"""Static lists: one of the invited people for each campaign of the world, and those that were made since."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cdp_pipelines.sandbox.columns import Column, of_members
from cdp_pipelines.sandbox.marketo.assets import PROGRAM_ID
from cdp_pipelines.sandbox.marketo.leads import Leads
from cdp_pipelines.sandbox.marketo.moments import asset_time, epoch, iso
from cdp_pipelines.sandbox.people import CrmView

FIRST_LIST = 3001


@dataclass
class StaticList:
    """A list; `program` is None when it lies in a folder of its own."""

    id: int
    name: str
    program: tuple[int, str] | None
    created: int
    updated: int
    description: str = ""
    folder: int = 22

    def show(self) -> dict[str, Any]:
        """As the lead database describes it."""
        made = {"id": self.id, "name": self.name, "description": self.description, "workspaceName": "Default"}
        made |= {"programName": self.program[1]} if self.program else {}
        return made | {"createdAt": iso(self.created), "updatedAt": iso(self.updated)}

    def show_asset(self) -> dict[str, Any]:
        """As the asset API describes it."""
        folder = {"id": self.program[0], "type": "Program"} if self.program else {"id": self.folder, "type": "Folder"}
        return {
            "id": self.id, "name": self.name, "description": self.description, "createdAt": asset_time(self.created),
            "updatedAt": asset_time(self.updated), "folder": folder, "computedUrl": f"https://app.example.com/#ST{self.id}A1",
        }  # fmt: skip


class StaticLists:
    """All static lists and who is on them. Ids are given in order of making and not again."""

    def __init__(self, view: CrmView, leads: Leads):
        self._view, self._leads = view, leads
        # By list, who was put on it or taken from it since the world was made.
        self._put: dict[int, set[int]] = {}
        self._taken: dict[int, set[int]] = {}
        self._world = lru_cache(None)(self._of_campaign)
        self.lists: dict[int, StaticList] = {}
        for campaign in view.campaigns:
            number, program = FIRST_LIST + campaign.number, (PROGRAM_ID + campaign.number, campaign.name)
            created, updated = epoch(campaign.created), epoch(campaign.updated)
            self.lists[number] = StaticList(number, f"{campaign.name} - Invited", program, created, updated)
        self._next = FIRST_LIST + len(self.lists)

    def members(self, identifier: int) -> list[int]:
        """The leads on a list that exist, in order of id."""
        world, put, taken = self._world(identifier), self._put.get(identifier, ()), self._taken.get(identifier, set())
        living = world[self._leads.are_alive(world)].tolist()
        return sorted({*(lead for lead in living if lead not in taken), *filter(self._leads.is_alive, put)})

    def has(self, identifier: int, lead: int) -> bool:
        """Whether a lead is on a list."""
        if lead in self._put.get(identifier, ()):
            return True
        world = self._world(identifier)
        place = int(np.searchsorted(world, lead))
        return place < len(world) and world[place] == lead and lead not in self._taken.get(identifier, ())

    def of_lead(self, lead: int) -> list[StaticList]:
        """The lists that a lead is on."""
        return [found for number, found in self.lists.items() if self.has(number, lead)]

    def put(self, identifier: int, lead: int) -> None:
        """Put a lead on a list."""
        self._put.setdefault(identifier, set()).add(lead)
        self._taken.get(identifier, set()).discard(lead)

    def take(self, identifier: int, lead: int) -> None:
        """Take a lead from a list."""
        self._put.get(identifier, set()).discard(lead)
        self._taken.setdefault(identifier, set()).add(lead)

    def merged(self, loser: int, winner: int) -> None:
        """Let the winner of a merge take the loser's places."""
        for number in self.lists:
            if self.has(number, loser):
                self.take(number, loser)
                self.put(number, winner)

    def make(self, name: str, folder: int, description: str, at: int) -> StaticList:
        """A new list with nobody on it."""
        made = StaticList(self._next, name, None, at, at, description, folder)
        self._next += 1
        self.lists[made.id] = made
        return made

    def drop(self, identifier: int) -> None:
        """Delete a list."""
        del self.lists[identifier]

    def _of_campaign(self, identifier: int) -> Column:
        """The leads that the world put on a list, in order of id."""
        number = identifier - FIRST_LIST
        people = of_members(self._view.campaigns[number]).person if number < len(self._view.campaigns) else np.zeros(0, dtype=np.int64)
        return _unique(self._leads.survivors_of(people)) if len(people) else people


def _unique(numbers: Column) -> Column:
    in_order = np.sort(numbers)
    return in_order[np.concatenate([[True], in_order[1:] != in_order[:-1]])]
