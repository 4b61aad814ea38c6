"""Calls on records: list, read one, read many, search."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.hubspot.errors import answer, invalid, not_found, unknown_type
from cdp_pipelines.sandbox.hubspot.limits import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.properties import ObjectType, Property, object_type, properties
from cdp_pipelines.sandbox.hubspot.records import Record, Version, page, timestamp
from cdp_pipelines.sandbox.hubspot.search import Search, whole
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.hubspot.values import history, value

LIST_MAX, HISTORY_MAX, BATCH_MAX = 100, 50, 100


class ObjectsApi:
    """Handlers for `/crm/v3/objects`."""

    def __init__(self, store: HubSpotStore, options: HubSpotOptions):
        self.store, self.options = store, options
        lag = timedelta(seconds=options.search_lag_seconds)
        self._search = Search(store, lag, options.search_cap)
        for records in store.records.values():
            records.remembers = bool(lag)

    def known(self, kind: ObjectType) -> dict[str, Property]:
        """The properties that this portal's objects of a type have."""
        absent = {
            name for name, has in (("hs_lead_score", self.options.lead_score), ("hubspotscore", self.options.legacy_score)) if not has
        }
        return {name: p for name, p in properties(kind.plural).items() if name not in absent}

    async def many(self, request: Request) -> Response:
        """GET a page of records, in order of id."""
        kind = self.kind(request)
        wanted, historic = names(request, "properties"), names(request, "propertiesWithHistory")
        limit = whole(request.query_params.get("limit", 10), "limit")
        most = HISTORY_MAX if historic else LIST_MAX
        if not 0 < limit <= most:
            raise invalid(f"Invalid input: limit must be between 1 and {most}" + (" with propertiesWithHistory" if historic else ""))
        records = self.store.records[kind.plural]
        ids = records.archived if _archived(request) else records.live
        some, following = page(ids, whole(request.query_params.get("after") or 0, "after"), limit)
        associations = self._asked_associations(request)
        results = [self.show(kind, records.get(i), wanted, historic, associations, request) for i in some]
        body: dict[str, Any] = {"results": results}
        if following is not None:
            link = str(request.url.include_query_params(after=following))
            body["paging"] = {"next": {"after": str(following), "link": link}}
        return answer(body)

    async def one(self, request: Request) -> Response:
        """GET one record, by id or by a unique property; the id of a contact that was merged away gives the survivor."""
        kind, asked = self.kind(request), request.path_params["id"]
        record_id = self.find(kind, asked, request.query_params.get("idProperty"))
        record_id = self.store.merged_into.get(record_id, record_id) if record_id is not None else None
        records = self.store.records[kind.plural]
        if record_id is None or not (records.is_archived(record_id) if _archived(request) else records.is_live(record_id)):
            raise not_found(asked)
        wanted, historic = names(request, "properties"), names(request, "propertiesWithHistory")
        return answer(self.show(kind, records.get(record_id), wanted, historic, self._asked_associations(request), request))

    async def batch_read(self, request: Request) -> Response:
        """POST many ids. Those of contacts that were merged away are passed over in silence, others not found are errors beside the rest."""
        kind, body, started = self.kind(request), await json_body(request), _now()
        wanted, historic = body.get("properties") or [], body.get("propertiesWithHistory") or []
        inputs, most = body.get("inputs") or [], HISTORY_MAX if historic else BATCH_MAX
        if len(inputs) > most:
            raise invalid(f"The maximum number of inputs supported in a batch request is {most}. Found {len(inputs)}.")
        records, results, missing = self.store.records[kind.plural], [], []
        for asked in (str(i.get("id")) for i in inputs):
            record_id = self.find(kind, asked, body.get("idProperty"))
            if record_id is not None and (records.is_archived(record_id) if _archived(request) else records.is_live(record_id)):
                results.append(self.show(kind, records.get(record_id), wanted, historic, [], request))
            elif record_id not in self.store.merged_into:
                missing.append(asked)
        done = {"status": "COMPLETE", "results": results, "startedAt": started, "completedAt": _now()}
        if not missing:
            return answer(done)
        message = f"Could not get some {kind.singular.upper()} objects, they may be deleted or not exist. Check that ids are valid."
        error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": missing}}
        return answer(done | {"numErrors": 1, "errors": [error]}, 207)

    async def search(self, request: Request) -> Response:
        """POST filters, a sort, a page."""
        kind, body = self.kind(request), await json_body(request)
        total, records, after = self._search.run(kind, self.known(kind), body)
        results = [self.show(kind, record, body.get("properties") or [], [], [], request) for record in records]
        return answer({"total": total, "results": results, **({"paging": {"next": {"after": after}}} if after else {})})

    def kind(self, request: Request, name: str = "type") -> ObjectType:
        """The object type that the path names. Raises Refused."""
        if (found := object_type(request.path_params[name])) is None:
            raise unknown_type(request.path_params[name])
        return found

    def find(self, kind: ObjectType, asked: str, id_property: str | None = None) -> int | None:
        """A record's id from what was asked for. Raises Refused for a property that is not unique."""
        if id_property in (None, "hs_object_id"):
            return int(asked) if asked.isdigit() else None
        known = self.known(kind).get(id_property)
        if known is None or "u" not in known.flags:
            raise invalid(
                f"Unable to perform read by non-unique {kind.type_id} property {id_property} in portal ID {self.options.portal_id}"
            )
        records, wanted = self.store.records[kind.plural], asked.strip().lower()
        return next((i for i in (*records.live, *records.archived) if value(self.store, kind, records.get(i), id_property) == wanted), None)

    def show(
        self, kind: ObjectType, record: Record, wanted: Iterable[str], historic: list[str], associations: list[ObjectType], request: Request
    ) -> dict[str, Any]:
        """A record as the API gives it. Properties that were asked for and do not exist are left out without a word."""
        known = self.known(kind)
        always = ("createdate", "hs_object_id", kind.modified)
        asked = sorted({*(wanted or (historic and always) or kind.default), *always} & known.keys())
        shown: dict[str, Any] = {
            "id": str(record.id),
            "properties": {name: value(self.store, kind, record, name) for name in asked},
        }
        if historic:
            shown["propertiesWithHistory"] = {
                name: [_version(v) for v in history(self.store, kind, record, name)] for name in historic if name in known
            }
        shown |= {"createdAt": timestamp(record.created), "updatedAt": timestamp(record.updated), "archived": record.archived is not None}
        if record.archived is not None:
            shown["archivedAt"] = timestamp(record.archived)
        if found := {other.plural: inline for other in associations if (inline := self._inline(kind, record, other, request))}:
            shown["associations"] = found
        shown["url"] = f"https://app.hubspot.com/contacts/{self.options.portal_id}/record/{kind.type_id}/{record.id}"
        return shown

    def _asked_associations(self, request: Request) -> list[ObjectType]:
        found = []
        for name in names(request, "associations"):
            if (kind := object_type(name)) is None:
                raise unknown_type(name)
            found.append(kind)
        return found

    def _inline(self, kind: ObjectType, record: Record, other: ObjectType, request: Request) -> dict[str, Any]:
        """One entry for each type of each link, so that ids repeat; what is beyond the first hundred is on further pages."""
        links = self.store.associated(kind, record.id, other)
        entries = [{"id": str(end), "type": t.name} for end, types in links.items() for t in types]
        most = self.options.inline_associations
        if len(entries) <= most:
            return {"results": entries} if entries else {}
        after = entries[most]["id"]
        path = f"/crm/v3/objects/{kind.plural}/{record.id}/associations/{other.plural}"
        link = str(request.url.replace(path=path, query=f"after={after}"))
        return {"results": entries[:most], "paging": {"next": {"after": after, "link": link}}}


def names(request: Request, param: str) -> list[str]:
    """A list parameter, its values joined by commas or repeated."""
    return list(dict.fromkeys(n.strip() for v in request.query_params.getlist(param) for n in v.split(",") if n.strip()))


async def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object. Raises Refused."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise invalid("Invalid input JSON on line 1, column 1: Cannot deserialize value")
    return body


def _archived(request: Request) -> bool:
    return request.query_params.get("archived", "").lower() == "true"


def _version(version: Version) -> dict[str, Any]:
    shown = {"value": version.value, "timestamp": timestamp(version.at), "sourceType": version.source}
    return shown | ({"sourceId": version.source_id} if version.source_id else {})


def _now() -> str:
    return timestamp(datetime.now(UTC))
