"""Faults that the vendors' APIs answer in words of their own: limits, tokens, permissions, locks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from cdp_pipelines.config import Kind
from cdp_pipelines.sandbox.faults import answers
from cdp_pipelines.sandbox.faults.calls import Call, Proceed
from cdp_pipelines.sandbox.faults.kind import FaultKind
from cdp_pipelines.sandbox.faults.settings import SwitchError, setting
from cdp_pipelines.sandbox.hubspot import errors as hubspot


@dataclass(frozen=True)
class RateLimit(FaultKind):
    """Too many calls: HubSpot 429, Salesforce 403 REQUEST_LIMIT_EXCEEDED (ConcurrentPerOrgLongTxn), Marketo 606."""

    spares_sign_in: ClassVar[bool] = True
    policy: Literal["TEN_SECONDLY_ROLLING", "SECONDLY", "DAILY"] = setting("TEN_SECONDLY_ROLLING", "HubSpot's policyName.")
    retry_after: float | None = setting(None, "HubSpot's Retry-After header in seconds; it does not promise one.")

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Refuse."""
        if call.crm == "salesforce":
            message = "ConcurrentPerOrgLongTxn Limit exceeded."
            return await call.answer(answers.salesforce_error(call, 403, "REQUEST_LIMIT_EXCEEDED", message))
        if call.crm == "marketo":
            return await call.answer(answers.vendor_error(call, "606"))
        refused = hubspot.rate_limited(self.policy, None)
        if self.retry_after is not None:
            refused.headers["Retry-After"] = f"{self.retry_after:g}"
        return await call.answer(refused.response())


@dataclass(frozen=True)
class DailyQuota(FaultKind):
    """The day's calls are used up: HubSpot 429 DAILY, Salesforce 403 REQUEST_LIMIT_EXCEEDED, Marketo 607."""

    spares_sign_in: ClassVar[bool] = True

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Refuse."""
        if call.crm == "hubspot":
            return await call.answer(hubspot.rate_limited("DAILY", None).response())
        if call.crm == "marketo":
            return await call.answer(answers.vendor_error(call, "607"))
        most = getattr(call.options, "daily_calls", 15_000)
        used = {"Sforce-Limit-Info": f"api-usage={most}/{most}"}
        return await call.answer(answers.salesforce_error(call, 403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", used))


@dataclass(frozen=True)
class TokenExpired(FaultKind):
    """The sessions end before the call: Salesforce 401 INVALID_SESSION_ID, Marketo 602, until the client fetches a new token.

    HubSpot's private tokens do not expire; this call alone gets the OAuth token's 401 EXPIRED_AUTHENTICATION.
    """

    first: ClassVar[int | None] = 1
    spares_sign_in: ClassVar[bool] = True

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """End the sessions."""
        if call.expire is not None:
            call.expire()
            return await proceed(call)
        message = "The OAuth token used to make this call expired 7 second(s) ago."
        return await call.answer(hubspot.Refused(401, message, "EXPIRED_AUTHENTICATION").response())


@dataclass(frozen=True)
class TokenRevoked(FaultKind):
    """Access was taken away: every call gets 401 (Marketo 601), and no new token is given, while this is on."""

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Refuse the call or the sign-in."""
        if call.signs_in:
            return await call.answer(answers.sign_in_refused(call))
        if call.crm == "hubspot":
            return await call.answer(hubspot.unauthorized().response())
        return await call.answer(answers.vendor_error(call, "601" if call.crm == "marketo" else "INVALID_SESSION_ID"))


@dataclass(frozen=True)
class Permission(FaultKind):
    """The token may not do this: HubSpot 403 in either shape, Salesforce 403 INSUFFICIENT_ACCESS, Marketo 603."""

    spares_sign_in: ClassVar[bool] = True
    scope: str = setting("crm.objects.contacts.read", "HubSpot: the scope that is missing.")
    shape: Literal["context", "errors", "forbidden"] = setting(
        "context", "HubSpot: where the missing scope is named; `forbidden` names none."
    )
    code: Literal["INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY", "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED"] = setting(
        "INSUFFICIENT_ACCESS", "Salesforce's errorCode."
    )

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Refuse."""
        if call.crm == "marketo":
            return await call.answer(answers.vendor_error(call, "603"))
        if call.crm == "salesforce":
            disabled = "API is not enabled for this Organization or Partner"
            message = disabled if self.code.startswith("API") else "insufficient access rights on object"
            return await call.answer(answers.salesforce_error(call, 403, self.code, message))
        if self.shape == "forbidden":
            return await call.answer(answers.vendor_error(call, "FORBIDDEN"))
        return await call.answer(hubspot.missing_scopes([self.scope], nested=self.shape == "errors").response())


@dataclass(frozen=True)
class Locked(FaultKind):
    """HubSpot 423: a large operation holds the records; wait two seconds at least (text approximated). Salesforce's equal is `error` UNABLE_TO_LOCK_ROW."""

    crms: ClassVar[tuple[Kind, ...]] = ("hubspot",)

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Refuse."""
        await call.answer(hubspot.Refused(423, "The resource is currently locked.").response())


@dataclass(frozen=True)
class Migration(FaultKind):
    """HubSpot 477: the account moves to another data centre (text approximated)."""

    crms: ClassVar[tuple[Kind, ...]] = ("hubspot",)
    retry_after: float = setting(86_400.0, "Retry-After header in seconds; a day at most.")

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Refuse."""
        headers = {"Retry-After": f"{self.retry_after:g}"}
        await call.answer(hubspot.Refused(477, "This account is being migrated.", "MIGRATION_IN_PROGRESS", headers).response())


@dataclass(frozen=True)
class Error(FaultKind):
    """Any other of the vendor's errors, by its code."""

    spares_sign_in: ClassVar[bool] = True
    code: str = setting(
        "", "Salesforce's errorCode, HubSpot's category, Marketo's number; when empty UNABLE_TO_LOCK_ROW, INTERNAL_ERROR, 611."
    )
    message: str = setting("", "Another message; with one, codes that are not known here are taken too.")
    status: int | None = setting(None, "Another HTTP status.")

    def check(self, crm: Kind) -> None:
        """Raise SwitchError for a code that is not known and comes without a message."""
        known = answers.codes(crm)
        if self.code and not self.message and self.code not in known:
            raise SwitchError(f"error has no code '{self.code}' for {crm}; there are: {', '.join(known)}. Others need a message.")
        if crm == "marketo" and self.code and not self.code.isdecimal():
            raise SwitchError("error: Marketo's codes are numbers, such as 611.")

    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Refuse."""
        default = {"salesforce": "UNABLE_TO_LOCK_ROW", "hubspot": "INTERNAL_ERROR", "marketo": "611"}[call.crm]
        await call.answer(answers.vendor_error(call, self.code or default, self.message, self.status))
