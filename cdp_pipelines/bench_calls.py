"""`make bench-calls`: how many API calls a read of each CRM takes, beside the least that the vendors' APIs allow.

The least is counted from the records that there are: the description of each table that has one, the pages or files that its records
fill, and what an API makes us ask for deletions and links. Salesforce sends 2,000 records in a page and takes 300 ids in a query. HubSpot
lists 100 records in a page, 50 with history, finds 200 in a search, and takes 100 ids in a batch; what is archived is listed apart, and
anew each time, since archiving moves no date. Marketo takes 300 ids in a call, and an export of at most 31 days takes four (create,
enqueue, status, file; no file when nothing is in it).
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

from cdp_pipelines import database
from cdp_pipelines.config import KINDS, Connection, Kind, Settings, connection_from_config
from cdp_pipelines.crm_integrations.marketo_export import split_windows
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.server import SandboxServer
from cdp_pipelines.sources import hubspot, registry, salesforce
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.report import ExtractReport

# Objects of more records than this are read in bulk, so that small worlds show that way too.
BULK_ABOVE = 1500
SIGN_IN = "sign-in and the like"
_SETTINGS: dict[Kind, dict[str, Any]] = {
    "salesforce": {"bulk_above": BULK_ABOVE, "bulk_poll_seconds": 0.01},
    "hubspot": {"calls_per_10_seconds": 1_000_000, "searches_per_second": 1_000_000},
    "marketo": {"bulk_poll_seconds": 0.01, "calls_per_20_seconds": 1_000_000},
}


@dataclass(frozen=True)
class Reading:
    """One read of a CRM: the calls that each table took, and the least that it can take."""

    crm: Kind
    what: str
    taken: dict[str, int]
    least: dict[str, int]

    @property
    def over(self) -> float:
        """By which part of the least more calls were taken."""
        return sum(self.taken.values()) / sum(self.least.values()) - 1


class Sizes:
    """How many records there are, for what the least number of calls is counted from."""

    def __init__(self, server: SandboxServer, settings: Settings, kind: Kind):
        self.store: Any = server.world.stores[kind]
        self._settings = settings

    def ask(self, query: str) -> Any:
        """The only value of a query of the raw tables."""
        with database.connect(self._settings, self._settings.warehouse) as db:
            return db.execute(query).fetchall()[0][0]


def measure(people: int, folder: Path) -> Iterator[Reading]:
    """A full read of each CRM of a sandbox, one where nothing changed, and one where one in a hundred people did. Raises RuntimeError
    when a read was not complete."""
    server = SandboxServer(people=people, seed=1, state=folder / "sandbox")
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        for kind in KINDS:
            yield from _of(kind, server, folder)
    finally:
        server.stop()
        thread.join()


def _of(kind: Kind, server: SandboxServer, folder: Path) -> Iterator[Reading]:
    settings = Settings(data_dir=folder / kind)
    connection = connection_from_config(
        kind, {**server.addresses.connections()[kind], "visibility_lag_seconds": 0, "overlap_seconds": 0, **_SETTINGS[kind]}
    )
    sizes = Sizes(server, settings, kind)
    full, unchanged, changed = _LEAST[kind]
    yield Reading(kind, "full", _taken(connection, settings), full(sizes))
    yield Reading(kind, "nothing changed", _taken(connection, settings), unchanged(sizes))
    edited = sizes.store.live_people()[::100]
    for person in edited:
        sizes.store.edit_person(person, {"title": "Edited"}, datetime.now(UTC))
    yield Reading(kind, "1 % of people changed", _taken(connection, settings), changed(sizes, len(edited)))


def _taken(connection: Connection, settings: Settings) -> dict[str, int]:
    report: ExtractReport = extract(connection, registry.reader(connection, settings), settings)
    if not report.complete:
        raise RuntimeError("; ".join(f"{t.table}: {t.problem}" for t in report.tables if t.state != "ok"))
    taken = {table.table: table.calls for table in report.tables}
    return {SIGN_IN: report.calls - sum(taken.values()), **taken}


def _salesforce_full(sizes: Sizes) -> dict[str, int]:
    described = _salesforce_fixed()
    rows = {t.name: len(sizes.store.records[t.object].stamps) for t in salesforce.TABLES}
    # In bulk: create, one look, one page of 50,000, delete.
    pages = {name: 4 if n > BULK_ABOVE else max(ceil(n / 2000), 1) for name, n in rows.items()}
    # A token, and one count of all objects.
    return {SIGN_IN: 2, **{name: described[name] + pages[name] for name in rows}}


def _salesforce_changed(sizes: Sizes, changed: int = 0) -> dict[str, int]:
    return {SIGN_IN: 1, **{name: fixed + 1 for name, fixed in _salesforce_fixed().items()}}


def _salesforce_fixed() -> dict[str, int]:
    """What describes an object, and getDeleted where there is such a thing."""
    return {t.name: 1 + (t.object != "User") for t in salesforce.TABLES}


def _hubspot_full(sizes: Sizes) -> dict[str, int]:
    live = {name: sizes.ask(f"select count(*) from raw_hubspot.{name} where _deleted is null") for name in hubspot.RECORDS}
    in_a_page = {"contacts": 50, "companies": 100, "deals": 100}  # contacts come with the history of their stages
    least = {name: 1 + max(ceil(live[name] / in_a_page[name]), 1) + _archived(sizes, name, in_a_page[name]) for name in hubspot.RECORDS}
    links = {t.name: ceil(live[t.object.partition("/")[0]] / 100) for t in hubspot.TABLES if t.replace_by == ("from_id",)}
    return {"owners": 2, "pipeline_stages": 1, **least, **links}


def _hubspot_changed(sizes: Sizes, changed: int = 0) -> dict[str, int]:
    least = {name: 2 + _archived(sizes, name, 100) for name in hubspot.RECORDS}
    least["contacts"] += max(ceil(changed / 200), 1) - 1
    followed = {"contact_company_associations": ceil(changed / 100), "lifecycle_stage_history": ceil(changed / 50)}
    return {"owners": 2, "pipeline_stages": 1, **least, **followed}


def _archived(sizes: Sizes, name: str, in_a_page: int) -> int:
    return max(ceil(sizes.ask(f"select count(*) from raw_hubspot.{name} where archived = 'true'") / in_a_page), 1)


def _marketo_full(sizes: Sizes) -> dict[str, int]:
    def count(what: str) -> int:
        return sizes.ask(f"select count(distinct {what}")

    def exports(table: str, moment: str, also: str = "true") -> int:
        windows = split_windows(datetime.fromisoformat(sizes.ask(f"select min({moment}) from raw_marketo.{table}")), datetime.now(UTC))
        inside = f"select count(*) from raw_marketo.{table} where {also} and {moment}::timestamptz between '{{}}'::timestamptz and '{{}}'::timestamptz"
        return 3 * len(windows) + sum(sizes.ask(inside.format(*window)) > 0 for window in windows)

    return {
        # A token, the day's usage and a paging token.
        SIGN_IN: 3,
        # The oldest lead says where the windows begin. Merges and deletions are only in the log, so many of whose activities a page looks through.
        "leads": 1 + 1 + exports("leads", "created_at") + ceil(len(sizes.store.log) / MarketoOptions().activity_block),
        "opportunity_roles": 1 + ceil(count("id) from raw_marketo.leads where email is not null or created_at is not null") / 300),
        "opportunities": 1 + ceil(count("external_opportunity_id) from raw_marketo.opportunity_roles") / 300),
        "companies": 1 + ceil(count("external_company_id) from raw_marketo.leads") / 300),
        "campaigns": 1,
        "programs": 1,
        # The oldest activity, ten types in a call.
        "activities": 2 + exports("activities", "activity_date", "activity_type_id <> '37'"),
    }


def _marketo_changed(sizes: Sizes, changed: int = 0) -> dict[str, int]:
    # An export that finds nothing has no file. The log is asked once for all tables and once more for each ten other types to keep.
    some = 1 if changed else 0
    return {
        SIGN_IN: 3, "leads": 1 + 3 + some + 1, "opportunity_roles": 1, "opportunities": 1, "companies": 1 + some, "campaigns": 1, "programs": 1,
        "activities": 2,
    }  # fmt: skip


_Least = tuple[Callable[[Sizes], dict[str, int]], Callable[[Sizes], dict[str, int]], Callable[[Sizes, int], dict[str, int]]]
_LEAST: dict[Kind, _Least] = {
    "salesforce": (_salesforce_full, _salesforce_changed, _salesforce_changed),
    "hubspot": (_hubspot_full, _hubspot_changed, _hubspot_changed),
    "marketo": (_marketo_full, _marketo_changed, _marketo_changed),
}


def table(reading: Reading) -> str:
    """A read's calls by table, as text."""
    lines = [f"{f'{reading.crm}, {reading.what}':<34} {'calls':>6} {'least':>6}"]
    lines += [
        f"  {name:<32} {reading.taken.get(name, 0):>6} {reading.least.get(name, 0):>6}" for name in {**reading.taken, **reading.least}
    ]
    return "\n".join([*lines, f"  {'all':<32} {sum(reading.taken.values()):>6} {sum(reading.least.values()):>6}  {reading.over:+.0%}", ""])


def main() -> None:
    """Print a table for each read."""
    parser = argparse.ArgumentParser(prog="python -m cdp_pipelines.bench_calls", description=__doc__)
    parser.add_argument("--people", type=int, default=10_000, help="people in the sandbox's world (default %(default)s)")
    with tempfile.TemporaryDirectory() as folder:
        for reading in measure(parser.parse_args().people, Path(folder)):
            print(table(reading), flush=True)


if __name__ == "__main__":
    main()
