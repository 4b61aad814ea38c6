"""The sandbox's people as the pipeline standardizes them, with the sandbox's own truth: the real extraction over HTTP, and dbt."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa

from cdp_pipelines import transform
from cdp_pipelines.config import KINDS, Kind, Settings, connection_from_config
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sync import create_missing_raw_tables

# What staging reads to make a contact: the record itself and what it looks up.
TABLES: dict[Kind, tuple[str, ...]] = {
    "salesforce": ("account", "contact", "lead"),
    "hubspot": ("contacts", "companies", "contact_company_associations"),
    "marketo": ("leads", "companies"),
}
_NO_LIMITS = {
    "hubspot": {"calls_per_10_seconds": 1_000_000, "searches_per_second": 1_000_000},
    "marketo": {"calls_per_20_seconds": 1_000_000},
}


def contacts(people: int, seed: int) -> tuple[pa.Table, pa.Table]:
    """`standardized.contacts` of a world with this many people, and its truth in the same order: connection, customer_id, person.

    Raises RuntimeError when a table could not be read, or a row's person is unknown.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), sandbox_dir=Path(folder) / "sandbox", sandbox_people=people, sandbox_seed=seed)
        with hosting.child(settings) as (sandbox, _):
            for kind in KINDS:
                connection = connection_from_config(kind, sandbox.connections()[kind] | _NO_LIMITS.get(kind, {}))
                report = extract(connection, registry.reader(connection, settings), settings, tables=TABLES[kind])
                if failed := [f"{t.table}: {t.problem}" for t in report.tables if t.state != "ok"]:
                    raise RuntimeError("; ".join(failed))
            answer = hosting.ask(sandbox, "GET", "/sandbox/truth").json()["people"]
        create_missing_raw_tables(settings)
        if failed := [r.name for r in transform.build("+contacts", settings) if r.resource_type == "model" and not r.ok]:
            raise RuntimeError(f"dbt could not build {', '.join(failed)}")
        truth = pa.Table.from_pylist([
            {"connection": record["crm"], "customer_id": record["id"], "person": person} for person, records in answer.items() for record in records
        ])  # fmt: skip
        with duckdb.connect(str(settings.warehouse), read_only=True) as db:
            # By id, so that the order says nothing of who belongs together.
            records = db.execute("select * from standardized.contacts order by md5(connection || customer_id)").to_arrow_table()
            db.register("truth", truth)
            known = db.execute(
                "select connection, customer_id, person from standardized.contacts join truth using (connection, customer_id) "
                "order by md5(connection || customer_id)"
            ).to_arrow_table()
    if known.num_rows != records.num_rows:
        raise RuntimeError(f"The sandbox's truth knows {known.num_rows} of {records.num_rows} contacts.")
    return records, known
