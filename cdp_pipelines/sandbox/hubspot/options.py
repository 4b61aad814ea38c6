"""The portal's options: what differs between portals, what is not documented, and what can go wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cdp_pipelines.sandbox import credentials

Tier = Literal["free", "professional", "enterprise"]
# Calls per 10 seconds of a private app, and calls per day of the whole account.
TIERS: dict[Tier, tuple[int, int]] = {"free": (100, 250_000), "professional": (190, 625_000), "enterprise": (190, 1_000_000)}
# A public app with OAuth has a limit of its own for each account.
OAUTH_PER_10_SECONDS = 110


@dataclass
class HubSpotOptions:
    """The emulator's knobs, read at every call; the defaults are a Professional portal's.

    Sign-in: `access_token` is a private app's and never expires; OAuth access tokens live for `token_lifetime` seconds, after which the
    refresh token gives a new one. `withheld_scopes` were not granted to the token, `extra_scopes` were beyond those that matter here; `nested_scope_errors` chooses the other of the two
    shapes of that error. `client_id`, `client_secret` and `refresh_token` are a public app's; the secret also signs webhooks. `portal_id`
    and `time_zone` are the account's; its day ends at midnight there.

    Limits: `tier` (free, professional, enterprise) sets calls per ten seconds and per day unless these say something else; None lifts a
    limit. `api_add_on` is HubSpot's paid extension of both. `retry_after` is whether a 429 says how long to wait (approximated: HubSpot does not
    promise it), `rate_limit_category` whether its body has a category, as newer ones do, `secondly_headers` whether the deprecated headers come. `calls_per_10_seconds` and `calls_per_day` are a number, "tier" or None;
    `searches_per_second` is apart from them. `max_url` is the length beyond which an address gets 414 (approximated: measured by others).

    Properties: `lead_score` is whether the portal has a property `hs_lead_score` (none has by nature), `legacy_score` whether it still has
    `hubspotscore` (HubSpot retired it on 2025-08-31).

    Reading: `search_lag_seconds` is how long search does not see a change (approximated: HubSpot says "a few moments"), `search_cap` the
    number of results beyond which search does not page, `epoch_zero_fails` whether a search for the moment 0 fails with 500 (approximated:
    reported, not documented). `association_inputs` is approximated: 1,000 in the documentation, 100 in a changelog. Pages of a search have at most
    `search_page_most` records whatever was asked for, with a next page as long as there is more.
    `association_page` is the most that a page of associations holds, `inline_associations` the most that a record holds in itself.
    `search_lag_types` are the types, such as contacts, whose search is late by `search_lag_seconds`; without any it is all of them.
    `search_empty_pages` puts an empty page with a next one before every page of a search (airbytehq/airbyte PR 80744; approximated:
    nobody says where they occur). `search_strays` is how many records outside its window a search by time also finds, and counts
    (estuary/connectors PR 2210). `association_changes_bump` is whether a record whose number of associated records changes counts as
    modified (approximated: not documented).

    Writing: with `lifecycle_forward_only` setting an earlier lifecycle stage answers success and changes nothing, unless it was cleared
    before (approximated: known of the older API). `merge_mints_new_id` gives the survivor of a merge a new id, as newer portals do
    (approximated: which ones is not documented).
    `silent_malformed_upsert` answers 200 with no results to an upsert without `inputs` (approximated: reported, not documented). `partial_validation_errors` lets a batch with trace
    ids succeed for its valid inputs (approximated: one recorded answer refuses them all). `app_id` is the integration that writes.
    `merges_at_most` is how many records one may take in.

    Webhooks: `webhook_attempts` is how often a call that fails is made in all, `webhook_retry_seconds` the first wait between (HubSpot spreads
    them over a day), `webhook_timeout_seconds` how long a listener may take, `webhook_batch` the most events of a call.
    `webhook_duplicates` sends every call twice, `webhook_reordered` the events of a call in reverse order. `webhook_bad_signature` and
    `webhook_stale_timestamp` are what a listener must refuse. `webhook_signature_version` is the older signature that comes with version 3.
    """

    access_token: str = credentials.HUBSPOT["access_token"]
    client_id: str = "sandbox-app-client-id"
    client_secret: str = credentials.HUBSPOT_CLIENT_SECRET
    refresh_token: str = "na1-5a4d-0b0c-sandbox-refresh-token"
    token_lifetime: float = 1800
    portal_id: int = 44_237_313
    app_id: int = 19_083_857
    time_zone: str = "US/Eastern"
    withheld_scopes: frozenset[str] = field(default_factory=frozenset)
    extra_scopes: frozenset[str] = field(default_factory=frozenset)
    nested_scope_errors: bool = False

    tier: Tier = "professional"
    api_add_on: bool = False
    calls_per_10_seconds: int | Literal["tier"] | None = "tier"
    calls_per_day: int | Literal["tier"] | None = "tier"
    searches_per_second: int | None = 5
    retry_after: bool = False
    rate_limit_category: bool = False
    secondly_headers: bool = False
    max_url: int = 16_250

    lead_score: bool = True
    legacy_score: bool = False

    search_lag_seconds: float = 0
    search_lag_types: frozenset[str] = field(default_factory=frozenset)
    search_empty_pages: bool = False
    search_strays: int = 0
    search_cap: int = 10_000
    search_page_most: int = 200
    epoch_zero_fails: bool = True
    association_inputs: int = 1_000
    association_page: int = 500
    inline_associations: int = 100
    association_changes_bump: bool = True

    lifecycle_forward_only: bool = True
    merge_mints_new_id: bool = False
    merges_at_most: int = 250
    silent_malformed_upsert: bool = True
    partial_validation_errors: bool = False

    webhook_attempts: int = 11
    webhook_retry_seconds: float = 0.25
    webhook_timeout_seconds: float = 5
    webhook_batch: int = 100
    webhook_duplicates: bool = False
    webhook_reordered: bool = False
    webhook_bad_signature: bool = False
    webhook_stale_timestamp: bool = False
    webhook_signature_version: Literal["v1", "v2"] = "v1"

    def per_10_seconds(self, *, oauth: bool) -> int | None:
        """Calls in ten seconds, of a private app or of a public one with OAuth."""
        if self.calls_per_10_seconds != "tier":
            return self.calls_per_10_seconds
        if oauth:
            return OAUTH_PER_10_SECONDS
        return 250 if self.api_add_on else TIERS[self.tier][0]

    def per_day(self) -> int | None:
        """Calls in a day of the account."""
        if self.calls_per_day != "tier":
            return self.calls_per_day
        return TIERS[self.tier][1] + (1_000_000 if self.api_add_on else 0)
