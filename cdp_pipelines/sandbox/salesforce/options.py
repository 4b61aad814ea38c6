"""What the emulator is set to. All of it is read at each request, so it may be changed while the org runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cdp_pipelines.sandbox import credentials


@dataclass
class SalesforceOptions:
    """Limits are the vendor's; nothing waits or fails unless it is told to.

    - `token_seconds`, `rotate_refresh_tokens`, `refresh_token`, `soap_login`: sessions. Without `soap_login` a SOAP login is refused.
    - `token_scopes`: what the token answer says that a token is good for; `user_permissions`: which permissions beyond *API Enabled* the API user
      has, by their API names (`ModifyAllData`). Neither allows or forbids anything here.
    - `jwt_public_key`: PEM of the key that signs JWT assertions; without it any signature is taken (approximated).
    - `daily_calls`, `page_size`, `bulk_page_rows`, `recycle_bin_days`: limits.
    - `short_pages`: query pages hold fewer records than asked for, as with wide rows; how many fewer is approximated.
    - `visible_after_seconds`: queries see what changed only after so many seconds (approximated: it is hidden till then).
    - `bulk_job_seconds`: how long a bulk job takes; `bulk_hangs`: jobs stay in progress; `bulk_refuses` and `bulk_fails` name objects whose
      bulk query cannot be created, or ends as Failed; `bulk_partial_rows`: only so many rows of an upload are processed before it fails.
    - `bulk1_not_processed`: the state of a batch that was split by primary key (the vendor's texts differ: approximated).
    - `duplicate_rules` names objects whose duplicate rule is active; records match by e-mail address (approximated, the vendor compares
      loosely); `duplicate_allow_save`: whether a client may save all the same.
    - `lock_next_rows`: so many of the next row writes fail with UNABLE_TO_LOCK_ROW.
    - `events_url` (this machine only): changes are told there, `events_secret` in the header `X-Webhook-Secret`; `events_form` is
      `change_events` (change data capture as JSON, as a relay passes it on) or `outbound` (outbound messages in SOAP, the secret as the last
      part of the address); a call that is not answered well is made `events_attempts` times; `events_gaps` tells only that there were
      changes (GAP_UPDATE and so on), `events_overflow` only which objects they were in (GAP_OVERFLOW).
    - `person_accounts`: once set, contacts without an account have one of their own (approximated: real orgs keep private contacts).
    """

    token_seconds: float = 7200
    rotate_refresh_tokens: bool = False
    refresh_token: str = "sandbox-refresh-token"
    soap_login: bool = True
    token_scopes: str = "api"
    user_permissions: frozenset[str] = frozenset()
    jwt_public_key: str | None = None
    daily_calls: int = 100_000
    page_size: int = 2000
    short_pages: bool = False
    visible_after_seconds: float = 0
    bulk_job_seconds: float = 0
    bulk_hangs: bool = False
    bulk_page_rows: int = 50_000
    bulk_refuses: frozenset[str] = frozenset()
    bulk_fails: frozenset[str] = frozenset()
    bulk_partial_rows: int | None = None
    bulk1_not_processed: str = "Not Processed"
    recycle_bin_days: int = 15
    duplicate_rules: frozenset[str] = frozenset()
    duplicate_allow_save: bool = True
    lock_next_rows: int = 0
    person_accounts: bool = False
    events_url: str = ""
    events_secret: str = credentials.WEBHOOK_SECRET
    events_form: Literal["change_events", "outbound"] = "change_events"
    events_attempts: int = 11
    events_gaps: bool = False
    events_overflow: bool = False
