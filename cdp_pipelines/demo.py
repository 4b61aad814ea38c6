"""The demonstration: Dagster's main job against the built-in sandbox, then what came out, and what to do next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request

from rich.console import Console
from rich.table import Table

from cdp_pipelines import dagster_home, database
from cdp_pipelines.config import KINDS, Settings
from cdp_pipelines.privacy.suppression import SuppressionList
from cdp_pipelines.sandbox import hosting

# Published table -> the objects of each CRM that its rows are made of, where the sandbox counts them too.
_OBJECTS: dict[str, dict[str, tuple[str, ...]]] = {
    "contacts": {"salesforce": ("Contact", "Lead"), "hubspot": ("contacts",), "marketo": ("leads",)},
    "companies": {"salesforce": ("Account",), "hubspot": ("companies",), "marketo": ("companies",)},
    "opportunities": {"salesforce": ("Opportunity",), "hubspot": ("deals",), "marketo": ("opportunities",)},
    "opportunity_contacts": {"salesforce": ("OpportunityContactRole",), "marketo": ("opportunity_roles",)},
    "campaigns": {"salesforce": ("Campaign",), "marketo": ("campaigns", "programs")},
    "campaign_members": {"salesforce": ("CampaignMember",)},
}
_NEXT = """
Next:
  make dev                                            Dagster's UI on http://127.0.0.1:3000: the asset graph, this run, its checks
  make explore                                        questions of customers, leads, campaigns and deals, with their answers
  .venv/bin/cdp contacts --where lead_score__gt=50    people; also opportunities, status, connections, mapping check, sql
  .venv/bin/cdp sandbox change                        everyday changes in the three CRMs, and then
  .venv/bin/cdp sync                                  only what changed is read
  cp .env.example .env                                put your own credentials in (and `make clean` the demonstration's data)
"""


def run(settings: Settings) -> int:
    """Run the demonstration; 0 when everything succeeded. Uses the sandbox even where real connections are set."""
    console = Console()
    started = time.monotonic()
    with hosting.hosted(settings) as sandbox:
        console.print(f"Sandbox: Salesforce, HubSpot and Marketo for {settings.sandbox_people:,} people, seed {settings.sandbox_seed}.")
        console.print("Running the Dagster job [bold]sync[/]: extract, standardize, check, unify, publish ...")
        environment = {
            **dagster_home.prepare(settings),
            **sandbox.environment(),
            "CDP_CONNECTIONS": ",".join(KINDS),
            "CDP_ENV_FILE": os.devnull,
        }
        log = dagster_home.log_file(settings, "demo")
        command = [sys.executable, "-m", "cdp_pipelines.defs.launch", "sync", str(log)]
        job = subprocess.run(command, env=environment, cwd=settings.data_dir, check=False)
        counts = json.load(urllib.request.urlopen(f"{sandbox.control_url}/sandbox/counts", timeout=30))
    if job.returncode:
        console.print(
            f"[red]The job failed.[/] What it said is in {os.path.relpath(log)}; run [bold]make dev[/] to see it in Dagster's UI."
        )
        return 1
    equal = _summary(console, settings, counts)
    console.print(f"Done in {time.monotonic() - started:.0f} s. Published file: {os.path.relpath(settings.published)}", highlight=False)
    console.print(_NEXT, highlight=False, soft_wrap=True)
    console.print(f"Report, to open in a browser: {os.path.relpath(settings.report)}", highlight=False, soft_wrap=True)
    return 0 if equal else 1


def _summary(console: Console, settings: Settings, held: dict[str, dict[str, int]]) -> bool:
    """Print the published tables; False when they do not hold what the sandbox holds."""
    differences = []
    erased = bool(SuppressionList(settings).counts())
    table = Table(title="Published rows; `gone` are deleted or merged, kept apart", title_justify="left")
    table.add_column("table", no_wrap=True)
    for column in (*KINDS, "all", "gone"):
        table.add_column(column, justify="right")
    with database.connect(settings, settings.published, read_only=True) as db:
        for name, objects in _OBJECTS.items():
            found = dict(db.execute(f"select source_system, count(*) from {name} where not is_deleted group by 1").fetchall())
            gone = db.execute(f"select count(*) from {name} where is_deleted").fetchall()[0][0]
            table.add_row(name, *(f"{found.get(crm, 0):,}" for crm in KINDS), f"{sum(found.values()):,}", f"{gone:,}")
            wanted = {crm: sum(held[crm][o] for o in names) for crm, names in objects.items()}
            # Whom somebody erased here the sandbox has still.
            wanted = {crm: min(n, found.get(crm, 0)) if erased else n for crm, n in wanted.items()}
            differences += [
                f"{name} of {crm}: {found.get(crm, 0):,}, the sandbox has {n:,}" for crm, n in wanted.items() if found.get(crm, 0) != n
            ]
        customers = db.execute("select count(*) from customers where not is_deleted").fetchall()[0][0]
        table.add_row("customers", *[""] * len(KINDS), f"{customers:,}", "")
    console.print(table)
    for difference in differences:
        console.print(f"[red]Not the same: {difference}[/]")
    if not differences:
        console.print(f"Equal to what the sandbox says it holds{', but for people who were erased here' if erased else ''}.")
    return not differences
