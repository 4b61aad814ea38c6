"""Reading leads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.marketo.envelope import MOST_RECORDS, ApiError, Params, page, success, whole
from cdp_pipelines.sandbox.marketo.moments import iso
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore

MOST_MATCHES = 1000
LEAD_DEFAULTS = ("id", "email", "updatedAt", "createdAt", "firstName", "lastName")


class LeadApi:
    """Handlers of `/rest/v1/lead` and of what is read under `/rest/v1/leads`."""

    def __init__(self, store: MarketoStore, options: MarketoOptions):
        self.store, self.options = store, options

    def lead(self, params: Params, request: Request) -> Response:
        """`lead/{id}.json`."""
        fields = asked_fields(params, self.store.fields.by_name, LEAD_DEFAULTS)
        lead = self.store.leads.get(self.known(request.path_params["id"]))
        return success([{f: lead[f] for f in fields}])

    def known(self, text: str) -> int:
        """The id in a path. Raises ApiError 1004 when there is no such lead."""
        found = self.store.leads.find("id", [text])
        if not found:
            raise ApiError(1004, f"Lead '{text}' not found")
        return found[0]

    def leads(self, params: Params, request: Request) -> Response:
        """`leads.json`."""
        field, values = asked_filter(params)
        if field not in self.store.fields.filters:
            raise ApiError(1011, f"Lookup field '{field}' not supported")
        fields = asked_fields(params, self.store.fields.by_name, LEAD_DEFAULTS)
        found = self.store.leads.find(field, values)
        if len(found) > MOST_MATCHES:
            raise ApiError(1003, "Too many results match the filter")
        return self.listed(params, found, fields)

    def listed(self, params: Params, found: list[int], fields: Iterable[str]) -> Response:
        """One page of these leads."""
        identifiers, token = page(params, found, self.options.short_pages)
        leads = (self.store.leads.get(identifier) for identifier in identifiers)
        return success([{f: lead[f] for f in fields} for lead in leads], nextPageToken=token)

    def of_program(self, params: Params, request: Request) -> Response:
        """`leads/programs/{id}.json`: the members of a program, each with `membership`."""
        program = self.store.assets.program(whole(request.path_params["id"]) or 0)
        if program is None:
            raise ApiError(1013, "Program not found")
        fields = asked_fields(params, self.store.fields.by_name, LEAD_DEFAULTS)
        members: dict[int, dict[str, Any]] = {}
        for person, status, success_, joined in self.store.assets.members(program["id"]):
            lead = self.store.leads.survivor(person)
            if self.store.leads.is_alive(lead):
                members.setdefault(lead, membership(status, success_, joined))
        for (number, lead), status in self.store.assets.statuses.items():
            if number == program["id"] and self.store.leads.is_alive(lead):
                members[lead] = members.get(lead, membership(status, False, 0)) | {"progressionStatus": status}
        identifiers, token = page(params, sorted(members), self.options.short_pages)
        rows = [{f: self.store.leads.get(i)[f] for f in fields} | {"membership": members[i]} for i in identifiers]
        return success(rows, nextPageToken=token)

    def partitions(self, params: Params, request: Request) -> Response:
        """`leads/partitions.json`."""
        text = "Initial system lead partition"
        names = self.options.partitions
        return success([{"id": n, "name": name, **({"description": text} if n == 1 else {})} for n, name in enumerate(names, 1)])

    def lists(self, params: Params, request: Request) -> Response:
        """`leads/{id}/listMembership.json`."""
        found = self.store.lists.of_lead(self.known(request.path_params["id"]))
        shown, token = page(params, [{"listId": each.id, "name": each.name} for each in found])
        return success(shown, nextPageToken=token, moreResult=token is not None)


def membership(status: str, reached: bool, joined: int) -> dict[str, Any]:
    """A lead's part in a program."""
    return {"id": 1, "acquiredBy": False, "progressionStatus": status, "reachedSuccess": reached, "membershipDate": iso(joined)}


def asked_filter(params: Params) -> tuple[str, list[str]]:
    """`filterType` and `filterValues`."""
    field = params.need("filterType")
    params.need("filterValues")
    values = params.many("filterValues")
    if len(values) > MOST_RECORDS:
        raise ApiError(1003, f"Too many values: the maximum is {MOST_RECORDS}")
    return field, values


def asked_fields(params: Params, known: Iterable[str], default: tuple[str, ...]) -> list[str]:
    """`fields`, or the default ones."""
    fields = params.many("fields")
    if unknown := next((f for f in fields if f not in known), None):
        raise ApiError(1006, f"Field '{unknown}' not found")
    return fields or list(default)
