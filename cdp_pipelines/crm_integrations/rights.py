"""What a connection's credentials may do, as far as each vendor tells, held against what this project does with them.

Sources: HubSpot's token information endpoints (private apps, OAuth v1), Salesforce's token answer (`scope`) and its object UserPermissionAccess
(API 41.0 and later). Marketo tells whose token it is and nothing of what the role allows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cdp_pipelines.crm_integrations.base_crm import BaseCRM, ConnectionTest, CRMError
from cdp_pipelines.crm_integrations.hubspot import HubSpot
from cdp_pipelines.crm_integrations.hubspot_answers import body_of
from cdp_pipelines.crm_integrations.marketo import Marketo
from cdp_pipelines.crm_integrations.salesforce import Salesforce

SOON = timedelta(days=14)
HUBSPOT_READS = (
    "crm.objects.companies.read", "crm.objects.contacts.read", "crm.objects.deals.read", "crm.objects.owners.read",
    "crm.schemas.companies.read", "crm.schemas.contacts.read", "crm.schemas.deals.read",
)  # fmt: skip
# Write-back changes contacts; nothing here writes companies or deals.
HUBSPOT_WRITES = ("crm.objects.contacts.write",)
# Every OAuth app has it; it allows nothing.
_HUBSPOT_ALWAYS = ("oauth",)
SALESFORCE_SCOPES = ("api", "refresh_token", "offline_access")
# What an integration that reads, or writes contacts and leads, has no use for. View All Data is not among them: it lifts the sharing rules,
# without which records are missing.
SALESFORCE_TOO_MUCH = {
    "ModifyAllData": "Modify All Data",
    "ManageUsers": "Manage Users",
    "CustomizeApplication": "Customize Application",
    "AuthorApex": "Author Apex",
}


@dataclass(frozen=True)
class Rights:
    """What the vendor says of a token: its scopes and when it ends; what it may do beyond what is used, and what it lacks."""

    scopes: tuple[str, ...] = ()
    too_much: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    expires_at: datetime | None = None

    def warnings(self, remedy: str, now: datetime) -> list[str]:
        """The same as sentences."""
        said = []
        if self.too_much:
            said.append(f"may do more than is needed: {', '.join(self.too_much)}. {remedy}")
        if self.lacking:
            said.append(f"lacks {', '.join(self.lacking)}. {remedy}")
        if self.expires_at is not None and self.expires_at - now < SOON:
            said.append(f"ends at {self.expires_at:%Y-%m-%d %H:%M} UTC. Put a new token into the settings before.")
        return said


async def with_rights(client: BaseCRM, *, writes: bool) -> ConnectionTest:
    """The test of a connection, with its scopes and warnings; `writes` says whether anything is written back to it. Raises no CRMError."""
    test = await client.test_connection()
    if not test.ok:
        return test
    found = await rights_of(client, writes=writes)
    remedy = "What is enough: docs/connections.md."
    return replace(test, scopes=list(found.scopes), expires_at=found.expires_at, warnings=found.warnings(remedy, datetime.now(UTC)))


async def rights_of(client: BaseCRM, *, writes: bool) -> Rights:
    """What the vendor tells of the token; empty where it tells nothing, or will not. Raises no CRMError."""
    try:
        match client:
            case HubSpot():
                return await _hubspot(client, writes)
            case Salesforce():
                return await _salesforce(client)
            case Marketo():
                return Rights(scopes=(client.api_user,) if client.api_user else ())
            case _:
                return Rights()
    except CRMError:
        # That it cannot be told is no fault of a connection which works.
        return Rights()


async def _hubspot(client: HubSpot, writes: bool) -> Rights:
    token = client.token
    try:
        said = body_of(await client.send("POST", "/oauth/v2/private-apps/get/access-token-info", json={"tokenKey": token}))
    except CRMError:
        # An OAuth app's token; HubSpot takes it in the address only.
        said = body_of(await client.send("GET", f"/oauth/v1/access-tokens/{token}"))
    scopes = sorted(str(scope) for scope in said.get("scopes") or [])
    needed = {*HUBSPOT_READS, *(HUBSPOT_WRITES if writes else ())}
    seconds = said.get("expires_in")
    return Rights(
        tuple(scopes),
        tuple(scope for scope in scopes if scope not in needed and scope not in _HUBSPOT_ALWAYS),
        tuple(sorted(needed - set(scopes))),
        datetime.now(UTC) + timedelta(seconds=int(seconds)) if seconds else None,
    )


async def _salesforce(client: Salesforce) -> Rights:
    scopes = tuple(sorted((await client.scope()).split()))
    too_much = [f"scope {scope}" for scope in scopes if scope not in SALESFORCE_SCOPES]
    try:
        asked = ", ".join(f"Permissions{name}" for name in SALESFORCE_TOO_MUCH)
        held = [row async for page in client.query(f"SELECT {asked} FROM UserPermissionAccess") for row in page]
    except CRMError:
        held = []
    too_much += [label for name, label in SALESFORCE_TOO_MUCH.items() if any(row.get(f"Permissions{name}") is True for row in held)]
    return Rights(scopes, tuple(too_much))
