"""What a record's properties say, the calculated ones included, which are worked out when read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from cdp_pipelines.sandbox.hubspot.pipelines import Stage
from cdp_pipelines.sandbox.hubspot.properties import COMPANIES, CONTACTS, DEALS, ObjectType
from cdp_pipelines.sandbox.hubspot.records import Record, Version, milliseconds, timestamp

if TYPE_CHECKING:
    from cdp_pipelines.sandbox.hubspot.store import HubSpotStore

# To the portal's home currency.
RATES = {"USD": Decimal(1), "EUR": Decimal("1.1"), "GBP": Decimal("1.27"), "JPY": Decimal("0.0067")}


def value(store: HubSpotStore, kind: ObjectType, record: Record, name: str) -> str | None:
    """A property's text; None when it has no value."""
    if (calculated := _EVERY.get(name) or _OF.get(kind.plural, {}).get(name)) is not None:
        return calculated(store, record)
    return record.properties.get(name)


def history(store: HubSpotStore, kind: ObjectType, record: Record, name: str) -> list[Version]:
    """A property's versions, newest first; of a calculated one only what it is now."""
    if name in _EVERY or name in _OF.get(kind.plural, {}):
        now = value(store, kind, record, name)
        return [] if now is None else [Version(now, record.updated, "CALCULATED")]
    return record.versions(name)


def _merged_with_times(store: HubSpotStore, record: Record) -> str | None:
    return ";".join(f"{loser}:{milliseconds(at)}" for loser, at in record.merged) or None


def _name_or_email(store: HubSpotStore, record: Record) -> str | None:
    names = [record.properties.get(n) for n in ("firstname", "lastname")]
    return " ".join(filter(None, names)) or record.properties.get("email")


def _became_lead(store: HubSpotStore, record: Record) -> str | None:
    # A real portal gives this one as milliseconds, beside ISO dates in the same record.
    moments = [v.at for v in record.versions("lifecyclestage") if v.value == "lead"]
    return str(milliseconds(moments[-1])) if moments else None


def probability(store: HubSpotStore, record: Record) -> Decimal:
    """The chance of a deal's stage, with the digits of a binary double, as HubSpot gives them."""
    return Decimal(float(_stage(store, record).probability))


def _in_home_currency(record: Record) -> Decimal | None:
    amount = record.properties.get("amount")
    return Decimal(amount) * RATES.get(record.properties.get("deal_currency_code", "USD"), Decimal(1)) if amount else None


def _plain(number: Decimal | None) -> str | None:
    return None if number is None else f"{number.normalize():f}"


def _flag(truth: bool) -> str:
    return "true" if truth else "false"


def _stage(store: HubSpotStore, record: Record) -> Stage:
    found = store.pipelines.stage("deals", record.properties["dealstage"])
    assert found is not None, f"there is no stage {record.properties['dealstage']}"
    return found


def _days_to_close(store: HubSpotStore, record: Record) -> str | None:
    closes = record.properties.get("closedate")
    return str(max((datetime.fromisoformat(closes) - record.created).days, 0)) if closes else None


def _weighted(store: HubSpotStore, record: Record) -> str | None:
    home = _in_home_currency(record)
    return None if home is None else f"{home * probability(store, record):f}"


def _modified(store: HubSpotStore, record: Record) -> str:
    return timestamp(record.updated)


Calculated = Callable[["HubSpotStore", Record], str | None]
_EVERY: dict[str, Calculated] = {
    "hs_object_id": lambda store, r: str(r.id),
    "createdate": lambda store, r: timestamp(r.created),
    "hs_lastmodifieddate": _modified,
    "hs_merged_object_ids": lambda store, r: ";".join(str(loser) for loser, _ in r.merged) or None,
    "hs_object_source_label": lambda store, r: r.properties.get("hs_object_source"),
}
# What a contact has that nobody ever wrote to, member of nothing.
_NONE_YET = (
    "hs_associated_target_accounts", "hs_membership_has_accessed_private_content", "hs_prospecting_agent_actively_enrolled_count",
    "hs_prospecting_agent_total_enrolled_count", "hs_registered_member", "hs_sequences_actively_enrolled_count", "num_notes",
)  # fmt: skip
_OF: dict[str, dict[str, Calculated]] = {
    "contacts": {
        **dict.fromkeys(_NONE_YET, lambda store, r: "0"),
        "hs_currently_enrolled_in_prospecting_agent": lambda store, r: "false",
        "lastmodifieddate": _modified,
        "hs_calculated_merged_vids": _merged_with_times,
        "hs_all_contact_vids": lambda store, r: ";".join([str(r.id), *(str(loser) for loser, _ in r.merged)]),
        "hs_email_domain": lambda store, r: r.properties.get("email", "").partition("@")[2] or None,
        "hs_full_name_or_email": _name_or_email,
        "hs_is_contact": lambda store, r: "true",
        "hs_is_unworked": lambda store, r: "true",
        "hs_pipeline": lambda store, r: "contacts-lifecycle-pipeline",
        "hs_lifecyclestage_lead_date": _became_lead,
        "associatedcompanyid": lambda store, r: store.primary_company(r.id),
        "num_associated_deals": lambda store, r: str(store.count(CONTACTS, r.id, DEALS)),
    },
    "companies": {
        "num_associated_contacts": lambda store, r: str(store.count(COMPANIES, r.id, CONTACTS)),
        "num_associated_deals": lambda store, r: str(store.count(COMPANIES, r.id, DEALS)),
    },
    "deals": {
        "amount_in_home_currency": lambda store, r: _plain(_in_home_currency(r)),
        "hs_exchange_rate": lambda store, r: _plain(RATES.get(r.properties.get("deal_currency_code", "USD"))),
        "hs_deal_stage_probability": lambda store, r: f"{probability(store, r):f}",
        "hs_projected_amount": _weighted,
        "hs_is_closed": lambda store, r: _flag(_stage(store, r).closed),
        "hs_is_closed_won": lambda store, r: _flag(_stage(store, r).won),
        "hs_is_closed_lost": lambda store, r: _flag(_stage(store, r).closed and not _stage(store, r).won),
        "days_to_close": _days_to_close,
        "hs_open_deal_create_date": lambda store, r: str(0 if _stage(store, r).closed else milliseconds(r.created)),
        "num_associated_contacts": lambda store, r: str(store.count(DEALS, r.id, CONTACTS)),
    },
}
