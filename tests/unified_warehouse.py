"""A warehouse whose standardized tables are made by hand, for the unified models alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from cdp_pipelines import mapping, transform
from cdp_pipelines.config import Settings
from cdp_pipelines.identity.step import identify

Query = Callable[..., list[tuple[Any, ...]]]
NOON = datetime(2026, 3, 1, 12)
KINDS = {"sf": "salesforce", "hs": "hubspot", "mk": "marketo"}
_TYPES = {"text": "varchar", "integer": "bigint"}


class UnifiedWarehouse:
    """Connections `sf`, `hs` and `mk`; a row is given as `sf:003A` and its fields, the rest is null."""

    def __init__(self, folder: Path):
        self.settings = Settings(data_dir=folder)
        self.day = 0
        with self.open() as db:
            db.execute("create schema standardized")
            for name, entity in mapping.load().entities.items():
                columns = ", ".join(f'"{n}" {_TYPES.get(field.type, field.type)}' for n, field in entity.fields.items())
                db.execute(f"create table standardized.{name} ({columns})")

    def open(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.settings.warehouse))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.open() as db:
            return db.execute(sql).fetchall()

    def put(self, entity: str, record: str, **fields: Any) -> None:
        """Add a record or change the one that is there."""
        connection, _, number = record.partition(":")
        key = "customer_id" if entity == "contacts" else "id"
        self.day += 1
        values = {
            "connection": connection, "source_system": KINDS[connection], key: number, "is_deleted": False,
            "synced_at": NOON + timedelta(days=self.day), **({"record_type": "contact"} if entity == "contacts" else {}), **fields,
        }  # fmt: skip
        with self.open() as db:
            db.execute(f"delete from standardized.{entity} where connection = ? and {key} = ?", [connection, number])
            columns, marks = ", ".join(f'"{name}"' for name in values), ", ".join("?" * len(values))
            db.execute(f"insert into standardized.{entity} ({columns}) values ({marks})", list(values.values()))

    def contact(self, record: str, email: str | None = None, **fields: Any) -> None:
        self.put("contacts", record, email=email, **fields)

    def company(self, record: str, name: str | None = None, domain: str | None = None, **fields: Any) -> None:
        self.put("companies", record, name=name, domain=domain, **fields)

    def deal(self, record: str, name: str, value: float | None = None, **fields: Any) -> None:
        self.put("opportunities", record, name=name, value=value, **{"is_closed": False, "is_won": False, **fields})

    def unify(self, select: str = transform.LAYERS["unified"]) -> None:
        """Find out who is who and build the unified tables, or some of them, with their tests, all of which must pass."""
        identify(self.settings)
        results = transform.build(select, self.settings)
        assert [(r.name, r.table, r.message) for r in results if r.status not in ("success", "pass")] == []
