"""The control routes that steer the emulated CRMs: faults, options, purged records, ended sessions, webhooks. See docs/sandbox.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import asdict, fields
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox.faults.kinds import FAULTS
from cdp_pipelines.sandbox.faults.settings import Setting, SwitchError, checked, settings_of, values_of
from cdp_pipelines.sandbox.faults.switches import Switchboard, When
from cdp_pipelines.sandbox.hubspot.webhooks import Webhooks, WebhookTarget

Handler = Callable[[Request], Any]


class Controls:
    """Handlers over a server's switchboard and its CRMs' options.

    `purge` removes a record for good, by CRM; it raises KeyError or ValueError for one that it cannot remove. `expire` ends the sessions of
    a CRM whose tokens expire. `webhooks` sends HubSpot's events.
    """

    def __init__(
        self,
        switches: Switchboard,
        options: Mapping[Kind, Any],
        *,
        purge: Mapping[Kind, Callable[[str], None]],
        expire: Mapping[Kind, Callable[[], None]],
        webhooks: Webhooks,
    ):
        self._switches, self._options, self._purge, self._expire = switches, options, purge, expire
        self._webhooks = webhooks
        self._at_start = {kind: copy(chosen) for kind, chosen in options.items()}

    def routes(self) -> list[Route]:
        """The routes."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/sandbox/faults", self._list), ("POST", "/sandbox/faults", self._set), ("DELETE", "/sandbox/faults", self._clear),
            ("DELETE", "/sandbox/faults/{id}", self._clear_one), ("GET", "/sandbox/options/{crm}", self._show_options),
            ("PATCH", "/sandbox/options/{crm}", self._set_options), ("DELETE", "/sandbox/options/{crm}", self._reset_options),
            ("POST", "/sandbox/purge", self._purge_record), ("POST", "/sandbox/expire", self._expire_sessions),
            ("GET", "/sandbox/webhooks", self._show_webhooks), ("PUT", "/sandbox/webhooks", self._set_webhooks),
            ("DELETE", "/sandbox/webhooks", self._end_webhooks),
        ]  # fmt: skip
        return [Route(path, _answering(handler), methods=[method]) for method, path, handler in table]

    async def _list(self, request: Request) -> Any:
        kinds = [
            {
                "kind": name, "doc": " ".join((made_by.__doc__ or "").split()), "crms": made_by.crms,
                "parameters": [_shown(one) for one in settings_of(made_by).values()],
            }
            for name, made_by in FAULTS.items()
        ]  # fmt: skip
        return {
            "on": [fault.show() for fault in self._switches],
            "kinds": kinds,
            "when": [_shown(one) for one in settings_of(When).values()],
        }

    async def _set(self, request: Request) -> Any:
        return self._switches.set(await _body(request)).show(), 201

    async def _clear(self, request: Request) -> Any:
        return {"cleared": self._switches.clear(crm=request.query_params.get("crm"))}

    async def _clear_one(self, request: Request) -> Any:
        text = request.path_params["id"]
        if not text.isascii() or not text.isdecimal():
            raise SwitchError(f"A fault's id is a number, not '{text}'.")
        return {"cleared": self._switches.clear(fault=int(text))}

    async def _show_options(self, request: Request) -> Any:
        return self._shown_options(_crm(request.path_params))

    async def _set_options(self, request: Request) -> Any:
        crm = _crm(request.path_params)
        self.set_options(crm, await _body(request))
        return self._shown_options(crm)

    async def _reset_options(self, request: Request) -> Any:
        crm = _crm(request.path_params)
        for one in fields(self._options[crm]):
            setattr(self._options[crm], one.name, getattr(self._at_start[crm], one.name))
        return self._shown_options(crm)

    def set_options(self, crm: Kind, given: Mapping[str, Any]) -> None:
        """Set a CRM's options by name: all of them or, when one is wrong, none. Raises SwitchError."""
        for name, value in checked(type(self._options[crm]), given, crm).items():
            setattr(self._options[crm], name, value)

    def changed_options(self) -> dict[Kind, dict[str, Any]]:
        """The options that are not what they were at the start, by CRM."""
        found = {}
        for crm, options in self._options.items():
            before = values_of(self._at_start[crm])
            if changed := {name: value for name, value in values_of(options).items() if value != before[name]}:
                found[crm] = changed
        return found

    def _shown_options(self, crm: Kind) -> dict[str, Any]:
        now = values_of(self._options[crm])
        known = settings_of(type(self._options[crm])).values()
        return {"crm": crm, "options": [{**_shown(one), "value": now[one.name]} for one in known]}

    async def _purge_record(self, request: Request) -> Any:
        asked = await _body(request)
        crm, record = _crm(asked), asked.get("id")
        if not isinstance(record, str | int) or isinstance(record, bool):
            raise SwitchError('Send a JSON object such as {"crm": "salesforce", "id": "003..."}.')
        try:
            self._purge[crm](str(record))
        except (KeyError, ValueError):
            raise SwitchError(
                f"{crm} has no record '{record}' that can be purged (in Salesforce: one that is in the recycle bin)."
            ) from None
        return {"crm": crm, "id": str(record), "purged": True}

    async def _expire_sessions(self, request: Request) -> Any:
        crm = _crm(await _body(request))
        if crm not in self._expire:
            raise SwitchError(
                f"{crm}'s tokens do not expire; those of {', '.join(self._expire)} do. Revoke it, or set the fault token_expired."
            )
        self._expire[crm]()
        return {"crm": crm, "expired": True}

    async def _show_webhooks(self, request: Request) -> Any:
        target = self._webhooks.target
        return {
            "url": target.url if target else None, "types": sorted(target.types) if target else [],
            "deliveries": [asdict(one) for one in self._webhooks.deliveries],
        }  # fmt: skip

    async def _set_webhooks(self, request: Request) -> Any:
        given = {"client_secret": self._options["hubspot"].client_secret, **await _body(request)}
        if "url" not in given:
            raise SwitchError('Send a JSON object such as {"url": "http://127.0.0.1:9999/events", "types": ["contact.creation"]}.')
        try:
            self._webhooks.target = WebhookTarget(**checked(WebhookTarget, given, "webhooks"))
        except SwitchError:
            raise
        except ValueError as error:
            raise SwitchError(f"{error}.") from None
        return await self._show_webhooks(request)

    async def _end_webhooks(self, request: Request) -> Any:
        self._webhooks.target = None
        return await self._show_webhooks(request)


def _answering(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            found = await handler(request)
        except SwitchError as error:
            found = {"error": str(error)}, 400
        content, status = found if isinstance(found, tuple) else (found, 200)
        return Response(orjson.dumps(content), status, media_type="application/json")

    return answer


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.body() or b"{}")
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise SwitchError("Send a JSON object.")
    return body


def _crm(given: Mapping[str, Any]) -> Kind:
    for kind in KINDS:
        if given.get("crm") == kind:
            return kind
    raise SwitchError(f"There is no CRM '{given.get('crm')}'; there are: {', '.join(KINDS)}.")


def _shown(one: Setting) -> dict[str, Any]:
    return asdict(one)
