"""What is held on a person, in files."""

from __future__ import annotations

import csv
import json

import pytest

from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.privacy.erasing import erase
from cdp_pipelines.privacy.exporting import export
from cdp_pipelines.privacy.person import look_up
from tests.privacy.held import EMAIL, SALESFORCE_ID, values_left


def test_all_that_is_held_is_written_with_where_it_comes_from_and_goes_with_an_erasure(holding: Settings):
    settings = holding
    found = export(settings, look_up(settings, record="hubspot:101"))
    told = json.loads((found.folder / "person.json").read_bytes())
    assert told["records"] == ["hubspot:101", "marketo:7", f"salesforce:{SALESFORCE_ID}"]
    assert {row["id"] for row in told["held"]["raw_salesforce.contact"]} == {SALESFORCE_ID, "003Kx00000ZOEZOEAQ"}, "hers names him"
    assert [(row["connection"], row["_synced_at"]) for row in told["held"]["raw_marketo.leads"]] == [
        ("marketo", "2026-01-01T00:00:00.000000Z")
    ]
    assert told["held"]["write_backs"][0]["changes"][0]["new"] == "Chief"
    assert {row["record_id"] for row in told["held"]["change_notifications"]} >= {"101", SALESFORCE_ID}
    assert {"after": {"Email": EMAIL}} in [entry.get("payload") for entry in told["held"]["audit_log"]]
    with (found.folder / "standardized.contacts.csv").open(newline="") as file:
        assert sorted(row["customer_id"] for row in csv.DictReader(file)) == ["003Kx00000ROBERTAQ", "101", "7"]
    assert {path.name for path in found.folder.iterdir()} == {"person.json", *(f"{place}.csv" for place in found.rows)}
    assert [path.name for path in (found.folder, *found.folder.iterdir()) if path.stat().st_mode & 0o077] == []
    entry = list(AuditLog(settings).entries())[-1]
    assert (entry["what"], entry["count"]) == ("export", sum(found.rows.values()))
    with pytest.raises(ConfigError, match="File exists"):
        export(settings, look_up(settings, record="hubspot:101"), found.folder)
    other = export(settings, look_up(settings, email="kim@acme.example"), settings.data_dir / "exports" / "kim")
    erase(settings, [look_up(settings, email=EMAIL)], asked_by="kim")
    assert not found.folder.exists()
    assert not other.folder.exists(), "somebody decided about the two, which names him in hers"
    assert values_left(settings.data_dir) == []
