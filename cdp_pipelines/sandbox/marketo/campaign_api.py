"""Campaigns and programs: listing, looking one up, requesting and scheduling."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.envelope import ApiError, Params, asset_page, assets, moment, page, success, whole
from cdp_pipelines.sandbox.marketo.moments import epoch
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore

MOST_REQUESTED = 100
Call = Callable[[dict[str, Any], list[int], dict[str, str]], None]


class CampaignApi:
    """Handlers of `/rest/v1/campaigns` and of the asset API's programs and smart campaigns.

    `call_webhook` does the flow step of a requested campaign: it gets the campaign, the leads and the campaign's tokens.
    """

    def __init__(self, store: MarketoStore, options: MarketoOptions, call_webhook: Call):
        self.store, self.options, self.call_webhook = store, options, call_webhook

    def campaigns(self, params: Params, request: Request) -> Response:
        """`campaigns.json`."""
        found = self.store.assets.campaigns()
        for parameter in ("id", "name", "programName", "workspaceName"):
            if wanted := params.many(parameter):
                found = [c for c in found if str(c[parameter]) in wanted]
        if params.get("isTriggerable"):
            found = [c for c in found if (c["type"] == "trigger") == params.flag("isTriggerable")]
        shown, token = page(params, found, self.options.short_pages)
        return success(shown, nextPageToken=token)

    def campaign(self, params: Params, request: Request) -> Response:
        """`campaigns/{id}.json`."""
        return success([self._campaign(request)])

    def trigger(self, params: Params, request: Request) -> Response:
        """`POST campaigns/{id}/trigger.json`: run the campaign for up to 100 leads."""
        campaign, given = self._campaign(request), params.object().get("input")
        leads = given.get("leads") if isinstance(given, dict) else None
        if not isinstance(given, dict) or not leads or not isinstance(leads, list):
            raise ApiError(1002, "Missing value for the required parameter 'leads'")
        if len(leads) > MOST_REQUESTED:
            raise ApiError(1003, f"The size of leads is more than {MOST_REQUESTED}")
        if campaign["type"] != "trigger" or not campaign["active"]:
            raise ApiError(1003, f"Campaign '{campaign['id']}' is not requestable")
        found = []
        for record in leads:
            text = record.get("id") if isinstance(record, dict) else record
            lead = whole(text)
            if lead is None or not self.store.leads.is_alive(lead):
                raise ApiError(1004, f"Lead '{text}' not found")
            found.append(lead)
        self.call_webhook(campaign, found, _tokens(given))
        return success([{"id": campaign["id"]}])

    def schedule(self, params: Params, request: Request) -> Response:
        """`POST campaigns/{id}/schedule.json`. Nothing comes of it here: batch campaigns cannot call webhooks."""
        campaign = self._campaign(request)
        body = params.body if isinstance(params.body, dict) else {}
        given = body.get("input") if isinstance(body.get("input"), dict) else {}
        assert isinstance(given, dict)
        if campaign["type"] != "batch":
            raise ApiError(1003, f"Campaign '{campaign['id']}' is not schedulable")
        if given.get("runAt"):
            try:
                moment(given["runAt"], "runAt")
            except ApiError:
                raise ApiError(1042, "Invalid runAt date") from None
        return success([{"id": campaign["id"]}])

    def _campaign(self, request: Request) -> dict[str, Any]:
        found = self.store.assets.campaign(whole(request.path_params["id"]))
        if found is None:
            raise ApiError(1013, f"Campaign '{request.path_params['id']}' not found")
        return found

    def of_lead(self, params: Params, request: Request) -> Response:
        """`leads/{id}/smartCampaignMembership.json`."""
        lead = whole(request.path_params["id"])
        if lead is None or not self.store.leads.is_alive(lead):
            raise ApiError(1004, f"Lead '{request.path_params['id']}' not found")
        found = []
        for campaign in self.store.assets.campaigns():
            if any(self.store.leads.survivor(person) == lead for person, *_ in self.store.assets.members(campaign["programId"])):
                found.append({"smartCampaignId": campaign["id"], "smartCampaignName": campaign["name"]})
        shown, token = page(params, found)
        return success(shown, nextPageToken=token, moreResult=token is not None)

    def smart_campaigns(self, params: Params, request: Request) -> Response:
        """`/rest/asset/v1/smartCampaigns.json`."""
        found = _in_range(params, self.store.assets.smart_campaigns())
        if params.get("isActive"):
            found = [c for c in found if c["isActive"] == params.flag("isActive")]
        return assets(asset_page(params, found))

    def smart_campaign(self, params: Params, request: Request) -> Response:
        """`/rest/asset/v1/smartCampaign/{id}.json` and `byName.json`."""
        return assets(_named(params, request, self.store.assets.smart_campaigns()))

    def activate(self, active: bool) -> Callable[[Params, Request], Response]:
        """`POST /rest/asset/v1/smartCampaign/{id}/activate.json` or `deactivate.json`."""

        def answer(params: Params, request: Request) -> Response:
            campaign = self.store.assets.campaign(whole(request.path_params["id"]))
            if campaign is None:
                raise ApiError(702, f"Smart campaign not found with id {request.path_params['id']}")
            if campaign["type"] != "trigger" or campaign["active"] == active:
                raise ApiError(709, f"Smart campaign cannot be {'activated' if active else 'deactivated'}")
            self.store.assets.activate(campaign["id"], active, epoch(clock.now()))
            return assets([{"id": campaign["id"]}])

        return answer

    def programs(self, params: Params, request: Request) -> Response:
        """`/rest/asset/v1/programs.json`."""
        found = _in_range(params, self.store.assets.programs())
        if status := params.get("status"):
            found = [p for p in found if p["status"] == status]
        if kind := params.get("filterType"):
            values = params.many("filterValues")
            read: dict[str, Callable[[dict[str, Any]], Any]] = {
                "id": lambda p: p["id"], "programId": lambda p: p["id"], "folderId": lambda p: p["folder"]["value"],
                "workspace": lambda p: p["workspace"],
            }  # fmt: skip
            if kind not in read:
                raise ApiError(1003, f"Invalid filter type '{kind}'")
            found = [p for p in found if str(read[kind](p)) in values]
        return assets(asset_page(params, found))

    def program(self, params: Params, request: Request) -> Response:
        """`/rest/asset/v1/program/{id}.json` and `byName.json`; by name, tags and costs come when they are asked for."""
        found = _named(params, request, self.store.assets.programs())
        by_name = request.path_params["id"] == "byName"
        tags, costs = (params.flag("includeTags"), params.flag("includeCosts")) if by_name else (True, True)
        return assets([self.store.assets.program(p["id"], tags, costs) for p in found])

    def program_by_tag(self, params: Params, request: Request) -> Response:
        """`/rest/asset/v1/program/byTag.json`."""
        kind, value = params.need("tagType"), params.need("tagValue")
        found = [self.store.assets.program(p["id"], costs=False) for p in self.store.assets.programs()]
        return assets(asset_page(params, [p for p in found if p and {"tagType": kind, "tagValue": value} in p["tags"]]))

    def channels(self, params: Params, request: Request) -> Response:
        """`/rest/asset/v1/channels.json`, `channel/byName.json`."""
        name = params.get("name")
        return assets(asset_page(params, [c for c in self.store.assets.channels() if name is None or c["name"] == name]))

    def tag_types(self, params: Params, request: Request) -> Response:
        """`/rest/asset/v1/tagTypes.json`, `tagType/byName.json`."""
        name = params.get("name")
        return assets(asset_page(params, [t for t in self.store.assets.tag_types() if name is None or t["tagType"] == name]))


def _named(params: Params, request: Request, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    key = request.path_params["id"]
    wanted = params.need("name") if key == "byName" else key
    return [each for each in found if (each["name"] if key == "byName" else str(each["id"])) == wanted]


def _in_range(params: Params, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was changed from `earliestUpdatedAt` to `latestUpdatedAt`. A range in the future is refused (singer-io/tap-marketo PR 107)."""
    earliest, latest = (params.get(name) for name in ("earliestUpdatedAt", "latestUpdatedAt"))
    first = moment(earliest, "earliestUpdatedAt") if earliest else None
    last = moment(latest, "latestUpdatedAt") if latest else None
    if first and first > clock.now():
        raise ApiError(1003, "earliestUpdatedAt cannot be in the future")

    def inside(text: str) -> bool:
        updated = datetime.fromisoformat(text.removesuffix("+0000"))
        return (first is None or updated >= first) and (last is None or updated <= last)

    return [each for each in found if inside(each["updatedAt"])]


def _tokens(given: dict[str, Any]) -> dict[str, str]:
    """The campaign's own tokens in a request, by name without braces."""
    tokens = given.get("tokens")
    pairs = [t for t in tokens if isinstance(t, dict)] if isinstance(tokens, list) else []
    return {str(t.get("name", "")).strip("{} "): str(t.get("value", "")) for t in pairs}
