"""The knobs of the emulated Marketo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cdp_pipelines.sandbox import credentials


@dataclass
class MarketoOptions:
    """How the emulated instance behaves. Defaults are the vendor's limits, without the waiting, so that a demonstration is quick.

    They are read at every request, so they may be changed while the sandbox runs.

    Access: `client_id` and `client_secret` are the custom service's, whose token lives for `token_seconds`. `munchkin_id` names the instance.
    `calls_per_20_seconds` is 1000 where a real instance allows 100. `concurrent_calls` may run at once (beyond: 615), `daily_calls` on one
    day of Central Time (607). `token_in_query` takes the token as `access_token` too, which Marketo stopped on 31 August 2026
    (approximated: a page still names an earlier date).
    `no_token_code` (approximated) is the error of a call without a token. `denied` holds the endpoint families for which the API user has
    no permission (603): `leads`, `activities`, `opportunities`, `companies`, `campaigns`, `programs`, `lists`; with `:write` behind it
    (`leads:write`) only changes are refused. `partitions` are the lead partitions that there are.

    CRM: `crm_sync` (approximated) is an instance that is synced with a CRM, where the vendor's pages contradict each other: `disabled`
    answers 1018 for companies, opportunities and roles, `sfdc_readonly` only when they are to be changed.

    Activities: `activity_block` is how many activities of all types one page of `activities.json` looks at: the reason for empty pages
    with more to come. `lead_changes_of_other_fields`: `leadchanges.json` also shows changes of fields that were not asked for
    (jepcastelein/marketo-rest-python#66). `list_activity_cap`: a list with so many members cannot filter activities (approximated:
    the vendor's pages name different dates from which that holds).

    Bulk: `export_seconds` and `import_seconds` are how long a job is at work; `status_seconds` how long an answer about an export's
    status is repeated (really 60); `exports` may make them fail or hang; `csv_dirt` is what some rows of a leads file have in their text:
    `nul`, `u2028`, `crlf`, and `quotes`, which are not escaped. `export_by_updated_at`: without it exports by a lead's last change are
    refused with 1035, as by some subscriptions. `export_slots` exports may be queued or at work (beyond: 1029), `exports_at_once` at work,
    and `import_slots` imports queued or at work (beyond: 1016). `export_bytes_a_day` is what the files of a day may come to. `cancelled` is
    how the status is spelt (approximated: the vendor's pages differ). `ssv_separator` is what the format SSV puts between values
    (approximated: the vendor's pages differ).

    Paging: `short_pages` gives half of what was asked for, with a token for the rest.

    Webhook: with a `webhook_url` (this machine only) the flow step Call Webhook of a requested campaign sends `webhook_payload`, with its
    `{{lead.X}}` tokens filled in, for each lead, and `webhook_header: webhook_secret`. `webhook_secret` is what a listener must check, since
    Marketo signs nothing. `webhook_encoding` is how token values are escaped. `webhook_on_change` also sends for every activity that is a
    change of a lead; `webhook_form="cloudevents"` sends activities as Data Streams do (approximated: one event a request, no retry)
    instead of the template.
    """

    client_id: str = credentials.MARKETO["client_id"]
    client_secret: str = credentials.MARKETO["client_secret"]
    token_seconds: float = 3600
    token_in_query: bool = False
    no_token_code: Literal[600, 601] = 601
    calls_per_20_seconds: int = 1000
    concurrent_calls: int = 10
    daily_calls: int = 50_000
    denied: frozenset[str] = field(default_factory=frozenset)
    crm_sync: Literal["none", "sfdc_readonly", "disabled"] = "none"
    partitions: tuple[str, ...] = ("Default", "Europe")
    export_by_updated_at: bool = True
    export_seconds: float = 0
    status_seconds: float = 0
    export_slots: int = 10
    exports_at_once: int = 2
    export_bytes_a_day: int = 500_000_000
    exports: Literal["complete", "fail", "hang"] = "complete"
    cancelled: Literal["Cancelled", "Canceled"] = "Cancelled"
    csv_dirt: frozenset[str] = field(default_factory=frozenset)
    import_seconds: float = 0
    import_slots: int = 10
    ssv_separator: Literal["semicolon", "space"] = "semicolon"
    activity_block: int = 3000
    lead_changes_of_other_fields: bool = True
    list_activity_cap: int = 10_000
    short_pages: bool = False
    munchkin_id: str = "123-ABC-456"
    webhook_url: str = ""
    webhook_header: str = "X-Webhook-Secret"
    webhook_secret: str = credentials.WEBHOOK_SECRET
    webhook_payload: str = '{"id": "{{lead.Id}}", "email": "{{lead.Email Address}}", "campaign": "{{campaign.name}}"}'
    webhook_encoding: Literal["json", "form", "none"] = "json"
    webhook_form: Literal["template", "cloudevents"] = "template"
    webhook_on_change: bool = False
