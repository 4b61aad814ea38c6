"""The activity endpoints. A page looks at a block of the log, so that an empty page with more to come is an everyday thing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.marketo.activities import Activity, describe_types
from cdp_pipelines.sandbox.marketo.envelope import ApiError, Params, make_token, read_token, reply, request_id, success
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore

MOST_TYPES, MOST_LEADS, PAGE = 10, 30, 300


class ActivityApi:
    """Handlers of `/rest/v1/activities`."""

    def __init__(self, store: MarketoStore, options: MarketoOptions):
        self.store, self.options = store, options

    def types(self, params: Params, request: Request) -> Response:
        """`types.json`."""
        return success(describe_types())

    def paging_token(self, params: Params, request: Request) -> Response:
        """`pagingtoken.json`: the token is beside, not in, `result`."""
        text = params.need("sinceDatetime")
        try:
            # A plus sign that was not quoted arrives as a space.
            since = datetime.fromisoformat(text.replace(" ", "+"))
        except ValueError:
            raise ApiError(1003, "Invalid value for parameter 'sinceDatetime'") from None
        since = since if since.tzinfo else since.replace(tzinfo=UTC)
        return success(nextPageToken=make_token(place=self.store.log.place_of(since.timestamp())))

    def activities(self, params: Params, request: Request) -> Response:
        """`activities.json`."""
        types = params.many("activityTypeIds")
        if not types:
            raise ApiError(1002, "Missing value for the required parameter 'activityTypeIds'")
        if len(types) > MOST_TYPES or not all(t.isdecimal() for t in types):
            raise ApiError(1003, "Invalid value for parameter 'activityTypeIds'")
        leads = set(params.many("leadIds"))
        if len(leads) > MOST_LEADS:
            raise ApiError(1003, f"Too many leadIds: the maximum is {MOST_LEADS}")
        found, more, token = self._block(params, map(int, types))
        return _page([a for a in found if not leads or str(a["leadId"]) in leads], more, token)

    def lead_changes(self, params: Params, request: Request) -> Response:
        """`leadchanges.json`. As in the real one, changes of other fields than the asked ones come too."""
        params.need("fields")
        found, more, token = self._block(params, (12, 13))
        return _page([_lead_change(a) for a in found], more, token)

    def deleted_leads(self, params: Params, request: Request) -> Response:
        """`deletedleads.json`."""
        found, more, token = self._block(params, (37,))
        return _page(found, more, token)

    def _block(self, params: Params, types: Iterable[int]) -> tuple[list[Activity], bool, str]:
        place = read_token(params.need("nextPageToken")).get("place", 0)
        size, log = params.size("batchSize", PAGE, PAGE), self.store.log
        found: list[Activity] = []
        stop = min(place + self.options.activity_block, len(log))
        for spot, activity in log.scan(place, self.options.activity_block, types):
            found.append(activity)
            if len(found) == size:
                stop = spot + 1
                break
        return found, stop < len(log), make_token(place=stop)


def _page(found: list[dict[str, Any]], more: bool, token: str) -> Response:
    return reply({"requestId": request_id(), "result": found, "success": True, "nextPageToken": token, "moreResult": more})


def _lead_change(activity: Activity) -> dict[str, Any]:
    attributes = {a["name"]: a["value"] for a in activity["attributes"]}
    fields = []
    if activity["activityTypeId"] == 13:
        change = {"newValue": attributes.get("New Value"), "oldValue": attributes.get("Old Value")}
        fields = [{"id": activity["primaryAttributeValueId"], "name": activity["primaryAttributeValue"], **change}]
    kept = {k: v for k, v in activity.items() if k in ("id", "marketoGUID", "leadId", "activityDate", "activityTypeId", "campaignId")}
    return kept | {"fields": fields, "attributes": activity["attributes"]}
