"""What HubSpot's answers mean: which errors are final, which pass, and how long to wait."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2
import orjson

from cdp_pipelines.config import HubSpotConnection
from cdp_pipelines.crm_integrations.base_crm import (
    AuthenticationError,
    CRMError,
    PermissionDenied,
    QuotaExhausted,
    RequestRejected,
    Unreachable,
)
from cdp_pipelines.crm_integrations.http import TryAgain
from cdp_pipelines.scrubbing import scrub

# Seconds after which a limit allows calls again; a 429 need not carry Retry-After.
POLICY_WAITS = {"TEN_SECONDLY_ROLLING": 10.0, "SECONDLY": 1.0}
# 423: locked, wait 2 s at least. 477: the portal is moving to another data centre. 521 to 526: Cloudflare cannot reach HubSpot.
PASSING = {423, 477, 500, 502, 503, 504, *range(520, 528)}
_EMAIL = re.compile(r"[^\s\"'@]+@[^\s\"'@]+")


def quick_body(response: httpx2.Response) -> dict[str, Any]:
    """The answer's JSON object, parsed once and fast; empty when it is none. Its numbers are numbers, so that a fraction has lost its text."""
    kept = response.extensions
    if "quick" not in kept:
        try:
            kept["quick"] = orjson.loads(response.content)
        except ValueError:  # half of an emoji, say, which orjson does not take
            kept["quick"] = _exact(response)
    return kept["quick"] if isinstance(kept["quick"], dict) else {}


def _exact(response: httpx2.Response) -> Any:
    try:
        return json.loads(response.content, parse_float=str, parse_constant=str)
    except ValueError:
        return None


def body_of(response: httpx2.Response) -> dict[str, Any]:
    """The answer's JSON object, numbers with a fraction as their text; empty when it is none."""
    kept = response.extensions
    if "body" not in kept:
        kept["body"] = _exact(response)
    return kept["body"] if isinstance(kept["body"], dict) else {}


def judge(connection: HubSpotConnection, response: httpx2.Response) -> None:
    """Return for a good answer. Raises a CRMError for a final failure, TryAgain for one that passes."""
    if response.is_success:
        if response.status_code != 204 and not _is_object(response):
            # Without this a broken page would look like the last one.
            problem = "HubSpot answered with something that is not JSON."
            raise TryAgain(Unreachable(connection.name, problem, "Try later; check base_url and any proxy."), begun=True)
        return
    name, status, body = connection.name, response.status_code, body_of(response)
    message = _EMAIL.sub("…", scrub(str(body.get("message", ""))))[:300].strip()
    if status == 401 or status == 530:
        raise AuthenticationError(
            name,
            f"HubSpot does not accept the access token ({body.get('category') or status}).",
            f"Put the token of a private app or service key that still exists in {connection.variable('access_token')} "
            "(Settings > Integrations > Private Apps > your app > Auth).",
        )
    if status == 403:
        raise _denied(name, body, message)
    if status == 429:
        raise _too_many(connection, response, body)
    if status in PASSING:
        problem = f"HubSpot answered {status}{f' ({message})' if message else ''} again and again."
        error = Unreachable(name, problem, "Try later; https://status.hubspot.com tells of outages.")
        raise TryAgain(error, _retry_after(response) or (2.0 if status == 423 else None), begun=status >= 500)
    remedy = "Please report it: the request should have been right."
    problem = f"HubSpot refused a request: {status} {message}".rstrip()
    raise RequestRejected(name, problem, remedy, body.get("category"), faults_of(body))


def faults_of(body: dict[str, Any]) -> dict[str, str]:
    """The properties that an error calls wrong, each with HubSpot's code: among its parts, or in JSON within its message."""
    named = {
        name: str(error.get("code") or "")
        for error in body.get("errors") or []
        for name in (error.get("context") or {}).get("propertyName") or []
    }
    message = str(body.get("message") or "")
    if named or "[{" not in message:
        return named
    try:
        problems = json.loads(message[message.index("[{") :])
    except ValueError:
        return {}
    return {str(problem["name"]): str(problem.get("error") or "") for problem in problems if problem.get("name")}


def _is_object(response: httpx2.Response) -> bool:
    quick_body(response)
    return isinstance(response.extensions["quick"], dict)


def missing_scopes(body: dict[str, Any]) -> list[str]:
    """The scopes that a 403 asks for, whichever of the two known shapes it has."""
    contexts = [body.get("context"), *(error.get("context") for error in body.get("errors") or [])]
    return sorted({scope for context in contexts if context for scope in context.get("requiredGranularScopes") or []})


def _denied(name: str, body: dict[str, Any], message: str) -> CRMError:
    if scopes := missing_scopes(body):
        return PermissionDenied(
            name,
            f"the access token lacks the scope{'s' if len(scopes) > 1 else ''} {', '.join(scopes)}.",
            "Add it in HubSpot (Settings > Integrations > Private Apps > your app > Scopes) and use the new token if it changes.",
        )
    return PermissionDenied(
        name, f"HubSpot does not allow this: {message or body.get('category')}.", "Check the scopes of the private app."
    )


def _too_many(connection: HubSpotConnection, response: httpx2.Response, body: dict[str, Any]) -> Exception:
    policy = str(body.get("policyName") or "")
    if policy == "DAILY":
        return QuotaExhausted(connection.name, "HubSpot's daily limit of API calls is reached.")
    problem = f"HubSpot kept refusing calls for its {policy.lower() or 'rate'} limit."
    remedy = f"Lower {connection.variable('calls_per_10_seconds')}, or let other users of this app rest."
    wait = _retry_after(response) or POLICY_WAITS.get(policy, 10.0)
    return TryAgain(Unreachable(connection.name, problem, remedy), wait, limited=True)


def _retry_after(response: httpx2.Response) -> float | None:
    try:
        return float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None
