"""What Dagster shows of a table that was just made: Markdown, from the warehouse, plain or encrypted."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from cdp_pipelines import database, history
from cdp_pipelines.config import Settings
from cdp_pipelines.report.figures import Figure, Figures
from cdp_pipelines.report.glances import glances, markdown, preview


@pytest.fixture(params=[None, "k" * 32], ids=["plain", "encrypted"])
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    settings = Settings(data_dir=tmp_path)
    if request.param:
        settings = settings.model_copy(update={"encryption_key": SecretStr(request.param)})
    with history.opened(settings) as db:
        db.execute("create schema standardized; create schema unified")
        db.execute(
            "create table standardized.contacts as from (values ('hubspot', false), ('hubspot', false), ('marketo', true)) t(source_system, is_deleted)"
        )
        db.execute(
            "create table standardized.opportunities as from (values ('hubspot', 'h', '1', 'Open', 'EUR', 10, 0.5, date '2026-01-01', false, false), "
            "('salesforce', 's', '2', 'Won', 'EUR', 10, 1, null, true, false)) "
            "t(source_system, connection, id, stage, currency, value, probability, close_date, is_closed, is_deleted)"
        )
        db.execute(
            "create table unified.opportunity_links as select connection, id as opportunity_id, true as is_counted from standardized.opportunities"
        )
        db.execute(
            "create table unified.customer_contacts as from (values ('email', true), ('email', true), ('alone', true), ('email', false)) t(rule, is_current)"
        )
    return settings


def shown(settings: Settings, schema: str, table: str) -> dict[str, str]:
    with database.connect(settings, settings.warehouse) as db:
        found = glances(db, schema, table)
        assert db.execute(f"select count(*) from {schema}.{table}").fetchall(), "names mean afterwards what they meant before"
        return found


def test_standardized_rows_are_counted_by_crm(settings: Settings):
    assert shown(settings, "standardized", "contacts") == {
        "Rows by CRM": "| CRM | rows | gone |  |\n| --- | ---: | ---: | --- |\n"
        "| hubspot | 2 | 0 | ████████████ |\n| marketo | 0 | 1 |  |"
    }  # fmt: skip


def test_opportunities_show_the_open_deals_of_each_stage(settings: Settings):
    by_stage = shown(settings, "standardized", "opportunities")["Open deals by stage"]
    assert by_stage.splitlines()[2:] == ["| hubspot | Open | EUR | 1 | 10 | ████████████ |"]
    pipeline = shown(settings, "unified", "opportunity_links")["Open pipeline by stage"]
    assert pipeline.splitlines()[2:] == ["| EUR | Open | 1 | 10 | 5 | ████████████ |"]


def test_who_is_who_shows_the_evidence(settings: Settings):
    evidence = shown(settings, "unified", "customer_contacts")["Why records were put together"]
    assert evidence.splitlines()[2:] == ["| email | 2 | ████████████ |", "| alone | 1 | ██████ |"]


def test_other_tables_show_nothing(settings: Settings):
    with database.connect(settings, settings.warehouse) as db:
        assert glances(db, "unified", "identity_edges") == glances(db, "staging", "stg_hubspot__contacts") == {}


def test_data_cannot_break_a_table():
    broken = Figure("x", "X", "", ["stage", "n"], [("a|b\nc", None), (None, 2)])
    assert markdown(broken, "n").splitlines()[2:] == ["| a\\|b c |  |  |", "|  | 2 | ████████████ |"]
    assert markdown(Figure("x", "X", "", ["a"], []), "a") == "Nothing yet."
    assert markdown(Figure("x", "X", "", ["a", "n"], [("b", 0)]), "n").endswith("| b | 0 |  |"), "no number to draw"


def test_the_preview_has_the_headlines_and_some_figures():
    some = {
        name: Figure(name, name.title(), "", ["what", "customers", "number", "this far or further"], [("a", 1, 2, 3)])
        for name in ("overlap", "matching", "stages", "freshness", "calls")
    }
    text = preview(Figures({"customers": "1,203", "open deals": "4"}, some))
    assert text.startswith("**1,203** customers · **4** open deals\n")
    assert "### Overlap\n\n| what |" in text
    assert "Calls" not in text
