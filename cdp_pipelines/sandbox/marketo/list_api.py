"""Static lists: who is on them, putting leads on and taking them off, and the lists themselves as assets."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.envelope import ApiError, Params, asset_page, assets, page, skipped, success, whole
from cdp_pipelines.sandbox.marketo.lead_api import LEAD_DEFAULTS, LeadApi, asked_fields
from cdp_pipelines.sandbox.marketo.lead_writes import asked_leads, id_of
from cdp_pipelines.sandbox.marketo.lists import StaticList
from cdp_pipelines.sandbox.marketo.moments import epoch
from cdp_pipelines.sandbox.marketo.store import MarketoStore


class ListApi:
    """Handlers of `/rest/v1/lists`, `/rest/v1/list` and the asset API's static lists."""

    def __init__(self, store: MarketoStore, leads: LeadApi):
        self.store, self.leads = store, leads

    def lists(self, params: Params, request: Request) -> Response:
        """`lists.json`."""
        found = [each.show() for each in self.store.lists.lists.values()]
        for parameter in ("id", "name", "programName", "workspaceName"):
            if wanted := params.many(parameter):
                found = [each for each in found if str(each.get(parameter)) in wanted]
        shown, token = page(params, found, self.leads.options.short_pages)
        return success(shown, nextPageToken=token)

    def one(self, params: Params, request: Request) -> Response:
        """`lists/{id}.json`."""
        return success([self._list(request).show()])

    def members(self, params: Params, request: Request) -> Response:
        """`list/{id}/leads.json` and `lists/{id}/leads.json`."""
        fields = asked_fields(params, self.store.fields.by_name, LEAD_DEFAULTS)
        return self.leads.listed(params, self.store.lists.members(self._list(request).id), fields)

    def add(self, params: Params, request: Request) -> Response:
        """`POST lists/{id}/leads.json`."""
        return self._change(params, request, 24)

    def remove(self, params: Params, request: Request) -> Response:
        """`DELETE lists/{id}/leads.json`."""
        return self._change(params, request, 25)

    def _change(self, params: Params, request: Request, kind: int) -> Response:
        found, at, results = self._list(request), epoch(clock.now()), []
        for given in asked_leads(params):
            lead = whole(given)
            if lead is None or not self.store.leads.is_alive(lead):
                results.append(skipped(ApiError(1004, "Lead not found"), **id_of(given)))
                continue
            inside = self.store.lists.has(found.id, lead)
            if kind == 25 and not inside:
                results.append(skipped(ApiError(1015, "Lead not in list"), id=lead))
                continue
            (self.store.lists.put if kind == 24 else self.store.lists.take)(found.id, lead)
            if inside == (kind == 25):
                self.store.log.add(at, kind, lead, (found.id, found.name), Source="Web service API")
            results.append({"id": lead, "status": "added" if kind == 24 else "removed"})
        return success(results)

    def is_member(self, params: Params, request: Request) -> Response:
        """`lists/{id}/leads/ismember.json`."""
        found, results = self._list(request), []
        for given in asked_leads(params):
            lead = whole(given)
            if lead is None or not self.store.leads.is_alive(lead):
                results.append(skipped(ApiError(1004, "Lead not found"), **id_of(given)))
            else:
                results.append({"id": lead, "status": "memberof" if self.store.lists.has(found.id, lead) else "notmemberof"})
        return success(results)

    def _list(self, request: Request) -> StaticList:
        found = self.store.lists.lists.get(whole(request.path_params["id"]) or 0)
        if found is None:
            raise ApiError(1013, f"List '{request.path_params['id']}' not found")
        return found

    def assets(self, params: Params, request: Request) -> Response:
        """`/rest/asset/v1/staticLists.json`."""
        return assets(asset_page(params, [each.show_asset() for each in self.store.lists.lists.values()]))

    def asset(self, params: Params, request: Request) -> Response:
        """`/rest/asset/v1/staticList/{id}.json` and `byName.json`."""
        key: Any = request.path_params["id"]
        name = params.need("name") if key == "byName" else None
        found = [e for e in self.store.lists.lists.values() if (e.name == name if key == "byName" else str(e.id) == key)]
        return assets([each.show_asset() for each in found])

    def create(self, params: Params, request: Request) -> Response:
        """`POST /rest/asset/v1/staticLists.json`: a form with `name` and `folder`."""
        name, folder = params.need("name"), params.need("folder")
        if any(each.name == name for each in self.store.lists.lists.values()):
            raise ApiError(709, "List name already exists")
        digits = "".join(c for c in folder if c in "0123456789")
        made = self.store.lists.make(name, whole(digits) or 22, params.get("description") or "", epoch(clock.now()))
        return assets([made.show_asset()])

    def update(self, params: Params, request: Request) -> Response:
        """`POST /rest/asset/v1/staticList/{id}.json`."""
        found = self._asset(request)
        found.name, found.description = params.get("name") or found.name, params.get("description") or found.description
        found.updated = epoch(clock.now())
        return assets([found.show_asset()])

    def delete(self, params: Params, request: Request) -> Response:
        """`POST /rest/asset/v1/staticList/{id}/delete.json`."""
        found = self._asset(request)
        self.store.lists.drop(found.id)
        return assets([{"id": found.id}])

    def _asset(self, request: Request) -> StaticList:
        found = self.store.lists.lists.get(whole(request.path_params["id"]) or 0)
        if found is None:
            raise ApiError(702, f"Static list not found with id {request.path_params['id']}")
        return found
