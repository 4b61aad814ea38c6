"""How many API calls a read takes, against the least that the vendors' APIs allow; `pytest -s` prints the table.

The least is counted from the records that there are: the description of each table that has one, the pages or files that its records
fill, and what the API makes us ask for deletions. Salesforce sends 2,000 records in a page and takes 300 ids in a query; Marketo takes
300 ids in a call, and an export of at most 31 days takes four (create, enqueue, status, file; no file when nothing is in it).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from cdp_pipelines.crm_integrations.marketo_export import split_windows
from cdp_pipelines.sandbox.marketo.api import app as marketo_app
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.marketo.store import MarketoStore
from cdp_pipelines.sandbox.people import build_world
from cdp_pipelines.sandbox.salesforce.api import app as salesforce_app
from cdp_pipelines.sandbox.salesforce.store import SalesforceStore
from cdp_pipelines.sources import salesforce
from cdp_pipelines.sources.report import ExtractReport
from tests.sources.test_marketo import Instance, problems
from tests.sources.test_salesforce import complete, connection, run

PEOPLE = 3000


def compare(title: str, report: ExtractReport, least: dict[str, int]) -> None:
    """Print the calls of each table and hold their sum to within a tenth of the least."""
    taken = {table.table: table.calls for table in report.tables}
    taken["sign-in and the like"] = report.calls - sum(taken.values())
    print(f"\n{title:<28} {'calls':>6} {'least':>6}")
    for name in {**taken, **least}:
        print(f"{name:<28} {taken.get(name, 0):>6} {least.get(name, 0):>6}")
    print(f"{'all':<28} {report.calls:>6} {sum(least.values()):>6}")
    assert report.calls <= sum(least.values()) * 1.1


def test_salesforce_takes_hardly_more_calls_than_the_least(serve: Callable, tmp_path: Path) -> None:
    world = build_world(people=PEOPLE)
    store = SalesforceStore(world.salesforce, world.owners)
    made = connection(serve(salesforce_app(store)), bulk_above=3000)
    described = {t.name: 1 + (t.object != "User") for t in salesforce.TABLES}  # describe, and getDeleted where there is such a thing
    rows = {t.name: len(store.records[t.object].stamps) for t in salesforce.TABLES}
    assert max(rows.values()) > 3000, "one table at least is read in bulk"
    # In bulk: create, one look, one page of 50,000, delete.
    pages = {name: 4 if n > 3000 else max(ceil(n / 2000), 1) for name, n in rows.items()}
    # A token, and one count of all objects.
    compare("Salesforce, full", complete(run(made, tmp_path, full=True)), {"sign-in": 2} | {n: described[n] + pages[n] for n in rows})
    compare("Salesforce, nothing changed", complete(run(made, tmp_path)), {"sign-in": 1} | {n: described[n] + 1 for n in rows})


def test_marketo_takes_hardly_more_calls_than_the_least(serve: Callable, tmp_path: Path) -> None:
    world = build_world(people=PEOPLE)
    store = MarketoStore(world.marketo, world.owners, world.salesforce.people)
    instance = Instance(store, serve(marketo_app(store)), tmp_path)
    report = instance.read()
    assert problems(report) == {}

    def exports(table: str, moment: str, also: str = "true") -> int:
        first = instance.query(f"select min({moment}) from raw_marketo.{table}")[0][0]
        windows = split_windows(datetime.fromisoformat(first), datetime.now(UTC))
        inside = (
            f"select count(*) from raw_marketo.{table} where {also} and {moment}::timestamptz between ?::timestamptz and ?::timestamptz"
        )
        filled = sum(instance.query(inside.replace("?", "'{}'").format(*window))[0][0] > 0 for window in windows)
        return 3 * len(windows) + filled

    def count(what: str) -> int:
        return instance.query(f"select count(distinct {what}")[0][0]

    # Merges and deletions are only in the log, so many of whose activities a page looks through.
    log_pages = ceil(len(store.log) / MarketoOptions().activity_block)
    least = {
        # A token, the day's usage and a paging token.
        "sign-in": 3,
        # The oldest lead says where the windows begin.
        "leads": 1 + 1 + exports("leads", "created_at") + log_pages,
        "opportunity_roles": 1 + ceil(count("id) from raw_marketo.leads where email is not null or created_at is not null") / 300),
        "opportunities": 1 + ceil(count("external_opportunity_id) from raw_marketo.opportunity_roles") / 300),
        "companies": 1 + ceil(count("external_company_id) from raw_marketo.leads") / 300),
        "campaigns": 1,
        "programs": 1,
        # The oldest activity, ten types in a call.
        "activities": 2 + exports("activities", "activity_date", "activity_type_id <> '37'"),
    }
    compare("Marketo, full", report, least)
    # The export finds nothing; the log is asked once for all tables and once more for each ten other types to keep.
    least = {
        "sign-in": 3,
        "leads": 1 + 3 + 1,
        "opportunity_roles": 1,
        "opportunities": 1,
        "companies": 1,
        "campaigns": 1,
        "programs": 1,
        "activities": 2,
    }
    report = instance.read(settings={"overlap_seconds": 0})
    assert problems(report) == {}
    compare("Marketo, nothing changed", report, least)
