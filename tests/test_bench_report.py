"""The file that `make bench-report` measures with: as many contacts as asked for, each copy's people its own, and joins that hold."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import pytest

from cdp_pipelines import bench_report, masking
from cdp_pipelines.config import Settings
from tests import published_file

JOIN = "contacts join customer_contacts using (connection, customer_id)"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = published_file.settings_in(tmp_path)
    published_file.write(settings)
    return settings


def read(path: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as db:
        return db.execute(sql).fetchall()


def test_each_copy_has_ids_and_addresses_of_its_own_and_joins_hold(settings: Settings, tmp_path: Path):
    many = settings.model_copy(update={"data_dir": tmp_path / "many"})
    many.data_dir.mkdir()
    rows = bench_report.multiply(settings, many.published, 20)
    assert (rows["contacts"], rows["sync_status"]) == (21, 3), "seven people, three times; what is said of the pipeline, once"
    assert read(many.published, "select count(distinct (connection, customer_id)), count(distinct email) from contacts") == [
        (21, 3 * read(settings.published, "select count(distinct email) from contacts")[0][0])
    ]
    assert read(many.published, f"select count(*) from {JOIN}") == [(9,)]
    assert read(many.published, "select count(distinct first_name), sum(lead_score) from contacts")[0][1] == 3 * published_scores(settings)
    masking.mask(many)
    assert read(many.masked_file, f"select count(*) from {JOIN}") == [(9,)]
    found = bench_report.took(lambda: bench_report.copy(many))
    assert found.size > 0
    assert found.wall > 0
    assert read(many.data_dir / "copy.duckdb", "select count(*) from contacts") == [(21,)]


def published_scores(settings: Settings) -> int:
    return read(settings.published, "select sum(lead_score) from contacts")[0][0]


def test_a_token_takes_time():
    assert 0 < bench_report.microseconds_of_a_token(20_000) < 1000


def test_without_a_published_file_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["bench_report"])
    with pytest.raises(SystemExit, match="make demo"):
        bench_report.main()
