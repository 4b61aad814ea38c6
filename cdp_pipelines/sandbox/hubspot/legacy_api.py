"""The first and second versions, as public clients still call them: companies, deals, pipelines of deals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.hubspot.errors import answer, invalid, not_found
from cdp_pipelines.sandbox.hubspot.inputs import names, whole
from cdp_pipelines.sandbox.hubspot.objects_api import ObjectsApi
from cdp_pipelines.sandbox.hubspot.pipelines import Pipeline
from cdp_pipelines.sandbox.hubspot.properties import COMPANIES, CONTACTS, DEALS, ObjectType
from cdp_pipelines.sandbox.hubspot.records import Record, milliseconds, page
from cdp_pipelines.sandbox.hubspot.values import history, value

PAGE_MAX = 250
RECENT_MAX = 10_000


class LegacyApi:
    """Handlers for `/companies/v2`, `/deals/v1`. Approximated: only the fields that clients were seen to read."""

    def __init__(self, objects: ObjectsApi):
        self._objects, self._store, self._options = objects, objects.store, objects.options

    async def companies(self, request: Request) -> Response:
        """GET a page of companies, in order of id."""
        found, following = self._page(request, COMPANIES)
        wanted = self._wanted(request, COMPANIES)
        body = {"companies": [self._company(r, wanted) for r in found], "has-more": following is not None}
        return answer(body | {"offset": following if following is not None else (found[-1].id if found else 0)})

    async def company(self, request: Request) -> Response:
        """GET one company with all its properties."""
        return answer(self._company(self._one(request, COMPANIES), list(self._objects.known(COMPANIES))))

    async def deals(self, request: Request) -> Response:
        """GET a page of deals, in order of id."""
        found, following = self._page(request, DEALS)
        wanted, linked = self._wanted(request, DEALS), request.query_params.get("includeAssociations", "").lower() == "true"
        body = {"deals": [self._deal(r, wanted, linked=linked) for r in found], "hasMore": following is not None}
        return answer(body | {"offset": following if following is not None else (found[-1].id if found else 0)})

    async def deal(self, request: Request) -> Response:
        """GET one deal with all its properties."""
        return answer(self._deal(self._one(request, DEALS), list(self._objects.known(DEALS)), linked=True))

    async def recent_companies(self, request: Request) -> Response:
        """GET companies, those that were changed last first."""
        return self._recent(request, COMPANIES)

    async def recent_deals(self, request: Request) -> Response:
        """GET deals, those that were changed last first."""
        return self._recent(request, DEALS)

    async def company_properties(self, request: Request) -> Response:
        """GET the property definitions of companies: a bare list."""
        return answer([p.as_json(order) for order, p in enumerate(self._objects.known(COMPANIES).values())])

    async def pipelines(self, request: Request) -> Response:
        """GET the pipelines of deals: a bare list."""
        return answer([_pipeline(p) for p in self._store.pipelines.all("deals").values()])

    def _page(self, request: Request, kind: ObjectType) -> tuple[list[Record], int | None]:
        limit = whole(request.query_params.get("limit", 100), "limit")
        if not 0 < limit <= PAGE_MAX:
            raise invalid(f"Invalid input: limit must be between 1 and {PAGE_MAX}")
        records = self._store.records[kind.plural]
        some, following = page(records.live, whole(request.query_params.get("offset") or 0, "offset"), limit)
        return [records.get(i) for i in some], following

    def _recent(self, request: Request, kind: ObjectType) -> Response:
        limit, offset = (whole(request.query_params.get(n) or default, n) for n, default in (("count", 100), ("offset", 0)))
        if not 0 < limit <= PAGE_MAX or not 0 <= offset <= RECENT_MAX:
            raise invalid(f"Invalid input: count must be between 1 and {PAGE_MAX}, offset at most {RECENT_MAX}")
        records, since = self._store.records[kind.plural], whole(request.query_params.get("since") or 0, "since")
        ids = sorted((i for i in records.live if records.updated_ms(i) >= since), key=lambda i: (-records.updated_ms(i), i))
        some = [records.get(i) for i in ids[offset : offset + limit]]
        known = list(self._objects.known(kind))
        shown = [self._company(r, known) if kind is COMPANIES else self._deal(r, known, linked=True) for r in some]
        return answer({"results": shown, "hasMore": offset + limit < len(ids), "offset": offset + limit, "total": len(ids)})

    def _one(self, request: Request, kind: ObjectType) -> Record:
        if (found := self._objects.find(kind, request.path_params["id"])) is None:
            raise not_found(request.path_params["id"])
        return self._store.records[kind.plural].get(found)

    def _wanted(self, request: Request, kind: ObjectType) -> list[str]:
        known = self._objects.known(kind)
        if request.query_params.get("includeAllProperties", "").lower() == "true":
            return list(known)
        return [n for n in names(request, "properties") + names(request, "propertiesWithHistory") if n in known]

    def _company(self, record: Record, wanted: list[str]) -> dict[str, Any]:
        return {
            "portalId": self._options.portal_id, "companyId": record.id, "isDeleted": False, "additionalDomains": [], "stateChanges": [],
            "mergeAudits": [], "properties": self._properties(COMPANIES, record, wanted),
        }  # fmt: skip

    def _deal(self, record: Record, wanted: list[str], *, linked: bool) -> dict[str, Any]:
        people, companies = (list(self._store.associated(DEALS, record.id, k)) if linked else [] for k in (CONTACTS, COMPANIES))
        return {
            "portalId": self._options.portal_id, "dealId": record.id, "isDeleted": False, "imports": [], "stateChanges": [],
            "associations": {"associatedVids": people, "associatedCompanyIds": companies, "associatedDealIds": [], "associatedTicketIds": []},
            "properties": self._properties(DEALS, record, wanted),
        }  # fmt: skip

    def _properties(self, kind: ObjectType, record: Record, wanted: list[str]) -> dict[str, Any]:
        """Moments are texts of milliseconds here, and each value says since when it holds."""
        shown = {}
        for name in wanted:
            text = value(self._store, kind, record, name)
            if text is None:
                continue
            versions = history(self._store, kind, record, name)
            at = milliseconds(versions[0].at) if versions else milliseconds(record.updated)
            of = self._objects.known(kind)[name]
            shown[name] = {
                "value": _as_milliseconds(text) if of.type in ("date", "datetime") else text, "timestamp": at,
                "source": versions[0].source if versions else "CALCULATED", "sourceId": (versions[0].source_id if versions else None),
            }  # fmt: skip
        return shown


def _pipeline(pipeline: Pipeline) -> dict[str, Any]:
    stages = [
        {
            "stageId": s.id,
            "label": s.label,
            "probability": float(s.probability),
            "active": True,
            "displayOrder": s.order,
            "closedWon": s.won,
        }
        for s in pipeline.in_order()
    ]
    about = {"pipelineId": pipeline.id, "stages": stages, "label": pipeline.label, "active": True, "displayOrder": pipeline.order}
    return about | {"staticDefault": pipeline.id == "default"}


def _as_milliseconds(text: str) -> str:
    if not text or text.lstrip("-").isdigit():
        return text
    moment = datetime.fromisoformat(text)
    return str(milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
