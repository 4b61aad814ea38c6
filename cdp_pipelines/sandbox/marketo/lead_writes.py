"""Changing leads: sync, push, delete, merge, cookies, partitions, program status. Results come in the order of the input."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.marketo.envelope import MOST_RECORDS, ApiError, Params, skipped, success, whole
from cdp_pipelines.sandbox.marketo.fields import COMPANY_FIELDS
from cdp_pipelines.sandbox.marketo.moments import epoch
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.marketo.values import written

MOST_MERGED = 25
ACTIONS = ("createOrUpdate", "createOnly", "updateOnly", "createDuplicate")


class LeadWrites:
    """Handlers of what changes leads."""

    def __init__(self, store: MarketoStore, options: MarketoOptions):
        self.store, self.options = store, options

    def sync(self, params: Params, request: Request) -> Response:
        """`POST leads.json`."""
        records, action = params.inputs(), params.choice("action", ACTIONS)
        lookup = self._lookup(params)
        if lookup == "id" and action != "updateOnly":
            raise ApiError(1003, "Lookup field 'id' is only supported with action 'updateOnly'")
        partition, at = self._partition(params.object().get("partitionName")), clock.now()
        return success([self.put(record, action, lookup, partition, at) for record in records])

    def push(self, params: Params, request: Request) -> Response:
        """`POST leads/push.json`: create or update, and put the leads into a program."""
        records, lookup, body = params.inputs(), self._lookup(params), params.object()
        names = {p["name"]: p["id"] for p in self.store.assets.programs()}
        if not body.get("programName"):
            raise ApiError(1002, "Missing value for the required parameter 'programName'")
        if (name := str(body["programName"])) not in names:
            raise ApiError(1013, f"Program '{name}' not found")
        partition, at = self._partition(body.get("partitionName")), clock.now()
        results = [self.put(record, "createOrUpdate", lookup, partition, at) for record in records]
        for result in results:
            if "id" in result:
                self.store.assets.statuses[names[name], result["id"]] = str(body.get("programStatus") or "Member")
        return success(results)

    def put(self, record: dict[str, Any], action: str, lookup: str, partition: int, at: datetime, source: str = "Web service API") -> Any:
        """Write one record; gives its result."""
        try:
            found = [] if action == "createDuplicate" else self._matches(record, lookup)
            if found and action == "createOnly":
                raise ApiError(1005, "Lead already exists")
            if len(found) > 1:
                raise ApiError(1007, "Multiple lead match lookup criteria")
            if not found and action == "updateOnly":
                raise ApiError(1004, "Lead not found")
            values = self._values(record, lookup, found)
        except ApiError as error:
            return skipped(error)
        if found:
            self.store.edit_lead(found[0], values, at, source)
            return {"id": found[0], "status": "updated"}
        return {"id": self.store.create_lead(values | {"leadPartitionId": partition}, at, source), "status": "created"}

    def delete(self, params: Params, request: Request) -> Response:
        """`POST leads/delete.json`, and DELETE on `leads.json`: ids in the body's `input` or as parameters."""
        at, results = clock.now(), []
        for given in asked_leads(params):
            lead = self._alive(given)
            if lead is None:
                results.append(skipped(ApiError(1004, f"Lead '{given}' not found"), **id_of(given)))
                continue
            self.store.delete_person(str(lead), at)
            results.append({"id": lead, "status": "deleted"})
        return success(results)

    def merge(self, params: Params, request: Request) -> Response:
        """`POST leads/{winner}/merge.json`."""
        losers = [*params.many("leadIds"), *params.many("leadId")]
        if not losers:
            raise ApiError(1002, "Missing value for the required parameter 'leadIds'")
        if len(losers) > MOST_MERGED:
            raise ApiError(1080, f"Too many leads to merge: the maximum is {MOST_MERGED}")
        found = []
        for text in dict.fromkeys([request.path_params["id"], *losers]):
            if (lead := self._alive(text)) is None:
                raise ApiError(1004, f"Lead '{text}' not found")
            found.append(lead)
        winner, *others = dict.fromkeys(found)
        if request.path_params["id"] in losers or not others:
            raise ApiError(1003, "Invalid value for parameter 'leadIds'")
        self.store.merge_leads(winner, others, clock.now())
        return success()

    def associate(self, params: Params, request: Request) -> Response:
        """`POST leads/{id}/associate.json`: a cookie becomes the lead's."""
        if (lead := self._alive(text := request.path_params["id"])) is None:
            raise ApiError(1004, f"Lead '{text}' not found")
        cookie = params.need("cookie")
        if "token:" not in cookie or len(cookie) > 200:
            raise ApiError(1012, f"Invalid cookie value '{cookie[:100]}'")
        known = [c for c in (self.store.leads.get(lead)["cookies"] or "").split(",") if c]
        self.store.edit_lead(lead, {"cookies": ",".join(dict.fromkeys([*known, cookie]))[-255:]}, clock.now())
        return success([{"id": lead}])

    def partitions(self, params: Params, request: Request) -> Response:
        """`POST leads/partitions.json`."""
        at, results = clock.now(), []
        for record in params.inputs():
            lead = self._alive(record.get("id"))
            if lead is None:
                results.append(skipped(ApiError(1004, "Lead not found"), **id_of(record.get("id"))))
            elif record.get("partitionName") not in self.options.partitions:
                results.append(skipped(ApiError(1008, f"Access denied to partition '{record.get('partitionName')}'"), id=lead))
            else:
                self.store.edit_lead(lead, {"leadPartitionId": self._partition(record["partitionName"])}, at)
                results.append({"id": lead, "status": "updated"})
        return success(results)

    def program_status(self, params: Params, request: Request) -> Response:
        """`POST leads/programs/{id}/status.json`."""
        program = self.store.assets.program(whole(request.path_params["id"]) or 0)
        if program is None:
            raise ApiError(1013, "Program not found")
        leads, status, at, results = params.inputs(), params.object().get("status"), epoch(clock.now()), []
        if not status or not isinstance(status, str):
            raise ApiError(1002, "Missing value for the required parameter 'status'")
        for record in leads:
            if (lead := self._alive(record.get("id"))) is None:
                results.append(skipped(ApiError(1004, "Lead not found"), **id_of(record.get("id"))))
                continue
            old = self.store.assets.statuses.get((program["id"], lead), "Not in Program")
            self.store.assets.statuses[program["id"], lead] = status
            about = {"New_Status": status, "Old_Status": old, "Acquired_By": False, "Success": False}
            self.store.log.add(at, 104, lead, (program["id"], program["name"]), **about)
            results.append({"id": lead, "status": "updated"})
        return success(results)

    def _lookup(self, params: Params) -> str:
        lookup = params.object().get("lookupField") or "email"
        lookup = "cookies" if lookup == "cookie" else lookup
        if not isinstance(lookup, str) or lookup not in self.store.fields.filters:
            raise ApiError(1011, f"Lookup field '{lookup}' not supported")
        return lookup

    def _partition(self, name: Any) -> int:
        names = self.options.partitions
        if name is not None and name not in names:
            raise ApiError(1008, f"Access denied to partition '{name}'")
        return 1 + names.index(name) if name is not None else 1

    def _alive(self, given: Any) -> int | None:
        lead = whole(given)
        return lead if lead is not None and self.store.leads.is_alive(lead) else None

    def _matches(self, record: dict[str, Any], lookup: str) -> list[int]:
        value = record.get(lookup, record.get("cookie") if lookup == "cookies" else None)
        if value is None or value == "" or isinstance(value, list | dict):
            raise ApiError(1003, f"Value for lookup field '{lookup}' not found")
        return self.store.leads.find(lookup, [str(value)])

    def _values(self, record: dict[str, Any], lookup: str, found: list[int]) -> dict[str, Any]:
        """The record's values as the lead keeps them. Raises ApiError with the first thing that does not fit."""
        values: dict[str, Any] = {}
        company = record.get("externalCompanyId") or (found and self.store.leads.get(found[0])["externalCompanyId"])
        for name, value in record.items():
            if name == lookup == "id" or (name == "cookie" and lookup == "cookies"):
                continue
            if (field := self.store.fields.by_name.get(name)) is None:
                raise ApiError(1006, f"Field '{name}' not found")
            if name == "leadPartitionId":
                raise ApiError(1010, "Partition update not allowed")
            if name == "id" or field.read_only:
                raise ApiError(1003, f"Field '{name}' cannot be updated")
            if name in COMPANY_FIELDS and company:
                raise ApiError(1021, "Company update not allowed")
            values[name] = written(name, field.type, field.length, value)
        if (key := values.get("externalCompanyId")) and self.store.companies.id_of(key) is None:
            raise ApiError(1013, f"Company '{key}' not found")
        if (key := values.get("externalSalesPersonId")) and key not in self.store.sales_people:
            raise ApiError(718, f"ExternalSalesPersonId '{key}' not found")
        return values


def asked_leads(params: Params, most: int = MOST_RECORDS) -> list[Any]:
    """The lead ids that a request names: `id` in the body's `input`, or parameters `id`."""
    ids: list[Any] = [*params.many("id")]
    if params.json and params.body is not None:
        ids += [record.get("id") for record in params.inputs(most)]
    if not ids:
        raise ApiError(1002, "Missing value for the required parameter 'id'")
    if len(ids) > most:
        raise ApiError(1003, f"The size of input is more than {most}")
    return ids


def id_of(given: Any) -> dict[str, Any]:
    """The id of a result, as far as it was one."""
    number = whole(given)
    return {} if number is None else {"id": number}
