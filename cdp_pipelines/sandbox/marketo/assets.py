"""Programs and smart campaigns: one of each for every campaign of the world, as the asset API and the lead database show them."""

from __future__ import annotations

from typing import Any

from cdp_pipelines.sandbox.marketo.moments import asset_time, epoch, iso
from cdp_pipelines.sandbox.people import Campaign, CrmView

PROGRAM_ID, CAMPAIGN_ID, SMART_LIST_ID, FLOW_ID = 1001, 2001, 4001, 5001
STATUSES = {"Webinar": ("Invited", "Registered", "Attended", "No Show"), "Email": ("Sent", "Responded")}
_REGIONS = ("AMER", "EMEA", "APAC")
_DATED = ("Conference", "Webinar", "Trade Show")


class Assets:
    """The programs and smart campaigns. Only whether a campaign is active can be changed.

    `statuses` are the program statuses that were set through the API: program and lead -> status.
    """

    def __init__(self, view: CrmView):
        self._view = view
        self._active: dict[int, tuple[bool, int]] = {}
        self.statuses: dict[tuple[int, int], str] = {}

    def campaigns(self) -> list[dict[str, Any]]:
        """The smart campaigns as the lead database shows them."""
        return [self._campaign(c) for c in self._view.campaigns]

    def campaign(self, identifier: int | None) -> dict[str, Any] | None:
        """One of them."""
        return next((c for c in self.campaigns() if c["id"] == identifier), None)

    def smart_campaigns(self) -> list[dict[str, Any]]:
        """The smart campaigns as the asset API shows them."""
        return [self._smart_campaign(c) for c in self._view.campaigns]

    def activate(self, identifier: int, active: bool, at: int) -> None:
        """Switch a trigger campaign on or off."""
        self._active[identifier] = (active, at)

    def programs(self) -> list[dict[str, Any]]:
        """The programs, as a listing shows them."""
        return [_program(c) for c in self._view.campaigns]

    def program(self, identifier: int, tags: bool = True, costs: bool = True) -> dict[str, Any] | None:
        """One program, with what only a look at one shows."""
        number = identifier - PROGRAM_ID
        if not 0 <= number < len(self._view.campaigns):
            return None
        campaign = self._view.campaigns[number]
        made = _program(campaign)
        if tags:
            made["tags"] = [{"tagType": "Region", "tagValue": _REGIONS[number % 3]}]
        if costs:
            made["costs"] = [{"startDate": f"{campaign.start:%Y-%m}-01T00:00:00Z+0000", "cost": 1000 + 250 * number, "note": ""}]
        return made

    def members(self, identifier: int) -> list[tuple[int, str, bool, int]]:
        """The members of a program: person record's number, status, success, seconds at which they joined."""
        campaign = self._view.campaigns[identifier - PROGRAM_ID]
        return [(m.person, m.status, m.responded, epoch(m.created)) for m in campaign.members]

    def channels(self) -> list[dict[str, Any]]:
        """The channels of the programs."""
        found = []
        for number, name in enumerate(sorted({c.type for c in self._view.campaigns})):
            statuses = [{"name": s, "step": 10 * n, "success": n > 0} for n, s in enumerate(STATUSES.get(name, ("Sent", "Responded")), 1)]
            stamps = {"createdAt": "2020-01-01T00:00:00Z+0000", "updatedAt": "2020-01-01T00:00:00Z+0000"}
            kind = "event" if name in _DATED else "default"
            found.append({"id": number + 1, "name": name, "applicableProgramType": kind, "progressionStatuses": statuses, **stamps})
        return found

    def tag_types(self) -> list[dict[str, Any]]:
        """The one type of tag."""
        return [{"tagType": "Region", "applicableProgramTypes": "program", "required": False, "allowableValues": list(_REGIONS)}]

    def _campaign(self, campaign: Campaign) -> dict[str, Any]:
        number, (active, updated) = campaign.number, self._state(campaign)
        return {
            "id": CAMPAIGN_ID + number, "name": f"{campaign.name} - Invite", "type": "trigger" if number % 3 == 0 else "batch",
            "programName": campaign.name, "programId": PROGRAM_ID + number, "workspaceName": "Default",
            "createdAt": iso(epoch(campaign.created)), "updatedAt": iso(updated), "active": active,
        }  # fmt: skip

    def _smart_campaign(self, campaign: Campaign) -> dict[str, Any]:
        number, (active, updated) = campaign.number, self._state(campaign)
        trigger = number % 3 == 0
        return {
            "id": CAMPAIGN_ID + number, "name": f"{campaign.name} - Invite", "description": "", "createdAt": asset_time(epoch(campaign.created)),
            "updatedAt": asset_time(updated), "folder": {"id": PROGRAM_ID + number, "type": "Program"},
            "status": ("Active" if active else "Inactive") if trigger else "Single Run", "type": "trigger" if trigger else "batch",
            "isSystem": False, "isActive": active, "isRequestable": trigger, "isCommunicationLimitEnabled": False,
            "recurrence": {"weekdayOnly": False}, "qualificationRuleType": "once", "workspace": "Default", "smartListId": SMART_LIST_ID + number,
            "flowId": FLOW_ID + number, "computedUrl": f"https://app.example.com/#SC{CAMPAIGN_ID + number}A1",
        }  # fmt: skip

    def _state(self, campaign: Campaign) -> tuple[bool, int]:
        """Whether a smart campaign is active, and when it was last changed."""
        return self._active.get(CAMPAIGN_ID + campaign.number, (campaign.status == "In Progress", epoch(campaign.updated)))


def _program(campaign: Campaign) -> dict[str, Any]:
    folder = {"type": "Folder", "value": 21, "folderName": "Programs"}
    made = {
        "id": PROGRAM_ID + campaign.number, "name": campaign.name, "description": "", "createdAt": asset_time(epoch(campaign.created)),
        "updatedAt": asset_time(epoch(campaign.updated)), "url": f"https://app.example.com/#PG{PROGRAM_ID + campaign.number}A1",
        "type": "Event" if campaign.type == "Conference" else "Default", "channel": campaign.type, "folder": folder, "status": campaign.status,
        "workspace": "Default", "headStart": False,
    }  # fmt: skip
    if campaign.type in _DATED:
        made |= {"startDate": f"{campaign.start}T00:00:00Z+0000"}
        if campaign.end:
            made |= {"endDate": f"{campaign.end}T00:00:00Z+0000"}
    return made
