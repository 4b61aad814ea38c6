"""Sign-in: OAuth's token endpoint, and what a token is good for."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox.hubspot.errors import Refused, answer
from cdp_pipelines.sandbox.hubspot.inputs import json_body, text
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from cdp_pipelines.sandbox.hubspot.tokens import Tokens

SCOPES = [
    "oauth", "crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.companies.read", "crm.objects.companies.write",
    "crm.objects.deals.read", "crm.objects.deals.write", "crm.objects.owners.read", "crm.schemas.contacts.read",
    "crm.schemas.companies.read", "crm.schemas.deals.read", "crm.schemas.custom.read",
]  # fmt: skip
AUTHORIZATION_CODE = "sandbox-authorization-code"
_USER, _USER_ID = "admin@sandbox.example.com", 73_074_756


class OAuthApi:
    """Handlers for `/oauth`. Approximated: the bodies of introspection, and of errors other than a wrong refresh token."""

    def __init__(self, tokens: Tokens, options: HubSpotOptions):
        self._tokens, self._options = tokens, options

    async def token(self, request: Request) -> Response:
        """POST a form with a refresh token or an authorization code; gives an access token that expires."""
        sent = dict(parse_qsl((await request.body()).decode(errors="replace")))
        options, grant = self._options, sent.get("grant_type")
        if sent.get("client_id") != options.client_id:
            raise _refused("BAD_CLIENT_ID", "missing or unknown client id")
        if sent.get("client_secret") != options.client_secret:
            raise _refused("BAD_CLIENT_SECRET", "missing or invalid client secret")
        if grant == "refresh_token":
            if sent.get("refresh_token") != options.refresh_token:
                raise _refused("BAD_REFRESH_TOKEN", "missing or invalid refresh token")
        elif grant == "authorization_code":
            if sent.get("code") != AUTHORIZATION_CODE:
                raise _refused("BAD_AUTH_CODE", "missing or unknown auth code")
        else:
            raise _refused("BAD_GRANT_TYPE", "missing or unknown grant type")
        body = {"token_type": "bearer", "refresh_token": options.refresh_token, "access_token": self._tokens.give()}
        return answer(body | {"expires_in": int(options.token_lifetime)})

    async def access_token(self, request: Request) -> Response:
        """GET what an access token is good for."""
        token = request.path_params["token"]
        given = self._tokens.given_at(token)
        left = self._tokens.seconds_left(given) if given is not None else 0
        if token != self._options.access_token and left <= 0:
            raise Refused(404, "access token is invalid or has expired", "OBJECT_NOT_FOUND")
        more = {"app_id": self._options.app_id, "expires_in": int(left), "token_type": "access"}
        return answer({"token": token, **self._holder(), **more})

    async def refresh_token(self, request: Request) -> Response:
        """GET what a refresh token is good for."""
        token = request.path_params["token"]
        if token != self._options.refresh_token:
            raise Refused(404, "refresh token is invalid, expired or revoked", "OBJECT_NOT_FOUND")
        return answer({"token": token, **self._holder(), "client_id": self._options.client_id, "token_type": "refresh"})

    async def private_app(self, request: Request) -> Response:
        """POST a private app's token: whose it is and its scopes."""
        body = await json_body(request)
        if text(body, "tokenKey") != self._options.access_token:
            raise Refused(404, "The access token does not belong to a private app", "OBJECT_NOT_FOUND")
        return answer({"userId": _USER_ID, "hubId": self._options.portal_id, "appId": self._options.app_id, "scopes": self._scopes()})

    def _scopes(self) -> list[str]:
        granted = [*SCOPES, *sorted(self._options.extra_scopes)]
        return [scope for scope in granted if scope not in self._options.withheld_scopes]

    def _holder(self) -> dict[str, Any]:
        return {
            "user": _USER, "hub_domain": "sandbox.example.com", "scopes": self._scopes(), "hub_id": self._options.portal_id, "user_id": _USER_ID,
        }  # fmt: skip


def _refused(status: str, message: str) -> Refused:
    refused = Refused(400, message)
    refused.body["status"] = status
    return refused
