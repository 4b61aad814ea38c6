"""Which connections are polled, and when."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cdp_pipelines import history, polling, publish
from cdp_pipelines.config import ConfigError, Connection, Kind, Settings, connection_from_config, connection_from_env
from cdp_pipelines.sources import registry
from cdp_pipelines.sources.report import TableReport
from cdp_pipelines.webhooks.inbox import Inbox, Place

NOW = datetime.now(UTC).replace(microsecond=0)


def hubspot(**more: Any) -> Connection:
    return connection_from_config(more.pop("name", "hubspot"), {"kind": "hubspot", "access_token": "t", **more})


def synced(settings: Settings, minutes_ago: float, name: str = "hubspot", *, but: str = "", kind: Kind = "hubspot", **more: Any) -> None:
    """All tables of a connection were synced, `but` one."""
    at = NOW - timedelta(minutes=minutes_ago)
    given: dict[str, Any] = {"state": "ok", "problem": None, "cursor": at, **more}
    reports = [TableReport(name, kind, t.name, "incremental", at, at, **given) for t in registry.TABLES[kind] if t.name != but]
    history.record_syncs(settings, reports)
    publish.publish(settings)


def due(settings: Settings, *connections: Connection | ConfigError) -> list[str]:
    return [c.name for c in polling.due(settings, connections, NOW)]


def test_a_connection_is_due_when_its_own_interval_is_over(tmp_path: Path):
    settings = Settings(data_dir=tmp_path)
    synced(settings, 7, "emea")
    synced(settings, 7, "apac")
    assert due(settings, hubspot(name="emea", poll_minutes=5), hubspot(name="apac", poll_minutes=10), hubspot(name="us")) == ["emea"]
    assert polling.due_at(settings, hubspot(name="apac", poll_minutes=10)) == NOW + timedelta(minutes=3)


def test_a_connection_that_was_never_synced_or_not_wholly_is_due_at_once(tmp_path: Path):
    settings = Settings(data_dir=tmp_path)
    assert due(settings, hubspot(poll_minutes=5)) == ["hubspot"]
    synced(settings, 1, but="deals")
    assert due(settings, hubspot(poll_minutes=5)) == ["hubspot"]
    synced(settings, 1)
    assert due(settings, hubspot(poll_minutes=5)) == []


def test_a_sync_that_failed_counts_so_that_a_crm_that_is_down_is_not_asked_all_the_time(tmp_path: Path):
    settings = Settings(data_dir=tmp_path)
    synced(settings, 9)
    synced(settings, 2, state="incomplete", problem="cannot be reached")
    assert due(settings, hubspot(poll_minutes=5)) == []


def test_a_connection_whose_settings_are_wrong_is_left_to_the_sync_of_all(tmp_path: Path):
    assert due(Settings(data_dir=tmp_path), ConfigError("HUBSPOT_ACCESS_TOKEN", "is missing", "Set it.", "hubspot")) == []


def test_marketo_is_due_when_its_log_was_last_read_an_interval_ago(tmp_path: Path):
    settings = Settings(data_dir=tmp_path)
    config = {"endpoint": "https://1-a-2.mktorest.com", "client_id": "c", "client_secret": "s", "poll_minutes": 5}
    instance = connection_from_config("marketo", config)
    synced(settings, 30, "marketo", kind="marketo")
    assert due(settings, instance) == ["marketo"]
    with closing(Inbox(settings.inbox)) as inbox:
        inbox.add([], log=("marketo", Place("token", NOW - timedelta(minutes=4))))
        assert due(settings, instance) == []
        inbox.add([], log=("marketo", Place("token", NOW - timedelta(minutes=6))))
    assert due(settings, instance) == ["marketo"]


def test_nothing_is_read_where_nothing_is_due(tmp_path: Path):
    settings = Settings(data_dir=tmp_path)
    history.opened(settings).close()
    assert polling.poll(settings, [hubspot()]) is None


@pytest.mark.parametrize(("value", "says"), [("0", "greater than or equal to 1"), ("60", "less than 60"), ("2.5", "valid integer"), ("often", "valid integer")])  # fmt: skip
def test_an_interval_that_cannot_be_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, value: str, says: str):
    monkeypatch.setenv("EMEA_ACCESS_TOKEN", "t")
    monkeypatch.setenv("EMEA_POLL_MINUTES", value)
    with pytest.raises(ConfigError, match=f"^EMEA_POLL_MINUTES is wrong: .*{says}"):
        connection_from_env("emea", "hubspot")


def test_the_interval_is_a_setting_of_the_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EMEA_ACCESS_TOKEN", "t")
    assert connection_from_env("emea", "hubspot").poll_minutes is None
    monkeypatch.setenv("EMEA_POLL_MINUTES", "5")
    assert connection_from_env("emea", "hubspot").poll_minutes == 5
