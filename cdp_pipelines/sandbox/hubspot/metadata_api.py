"""Calls on what surrounds the records: owners, the account."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.errors import answer, invalid, not_found
from cdp_pipelines.sandbox.hubspot.inputs import flag, whole
from cdp_pipelines.sandbox.hubspot.limits import Limits
from cdp_pipelines.sandbox.hubspot.objects_api import ObjectsApi
from cdp_pipelines.sandbox.hubspot.records import timestamp
from cdp_pipelines.sandbox.hubspot.translate import owner_id
from cdp_pipelines.sandbox.people import Owner


class MetadataApi:
    """Handlers for owners and the account."""

    def __init__(self, objects: ObjectsApi, limits: Limits):
        self._objects, self._limits, self._options = objects, limits, objects.options

    async def owners(self, request: Request) -> Response:
        """GET a page of owners."""
        limit = whole(request.query_params.get("limit", 100), "limit")
        if not 0 < limit <= 500:
            raise invalid("Invalid input: limit must be between 1 and 500")
        after, archived = self._objects.after(request), flag(request, "archived")
        email = request.query_params.get("email")
        chosen = [
            o for o in self._objects.store.owners if o.active != archived and owner_id(o.number) >= after and email in (None, o.email)
        ]
        body: dict[str, Any] = {"results": [_owner(o) for o in chosen[:limit]]}
        if len(chosen) > limit:
            following = str(owner_id(chosen[limit].number))
            body["paging"] = {"next": {"after": following, "link": str(request.url.include_query_params(after=following))}}
        return answer(body)

    async def owner(self, request: Request) -> Response:
        """GET one owner, by id or with `idProperty=userId` by the user's."""
        by_user = request.query_params.get("idProperty") == "userId"
        for found in self._objects.store.owners:
            if str(_user_id(found) if by_user else owner_id(found.number)) == request.path_params["id"]:
                return answer(_owner(found))
        raise not_found(request.path_params["id"])

    async def account(self, request: Request) -> Response:
        """GET the account's details."""
        return answer(
            {
                "portalId": self._options.portal_id,
                "accountType": "STANDARD",
                "timeZone": self._options.time_zone,
                "companyCurrency": "USD",
                "additionalCurrencies": ["EUR", "GBP", "JPY"],
                "utcOffset": "-04:00",
                "utcOffsetMilliseconds": -14400000,
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            }
        )

    async def usage(self, request: Request) -> Response:
        """GET today's calls."""
        limit, used = self._options.per_day(), self._limits.today
        row = {
            "name": "private-apps-api-calls-daily", "usageLimit": limit, "currentUsage": used, "collectedAt": timestamp(clock.now()),
            "fetchStatus": "SUCCESS", "resetsAt": timestamp(self._limits.resets_at()),
        }  # fmt: skip
        return answer({"results": [row]})


def _owner(owner: Owner) -> dict[str, Any]:
    return {
        "id": str(owner_id(owner.number)),
        "email": owner.email,
        "type": "PERSON",
        "firstName": owner.first_name,
        "lastName": owner.last_name,
        "userId": _user_id(owner),
        "userIdIncludingInactive": _user_id(owner),
        "createdAt": "2023-01-16T09:00:00Z",
        "updatedAt": "2023-01-16T09:00:00Z",
        "archived": not owner.active,
        "teams": [{"id": "368389", "name": "Sales", "primary": True}],
    }


def _user_id(owner: Owner) -> int:
    return 73_074_756 + owner.number
