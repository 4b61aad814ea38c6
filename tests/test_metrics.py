"""What Prometheus reads: scraped over HTTP, parsed by its own parser, and equal to what SQL says."""

from __future__ import annotations

import http.server
import os
import stat
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from cdp_pipelines import database, history, metrics, publish
from cdp_pipelines.cli import app
from cdp_pipelines.config import Settings
from cdp_pipelines.query import NotPublished
from cdp_pipelines.sources.report import TableReport
from tests.published_file import settings_in, write

Samples = dict[tuple[str, ...], float]


@contextmanager
def folder_served(folder: Path) -> Generator[str]:
    """A folder over HTTP, as node_exporter would show what it finds there."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def scraped(text: str) -> dict[str, Samples]:
    """Family -> the values of its labels, in order of the labels' names -> value."""
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "collector"
    made = settings_in(tmp_path / "data").model_copy(update={"metrics_file": folder / "cdp.prom"})
    now = datetime.now(UTC)
    rejecting = TableReport("marketo", "marketo", "leads", "full", now, now, "ok", calls=7, calls_left=40_000, calls_allowed=50_000)
    rejecting.rejected["the row has no key"].add(3)
    history.record_syncs(made, [rejecting])
    history.record_checks(made, now, [history.CheckResult("nothing_rejected", "raw_marketo.leads", False, False, 3, "All kept.")])
    write(made, incomplete=True)
    return made


def test_each_publication_writes_a_file_whose_numbers_are_those_of_sql(settings: Settings) -> None:
    assert settings.metrics_file is not None
    with folder_served(settings.metrics_file.parent) as url:
        told = scraped(httpx2.get(f"{url}/cdp.prom", trust_env=False).text)
    assert list(settings.metrics_file.parent.iterdir()) == [settings.metrics_file]
    assert stat.S_IMODE(os.stat(settings.metrics_file).st_mode) == 0o644

    def sql(query: str) -> Samples:
        with database.connect(settings, settings.published, read_only=True) as db:
            return {tuple(labels): value for *labels, value in db.execute(query).fetchall() if value is not None}

    assert told["cdp_sync_complete"] == sql("select connection, object, if(state = 'ok', 1, 0) from sync_status")
    assert set(told["cdp_sync_complete"].values()) == {0, 1}
    for what in ("read", "inserted", "updated", "deleted", "rejected"):
        rows = {labels[:2]: value for labels, value in told["cdp_sync_rows"].items() if labels[2] == what}
        assert rows == sql(f"select connection, object, rows_{what} from sync_status")
    assert told["cdp_sync_rows"]["marketo", "leads", "rejected"] == 3
    assert told["cdp_sync_calls"] == sql("select connection, object, calls from sync_status")
    assert told["cdp_sync_lag_seconds"] == sql("select connection, object, lag_seconds from sync_status")
    assert told["cdp_sync_seconds"] == sql("select connection, object, epoch(ended_at) - epoch(started_at) from sync_status")
    assert told["cdp_calls_left"] == {("marketo",): 40_000}
    assert told["cdp_calls_allowed"] == {("marketo",): 50_000}
    assert told["cdp_rejected_rows"] == sql("select connection, object, reason, rows from rejected_rows")
    assert told["cdp_checks"] == {("false", "failed"): 2, ("true", "passed"): 1}
    assert told["cdp_check_failed_rows"] == {("false", "nothing_rejected", "raw_marketo.leads"): 3, ("false", "casts", "contacts"): 1}
    assert told["cdp_published_rows"] == sql("select table_name, estimated_size from duckdb_tables() where schema_name = 'main'")
    assert told["cdp_published_timestamp_seconds"] == {(): settings.published.stat().st_mtime}


def test_nothing_of_a_person_is_told(settings: Settings) -> None:
    assert settings.metrics_file is not None
    text = settings.metrics_file.read_text()
    with database.connect(settings, settings.published, read_only=True) as db:
        values = db.execute("select unnest([email, first_name, last_name, customer_id]) from contacts").fetchall()
    # Ids of two digits may be numbers of something else.
    assert [value for (value,) in values if value and len(value) > 2 and value in text] == []


def test_a_folder_that_cannot_be_written_to_fails_no_publication(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a file").write_text("")
    elsewhere = settings.model_copy(update={"metrics_file": tmp_path / "a file" / "cdp.prom"})
    assert publish.publish(elsewhere).path.exists()
    assert "CDP_METRICS_FILE" in caplog.text


def test_the_command_prints_them_or_writes_them(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDP_DATA_DIR", str(settings.data_dir))
    printed = CliRunner().invoke(app, ["metrics"])
    assert (printed.exit_code, scraped(printed.stdout)) == (0, scraped(metrics.exposition(settings).decode()))
    assert CliRunner().invoke(app, ["metrics", "--to", str(tmp_path / "own.prom")]).exit_code == 0
    assert (tmp_path / "own.prom").read_text() == printed.stdout
    (tmp_path / "a file").write_text("")
    refused = CliRunner().invoke(app, ["metrics", "--to", str(tmp_path / "a file" / "own.prom")])
    assert (refused.exit_code, refused.stderr.splitlines()[0].startswith("Error: --to cannot be written")) == (1, True)


def test_without_a_published_file_of_this_version_it_says_so(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotPublished):
        metrics.exposition(Settings(data_dir=tmp_path / "empty"))
    with database.connect(settings, settings.published) as db:
        db.execute("drop table rejected_rows")
    with pytest.raises(NotPublished, match="earlier version"):
        metrics.exposition(settings)
