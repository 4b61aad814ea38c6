"""The activity endpoints. A page looks at a block of the log, so that an empty page with more to come is an everyday thing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.marketo.activities import Activity, describe_types
from cdp_pipelines.sandbox.marketo.envelope import (
    PAGE,
    ApiError,
    Params,
    make_token,
    moment,
    read_token,
    reply,
    request_id,
    skipped,
    success,
    whole,
)
from cdp_pipelines.sandbox.marketo.lead_fields import LeadFields
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore

MOST_TYPES, MOST_LEADS = 10, 30


class ActivityApi:
    """Handlers of `/rest/v1/activities`."""

    def __init__(self, store: MarketoStore, options: MarketoOptions):
        self.store, self.options = store, options

    def types(self, params: Params, request: Request) -> Response:
        """`types.json`."""
        return success(describe_types())

    def paging_token(self, params: Params, request: Request) -> Response:
        """`pagingtoken.json`: the token is beside, not in, `result`."""
        since = moment(params.need("sinceDatetime"), "sinceDatetime")
        return success(nextPageToken=make_token(place=self.store.log.place_of(since.timestamp())))

    def activities(self, params: Params, request: Request) -> Response:
        """`activities.json`."""
        types = params.many("activityTypeIds")
        if not types:
            raise ApiError(1002, "Missing value for the required parameter 'activityTypeIds'")
        numbers = [whole(t) for t in types]
        if len(types) > MOST_TYPES or None in numbers:
            raise ApiError(1003, "Invalid value for parameter 'activityTypeIds'")
        wanted, assets = self._leads(params), set(params.many("assetIds"))
        found, more, token = self._block(params, [n for n in numbers if n is not None])
        if assets:
            found = [a for a in found if str(a.get("primaryAttributeValueId")) in assets]
        return _page([a for a in found if wanted is None or a["leadId"] in wanted], more, token)

    def lead_changes(self, params: Params, request: Request) -> Response:
        """`leadchanges.json`. As in the real one, changes of other fields than the asked ones come too, unless the options say no."""
        params.need("fields")
        fields, wanted = params.many("fields"), self._leads(params)
        if unknown := next((f for f in fields if f not in self.store.fields.by_name), None):
            raise ApiError(1006, f"Field '{unknown}' not found")
        found, more, token = self._block(params, (12, 13))
        changes = [_lead_change(a, self.store.fields) for a in found if wanted is None or a["leadId"] in wanted]
        if not self.options.lead_changes_of_other_fields:
            changes = [c for c in changes if not c["fields"] or c["fields"][0]["name"] in fields]
        return _page(changes, more, token)

    def deleted_leads(self, params: Params, request: Request) -> Response:
        """`deletedleads.json`."""
        found, more, token = self._block(params, (37,))
        return _page(found, more, token)

    def external_types(self, params: Params, request: Request) -> Response:
        """`external/types.json`: this instance has no custom activities."""
        return success([])

    def add_external(self, params: Params, request: Request) -> Response:
        """`POST external.json`: nothing can be added, since there is no custom activity."""
        return success([skipped(ApiError(1003, f"Activity type '{r.get('activityTypeId')}' not found")) for r in params.inputs()])

    def _leads(self, params: Params) -> set[int] | None:
        """The leads that are asked for, one by one or by their list; None for all."""
        texts = params.many("leadIds")
        if len(texts) > MOST_LEADS:
            raise ApiError(1003, f"Too many leadIds: the maximum is {MOST_LEADS}")
        wanted = {n for n in map(whole, texts) if n is not None} if texts else None
        if text := params.get("listId"):
            number = whole(text)
            if number is None or number not in self.store.lists.lists:
                raise ApiError(1013, f"List '{text}' not found")
            members = self.store.lists.members(number)
            if len(members) >= self.options.list_activity_cap:
                raise ApiError(1003, f"List has {self.options.list_activity_cap} members or more")
            wanted = set(members) if wanted is None else wanted & set(members)
        return wanted

    def _block(self, params: Params, types: Iterable[int]) -> tuple[list[Activity], bool, str]:
        log = self.store.log
        place = min(read_token(params.need("nextPageToken")).get("place", 0), len(log))
        size = params.size("batchSize", PAGE, PAGE)
        size = max(size // 2, 1) if self.options.short_pages else size
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


def _lead_change(activity: Activity, known: LeadFields) -> dict[str, Any]:
    attributes = {a["name"]: a["value"] for a in activity["attributes"]}
    fields = []
    if activity["activityTypeId"] == 13:
        change = {"newValue": attributes.get("New Value"), "oldValue": attributes.get("Old Value")}
        number = activity["primaryAttributeValueId"]
        name = known.all[number].name if number in known.all else None
        fields = [{"id": number, "name": name or activity["primaryAttributeValue"], **change}]
    kept = {k: v for k, v in activity.items() if k in ("id", "marketoGUID", "leadId", "activityDate", "activityTypeId", "campaignId")}
    return kept | {"fields": fields, "attributes": activity["attributes"]}
