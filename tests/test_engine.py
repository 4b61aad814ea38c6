import asyncio
from datetime import UTC
from pathlib import Path

import pytest

from cdp_pipelines.config import Settings
from cdp_pipelines.engine import CDPEngine, cdp_engine
from tests import published_file


def test_before_the_first_sync_the_status_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDP_DATA_DIR", str(tmp_path))
    status = asyncio.run(cdp_engine.get_crm_sync_status())
    assert (status["state"], status["connections"]) == ("never synced", {})
    assert "cdp sync" in status["problem"]


def test_the_status_has_every_connection_and_object_and_the_worst_lag(tmp_path: Path) -> None:
    settings = published_file.settings_in(tmp_path)
    published_file.write(settings)
    status = asyncio.run(CDPEngine(settings).get_crm_sync_status())
    assert status["state"] == "complete"
    assert {name: sorted(c["objects"]) for name, c in status["connections"].items()} == {
        "hubspot": ["contacts", "deals"],
        "salesforce": ["contact"],
    }
    contact = status["connections"]["salesforce"]["objects"]["contact"]
    assert contact["cursor"].tzinfo is UTC
    assert 3 * 3600 + 5 * 60 <= contact["lag_seconds"] < 3 * 3600 + 10 * 60
    assert status["lag_seconds"] == contact["lag_seconds"]
    assert (status["calls"], status["connections"]["hubspot"]["calls"]) == (9, 6)


@pytest.mark.parametrize("how", [{"incomplete": True}, {"failed": True}])
def test_an_unread_object_or_a_failed_blocking_check_makes_the_whole_incomplete(tmp_path: Path, how: dict[str, bool]) -> None:
    settings = published_file.settings_in(tmp_path)
    published_file.write(settings, **how)
    status = asyncio.run(CDPEngine(settings).get_crm_sync_status())
    assert status["state"] == "incomplete"
    assert status["connections"]["salesforce"]["state"] == "complete"


def test_without_credentials_the_sandboxs_connections_are_tested(tmp_path: Path) -> None:
    # Port 1: a sandbox that happens to run on this machine must not be the one under test.
    tests = asyncio.run(CDPEngine(Settings(data_dir=tmp_path, sandbox_port=1, sandbox_people=20)).test_crm_connections())
    assert {name: (test["kind"], test["ok"]) for name, test in tests.items()} == {
        kind: (kind, True) for kind in ("salesforce", "hubspot", "marketo")
    }
    assert all(test["account"] for test in tests.values())


def test_a_connection_with_a_missing_setting_is_that_connections_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETO_CLIENT_ID", "id")
    tests = asyncio.run(CDPEngine(Settings(data_dir=tmp_path)).test_crm_connections())
    assert list(tests) == ["marketo"]
    assert (tests["marketo"]["kind"], tests["marketo"]["ok"]) == ("marketo", False)
    assert tests["marketo"]["problem"].startswith("MARKETO_ENDPOINT is missing")
