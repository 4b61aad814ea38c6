"""Calls that read records: list, read one, read many, search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.errors import answer, invalid, not_found, unknown_type
from cdp_pipelines.sandbox.hubspot.inputs import flag, json_body, names, objects, record_id, text, texts, whole
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.properties import ObjectType, Property, object_type
from cdp_pipelines.sandbox.hubspot.records import Record, Version, page, timestamp
from cdp_pipelines.sandbox.hubspot.search import Search
from cdp_pipelines.sandbox.hubspot.store import HubSpotStore
from cdp_pipelines.sandbox.hubspot.values import history, readers, value

LIST_MAX, HISTORY_MAX, BATCH_MAX = 100, 50, 100


class ObjectsApi:
    """Handlers for reads under `/crm/v3/objects`, and what all handlers share: types, ids, records as JSON."""

    def __init__(self, store: HubSpotStore, options: HubSpotOptions):
        self.store, self.options = store, options
        self._search = Search(store, options)

    def known(self, kind: ObjectType) -> dict[str, Property]:
        """The properties that this portal's objects of a type have."""
        absent = {
            name for name, has in (("hs_lead_score", self.options.lead_score), ("hubspotscore", self.options.legacy_score)) if not has
        }
        return {name: p for name, p in self.store.schema.definitions(kind.plural).items() if name not in absent}

    async def many(self, request: Request) -> Response:
        """GET a page of records, in order of id."""
        kind = self.kind(request)
        wanted, historic = names(request, "properties"), names(request, "propertiesWithHistory")
        limit = whole(request.query_params.get("limit", 10), "limit")
        most = HISTORY_MAX if historic else LIST_MAX
        if not 0 < limit <= most:
            raise invalid(f"Invalid input: limit must be between 1 and {most}" + (" with propertiesWithHistory" if historic else ""))
        records = self.store.records[kind.plural]
        ids = records.archived if flag(request, "archived") else records.live
        some, following = page(ids, self.after(request), limit)
        associations = self._asked_associations(request)
        show = self.shower(kind, wanted, historic, associations, request)
        results = [show(records.get(i)) for i in some]
        body: dict[str, Any] = {"results": results}
        if following is not None:
            link = str(request.url.include_query_params(after=following))
            body["paging"] = {"next": {"after": str(following), "link": link}}
        return answer(body)

    async def one(self, request: Request) -> Response:
        """GET one record, by id or by a unique property; the id of a contact that was merged away gives the survivor."""
        kind, asked = self.kind(request), request.path_params["id"]
        found = self.find(kind, asked, request.query_params.get("idProperty"), archived=flag(request, "archived"))
        if found is None:
            raise not_found(asked)
        wanted, historic = names(request, "properties"), names(request, "propertiesWithHistory")
        record = self.store.records[kind.plural].get(found)
        return answer(self.shower(kind, wanted, historic, self._asked_associations(request), request)(record))

    async def batch_read(self, request: Request) -> Response:
        """POST many ids. Those of contacts that were merged away are passed over in silence, others not found are errors beside the rest."""
        kind, body, started = self.kind(request), await json_body(request), timestamp(clock.now())
        wanted, historic = texts(body, "properties"), texts(body, "propertiesWithHistory")
        inputs = batch_inputs(body, HISTORY_MAX if historic else BATCH_MAX)
        id_property, archived = text(body, "idProperty", "hs_object_id"), flag(request, "archived")
        records, results, missing = self.store.records[kind.plural], [], []
        show = self.shower(kind, wanted, historic, [], request)
        for asked in (text(i, "id") for i in inputs):
            found = self.find(kind, asked, id_property, archived=archived, follow=False)
            if found is not None:
                results.append(show(records.get(found)))
            elif record_id(asked) not in self.store.merges.get(kind.plural, {}):
                missing.append(asked)
        return batch_answer(started, results, [not_gotten(kind, missing)] if missing else [])

    async def search(self, request: Request) -> Response:
        """POST filters, a sort, a page."""
        kind, body = self.kind(request), await json_body(request)
        wanted = texts(body, "properties")
        total, records, after = self._search.run(kind, self.known(kind), body)
        results = list(map(self.shower(kind, wanted, [], [], request), records))
        return answer({"total": total, "results": results, **({"paging": {"next": {"after": after}}} if after else {})})

    def kind(self, request: Request, name: str = "type") -> ObjectType:
        """The object type that the path names. Raises Refused."""
        if (found := object_type(request.path_params[name])) is None:
            raise unknown_type(request.path_params[name])
        return found

    def after(self, request: Request) -> int:
        """The id from which a page begins. Raises Refused."""
        return whole(request.query_params.get("after") or 0, "after")

    def find(
        self, kind: ObjectType, asked: str, id_property: str | None = None, *, archived: bool = False, follow: bool = True
    ) -> int | None:
        """A record's id from what was asked for; with `follow` that of the survivor of a merge. Raises Refused for a property that is not unique."""
        records = self.store.records[kind.plural]
        if id_property in (None, "", "hs_object_id"):
            found = record_id(asked)
            found = self.store.survivor(kind, found) if found is not None and follow else found
        else:
            self.check_unique(kind, id_property, "read")
            wanted = asked.strip().lower() if id_property == "email" else asked
            if not archived:
                return records.with_value(id_property, wanted)
            found = next((i for i in records.archived if value(self.store, kind, records.get(i), id_property) == wanted), None)
        return found if found is not None and (records.is_archived(found) if archived else records.is_live(found)) else None

    def check_unique(self, kind: ObjectType, name: str, doing: str) -> None:
        """Raises Refused unless records can be told apart by this property."""
        known = self.known(kind).get(name)
        if known is None or "u" not in known.flags:
            where = f"{kind.type_id} property {name} in portal ID {self.options.portal_id}"
            raise invalid(f"Unable to perform {doing} by non-unique {where}")

    def shower(
        self, kind: ObjectType, wanted: Iterable[str], historic: list[str], associations: list[ObjectType], request: Request
    ) -> Callable[[Record], dict[str, Any]]:
        """What shows a record as the API gives it. Properties that were asked for and do not exist are left out without a word."""
        known = self.known(kind)
        always = ("createdate", "hs_object_id", kind.modified)
        asked = readers(self.store, kind, sorted({*(wanted or (historic and always) or kind.default), *always} & known.keys()))
        page = f"https://app.hubspot.com/contacts/{self.options.portal_id}/record/{kind.type_id}/"

        def show(record: Record) -> dict[str, Any]:
            shown: dict[str, Any] = {"id": str(record.id), "properties": {name: read(record) for name, read in asked}}
            if historic:
                shown["propertiesWithHistory"] = {
                    name: [_version(v) for v in history(self.store, kind, record, name)] for name in historic if name in known
                }
            shown |= self.around(kind, record)
            if found := {other.plural: inline for other in associations if (inline := self._inline(kind, record, other, request))}:
                shown["associations"] = found
            shown["url"] = f"{page}{record.id}"
            return shown

        return show

    def around(self, kind: ObjectType, record: Record) -> dict[str, Any]:
        """What is said of a record beside its properties."""
        shown: dict[str, Any] = {
            "createdAt": timestamp(record.created), "updatedAt": timestamp(record.updated), "archived": record.archived is not None,
        }  # fmt: skip
        return shown | ({"archivedAt": timestamp(record.archived)} if record.archived is not None else {})

    def _asked_associations(self, request: Request) -> list[ObjectType]:
        found = []
        for name in names(request, "associations"):
            if (kind := object_type(name)) is None:
                raise unknown_type(name)
            found.append(kind)
        return found

    def _inline(self, kind: ObjectType, record: Record, other: ObjectType, request: Request) -> dict[str, Any]:
        """One entry for each type of each link, so that ids repeat; what is beyond the first hundred is on further pages."""
        entries = self.entries(kind, record.id, other)
        most = self.options.inline_associations
        if len(entries) <= most:
            return {"results": entries} if entries else {}
        after = entries[most]["id"]
        path = f"/crm/v3/objects/{kind.plural}/{record.id}/associations/{other.plural}"
        link = str(request.url.replace(path=path, query=f"after={after}"))
        return {"results": entries[:most], "paging": {"next": {"after": after, "link": link}}}

    def entries(self, kind: ObjectType, record_id: int, other: ObjectType) -> list[dict[str, str]]:
        """A record's links as the third version shows them."""
        links = self.store.associated(kind, record_id, other)
        return [{"id": str(end), "type": t.name} for end, types in links.items() for t in types]


def batch_inputs(body: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """The inputs of a batch. Raises Refused when there are too many."""
    inputs = objects(body, "inputs")
    if len(inputs) > most:
        raise invalid(f"The maximum number of inputs supported in a batch request is {most}. Found {len(inputs)}.")
    return inputs


def batch_answer(started: str, results: list[Any], errors: list[dict[str, Any]], status: int = 200) -> Response:
    """The answer to a batch: 207 as soon as there is an error beside the results."""
    done = {"completedAt": timestamp(clock.now()), "status": "COMPLETE", "startedAt": started, "results": results}
    return answer(done | {"errors": errors, "numErrors": len(errors)}, 207) if errors else answer(done, status)


def not_gotten(kind: ObjectType, missing: list[str]) -> dict[str, Any]:
    """What a batch says of ids that it did not find."""
    message = f"Could not get some {kind.singular.upper()} objects, they may be deleted or not exist. Check that ids are valid."
    return {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": missing}}


def _version(version: Version) -> dict[str, Any]:
    shown = {"value": version.value, "timestamp": timestamp(version.at), "sourceType": version.source}
    return shown | ({"sourceId": version.source_id} if version.source_id else {})
