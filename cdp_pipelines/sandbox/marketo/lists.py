"""Static lists: one of the invited people for each campaign of the world, and those that were made since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        self._members: dict[int, set[int]] = {}
        self.lists: dict[int, StaticList] = {}
        for campaign in view.campaigns:
            number, program = FIRST_LIST + campaign.number, (PROGRAM_ID + campaign.number, campaign.name)
            created, updated = epoch(campaign.created), epoch(campaign.updated)
            self.lists[number] = StaticList(number, f"{campaign.name} - Invited", program, created, updated)
        self._next = FIRST_LIST + len(self.lists)

    def members(self, identifier: int) -> list[int]:
        """The leads on a list that exist, in order of id."""
        return sorted(lead for lead in self._set(identifier) if self._leads.is_alive(lead))

    def has(self, identifier: int, lead: int) -> bool:
        """Whether a lead is on a list."""
        return lead in self._set(identifier)

    def of_lead(self, lead: int) -> list[StaticList]:
        """The lists that a lead is on."""
        return [found for number, found in self.lists.items() if self.has(number, lead)]

    def put(self, identifier: int, lead: int) -> None:
        """Put a lead on a list."""
        self._set(identifier).add(lead)

    def take(self, identifier: int, lead: int) -> None:
        """Take a lead from a list."""
        self._set(identifier).discard(lead)

    def merged(self, loser: int, winner: int) -> None:
        """Let the winner of a merge take the loser's places."""
        for number in self.lists:
            members = self._set(number)
            if loser in members:
                members.discard(loser)
                members.add(winner)

    def make(self, name: str, folder: int, description: str, at: int) -> StaticList:
        """A new list with nobody on it."""
        made = StaticList(self._next, name, None, at, at, description, folder)
        self._next += 1
        self.lists[made.id], self._members[made.id] = made, set()
        return made

    def drop(self, identifier: int) -> None:
        """Delete a list."""
        del self.lists[identifier]

    def _set(self, identifier: int) -> set[int]:
        if identifier not in self._members:
            campaign = self._view.campaigns[identifier - FIRST_LIST]
            self._members[identifier] = {self._leads.survivor(member.person) for member in campaign.members}
        return self._members[identifier]
