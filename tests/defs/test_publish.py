"""The checks of how it runs in Dagster: shown with each publication, which one that stops keeps from happening."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import duckdb
import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.defs.publish import CHECKS, cdp
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.lifting import lift
from cdp_pipelines.privacy.person import Person
from cdp_pipelines.privacy.suppression import SuppressionList
from tests.privacy import held


def test_each_check_is_shown_and_nothing_is_published_while_one_that_stops_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held.make(tmp_path / "data")
    monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path / "data"))
    settings = Settings()

    def run() -> tuple[bool, dict[str, dg.AssetCheckEvaluation]]:
        """Whether the file was published, and what was said of each check."""
        result = dg.materialize([cdp], instance=instance, raise_on_error=False)
        assert result.success == bool(result.asset_materializations_for_node("published__cdp"))
        return result.success, {one.check_name: one for one in result.get_asset_check_evaluations()}

    def published_contacts() -> list[tuple]:
        with duckdb.connect(str(settings.published), read_only=True) as db:
            return db.execute("select count(*) from contacts where connection = 'hubspot'").fetchall()

    with dg.DagsterInstance.ephemeral() as instance:
        published, told = run()
        assert published and set(told) >= {check.name for check in CHECKS}
        assert not [name for name, one in told.items() if not one.passed]
        SuppressionList(settings).add("e1", Person("asked", ids={("hubspot", "101")}).hashes(Hasher.of_settings(settings)))
        with duckdb.connect(str(settings.warehouse)) as db:
            db.execute(
                "insert into standardized.contacts by name select * replace ('103' as customer_id) from standardized.contacts where customer_id = '102'"
            )
        published, told = run()
        assert not published and [name for name, one in told.items() if not one.passed] == ["nobody_erased"]
        assert told["nobody_erased"].severity == dg.AssetCheckSeverity.ERROR
        assert told["nobody_erased"].metadata["examples"].value == "hubspot:101"
        assert "cdp privacy erase" in (told["nobody_erased"].description or "")
        assert published_contacts() == [(2,)], "the tables of the last good run"
        with duckdb.connect(str(settings.published), read_only=True) as db:
            assert db.execute("select passed from data_quality where name = 'nobody_erased'").fetchall() == [(False,)]
        lift(settings, record="hubspot:101", reason="a test", who="kim")
        assert run()[0] and published_contacts() == [(3,)]
