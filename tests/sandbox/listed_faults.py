"""Every fault that the sandbox is to have, how it is switched on, and, in docs/sandbox.md, the tests that show it.

A test says what it shows: `@shows("search lag")`. `python -m tests.sandbox.listed_faults` writes the table anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.marked import PROJECT, marked, put_between

PAGE = PROJECT / "docs" / "sandbox.md"
COMMAND = "python -m tests.sandbox.listed_faults"
BEGIN, END = f"<!-- shown: written by `{COMMAND}` -->", "<!-- end of shown -->"
Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True)
class Listed:
    """A fault, and what brings it about: a fault or an option as the command line takes it, or a call of the API itself."""

    name: str
    by: str


def _listed(text: str) -> tuple[Listed, ...]:
    return tuple(Listed(*(part.strip() for part in line.split(" | "))) for line in text.strip().splitlines())


FAULTS: dict[str, tuple[Listed, ...]] = {
    "All": _listed("""
        slow answers | slow:seconds=2
        half an answer, then a wait | slow:middle=true
        dropped connections | drop
        an answer lost after the work was done | drop:done=true
        truncated bodies | truncate
        empty bodies | empty_body
        JSON that breaks off | malformed_json
        a web page instead of JSON | html_instead
        a wrong charset | wrong_charset
        5xx | server_error:status=502
        5xx storms | server_error:status=503,rate=0.5
        clock skew | clock_skew:seconds=-7200
        token expiry mid-run | token_expired:after=20
        access taken away | token_revoked
        rate limit | rate_limit
        rate limit after so many calls | rate_limit:after=20
        daily quota reached | daily_quota:after=20
        missing permission | permission
        address too long | uri_too_long
        any other of the vendor's errors | error
    """),
    "HubSpot": _listed("""
        search lag | search_lag_seconds=5
        search lag of one object | search_lag_types=contacts
        short page with a next one | search_page_most=50
        empty page with a next one | search_empty_pages=true
        search cap lowered | search_cap=150
        more records than the cap in one millisecond | search_cap=50, then a batch update
        rows outside the window | search_strays=3
        207 for a batch in part | a batch read with an unknown id
        429 without Retry-After, by policy | rate_limit:policy=SECONDLY
        429 with Retry-After | rate_limit:retry_after=3
        429 DAILY | calls_per_day=1
        423 locked | locked
        477 moving | migration
        502, 504, 521 | server_error:status=521
        401 mid-run | token_expired:after=2
        403 with the scope in the error | permission:shape=errors
        403 with the scope in the context | permission:shape=context
        414 beyond 16,250 characters | max_url=16250
        null values | a property without a value
        empty text as a value | PATCH with an empty text
        a moment as milliseconds | the property hs_lifecyclestage_lead_date
        digits of a binary double | the property hs_deal_stage_probability
        500 for a search from the epoch | epoch_zero_fails=true
        archived without a new modified date | DELETE
        restored | POST /sandbox/change
        merge that keeps the id | merge_mints_new_id=false
        merge with a new id | merge_mints_new_id=true
        chained merge | two merges
        calculated value changed without a new modified date | association_changes_bump=false
        association changed without a new modified date | association_changes_bump=false
        more than 100 inline associations | inline_associations=100
        more than 500 associations | association_page=500
        stage deleted | DELETE /crm/v3/pipelines/deals/default/stages/closedwon
        custom lifecycle stage | PATCH /crm/v3/properties/contacts/lifecyclestage
        no lead score | lead_score=false
        webhook twice | webhook_duplicates=true
        webhook out of order | webhook_reordered=true
        webhook repeated after a failure | webhook_attempts=3
        webhook with a bad signature | webhook_bad_signature=true
        webhook with a stale timestamp | webhook_stale_timestamp=true
        silent 200 for a malformed upsert | silent_malformed_upsert=true
    """),
    "Salesforce": _listed("""
        session expires after so many calls | token_expired:after=3
        limit after so many calls | daily_quota:after=2
        short pages | short_pages=true
        locked rows | lock_next_rows=1
        UNABLE_TO_LOCK_ROW for any call | error:code=UNABLE_TO_LOCK_ROW
        late-visible rows | visible_after_seconds=3600
        job that hangs | bulk_hangs=true
        job that fails | bulk_fails=Contact
        job that is refused | bulk_refuses=Contact
        header that spoils text | wrong_charset:path=*/results*
        version mismatch, 409 | error:code=VERSION_MISMATCH
        results of another version | a job's results asked of another version
        QUERY_TIMEOUT | error:code=QUERY_TIMEOUT
        OPERATION_TOO_LARGE | error:code=OPERATION_TOO_LARGE
        406 | error:code=NOT_ACCEPTABLE
    """),
    "Marketo": _listed("""
        606 too many calls | calls_per_20_seconds=2
        607 daily quota | daily_calls=1
        615 too many at once | error:code=615
        601 and 602 | token_expired:after=2
        603 of some endpoints | denied=leads
        604, 608, 611, 713 | error:code=608
        1003 for more than 1,000 matches | a filter that matches more
        1018 with a CRM sync | crm_sync=disabled
        1029 for a full queue | export_slots=10
        1029 for the day's bytes | export_bytes_a_day=1000
        1035 for the filter by change | export_by_updated_at=false
        export that fails | exports=fail
        export that hangs | exports=hang
        status that is repeated | status_seconds=60
        Cancelled spelt either way | cancelled=Canceled
        dirt in the file | csv_dirt=nul;u2028;crlf;quotes
        short pages | short_pages=true
        empty pages with more to come | activity_block=20
        changes of fields nobody asked for | lead_changes_of_other_fields=true
        a list too large to filter by | list_activity_cap=10000
        token in the query | token_in_query=true
        413 | a file beyond the limit
        414 | an address beyond 8 kB
    """),
}  # fmt: skip


def shows(*names: str) -> Callable[[Test], Test]:
    """Says which listed faults a test shows, as `CRM: name`. Raises KeyError for one that is not listed."""
    if unknown := set(names) - all_names():
        raise KeyError(f"not among the listed faults: {', '.join(sorted(unknown))}")
    return lambda test: test


def all_names() -> set[str]:
    """Every listed fault, as tests name them."""
    return {f"{crm}: {one.name}" for crm, faults in FAULTS.items() for one in faults}


def shown() -> dict[str, list[str]]:
    """Fault -> tests that show it."""
    return marked((PROJECT / "tests").rglob("test_*.py"), "shows")


def table() -> str:
    """The table's Markdown."""
    tests = shown()
    lines = ["| CRM | Fault | Brought about by | Shown by |", "| --- | --- | --- | --- |"]
    for crm, faults in FAULTS.items():
        for one in faults:
            names = "<br>".join(f"`{test}`" for test in tests.get(f"{crm}: {one.name}", []))
            lines.append(f"| {crm} | {one.name} | `{one.by}` | {names} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table into docs/sandbox.md."""
    PAGE.write_text(put_between(PAGE.read_text(encoding="utf-8"), BEGIN, END, table()), encoding="utf-8")


if __name__ == "__main__":
    main()
