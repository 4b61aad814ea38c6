"""Records that somebody names are read again, and nothing else is taken to have been read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from starlette.types import ASGIApp

from cdp_pipelines.config import Kind, Settings
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.columns import column_name
from cdp_pipelines.sources.extract import extract
from cdp_pipelines.sources.named import read_named
from cdp_pipelines.sources.reader import Named
from cdp_pipelines.sources.reconcile import reconcile
from tests.sources.fronts import Altered
from tests.sources.test_drift import Described, made_app


@pytest.mark.parametrize("kind", ["salesforce", "hubspot"])
def test_a_new_fields_values_still_come_with_the_reconcile_after_some_records_were_named(
    kind: Kind, serve: Callable[[ASGIApp], str], tmp_path: Path
) -> None:
    crm = Described(kind)
    crm.url = serve(Altered(made_app(kind), crm.alter))
    table, other, connection = crm.place.table, crm.place.other, crm.connection()

    def filled(settings: Settings) -> dict[str, str | None]:
        with duckdb.connect(str(settings.warehouse)) as db:
            return dict(db.execute(f"select id, {column_name(other)} from raw_{kind}.{table}").fetchall())

    def sync(settings: Settings) -> None:
        assert extract(connection, registry.reader(connection, settings), settings, tables=[table]).complete

    settings, fresh = Settings(data_dir=tmp_path / "kept"), Settings(data_dir=tmp_path / "fresh")
    crm.hidden = {other}
    sync(settings)
    crm.hidden = set()
    sync(settings)
    sync(fresh)
    wanted = filled(fresh)
    named = Named()
    named.add(table, [one := next(key for key, value in wanted.items() if value)])
    report = read_named(connection, registry.reader(connection, settings), settings, named)
    assert [(t.state, t.mode, t.rows_read) for t in report.tables] == [("ok", "named", 1)]
    assert filled(settings)[one] == wanted[one]
    assert filled(settings) != wanted, "the others have not been read"
    assert reconcile(connection, registry.reader(connection, settings), settings, tables=[table]).complete
    assert filled(settings) == wanted
