"""Each data operation leaves its entry."""

from __future__ import annotations

import orjson
import pytest

from cdp_pipelines import history, query
from cdp_pipelines.audit import settings_seen
from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.audit.showing import Wanted, newest
from cdp_pipelines.audit.verifying import verify
from cdp_pipelines.config import Settings, connection_from_config
from cdp_pipelines.identity.deciding import decide
from cdp_pipelines.identity.explain import explain
from cdp_pipelines.identity.step import identify
from cdp_pipelines.publish import publish
from cdp_pipelines.sources.extract import extract
from tests import published_file
from tests.identity.given import contacts, person
from tests.sources.fake_reader import FakeReader, problem, salesforce


def entries(settings: Settings, what: str):
    assert verify(AuditLog(settings)).ok
    return [entry for entry in AuditLog(settings).entries() if entry["what"] == what]


@pytest.fixture
def settings(tmp_path) -> Settings:
    made = published_file.settings_in(tmp_path)
    published_file.write(made)
    return made


def test_reads_say_how_many_rows_left_and_no_value(settings):
    assert len(query.contacts(settings, {"email": "ANN.lee@acme.com"})) <= 5
    with query.sql(settings, "select email from contacts where email <> 'x@acme.com'") as rows:
        count = len(list(rows))
    with pytest.raises(ZeroDivisionError), query.rows(settings, "opportunities") as rows:
        next(iter(rows))
        _ = 1 / 0
    with pytest.raises(query.QueryError):
        query.sql(settings, "select nothing from nowhere").__enter__()
    first, second, third = entries(settings, "read")
    assert (first["on"], first["about"], len(first["subjects"])) == ("contacts", {"filters": ["email"]}, 1)
    assert newest(settings, Wanted(subject="Ann.Lee@acme.com"), 9)[0]["n"] == first["n"]
    assert (second["count"], second["about"]["query"]) == (count, "select email from contacts where email <> ?")
    assert (third["on"], third["count"], third["result"]) == ("opportunities", 1, "failed")
    assert b"acme" not in AuditLog(settings).path.read_bytes()


def test_a_frame_counts_all_its_rows(settings):
    frame = query.contacts(settings, as_dataframe=True)
    assert entries(settings, "read")[-1]["count"] == len(frame)


def test_explaining_and_deciding_are_there_with_what_was_said_sealed(tmp_path):
    settings = Settings(data_dir=tmp_path)
    with history.opened(settings) as db:
        db.register("given", contacts(person("Ann Lee", "ann@acme.com"), person("Bob Ray", "bob@acme.com")))
        db.execute("create schema standardized; create table standardized.contacts as from given")
    identify(settings)
    publish(settings)
    explain(settings, "hubspot:1")
    decide(settings, "merge", "hubspot:1", "hubspot:2", who="Ann", why="father and son Lee")
    assert [entry["result"] for entry in entries(settings, "publish")] == ["ok"]
    assert entries(settings, "read")[-1]["on"] == "explain"
    assert "Lee" not in AuditLog(settings).path.read_text()
    (shown,) = newest(settings, Wanted(subject="hubspot:2"), 9, opened=True)
    assert (shown["what"], shown["payload"]["why"]) == ("override", "father and son Lee")


def test_a_sync_is_there_whole_or_not(tmp_path):
    settings = Settings(data_dir=tmp_path)
    extract(salesforce(), FakeReader({"contact": [[{"Id": "1", "Name": "Ann"}]]}, {"roles": problem("no permission")}), settings)
    (entry,) = entries(settings, "sync")
    assert (entry["on"], entry["count"], entry["result"]) == ("salesforce", 1, "incomplete")
    assert entry["about"]["tables"]["contact"] == {"mode": "full", "rows": 1, "deleted": 0, "left_out": 0, "rejected": 0, "state": "ok"}
    assert entry["about"]["tables"]["roles"]["state"] == "incomplete"


def test_another_secret_is_noted_by_name_alone(tmp_path):
    settings = Settings(data_dir=tmp_path)
    for token in ("pat-one", "pat-one", "pat-two"):
        settings_seen.note_settings(settings, [connection_from_config("hubspot", {"access_token": token})])
    first, second = entries(settings, "settings")
    assert first["result"] == "noted"
    assert second["about"] == {
        "changed": ["HUBSPOT_ACCESS_TOKEN"],
        "new": [],
        "gone": [],
        "secrets": ["HUBSPOT_ACCESS_TOKEN"],
    }
    assert "pat-" not in "".join(path.read_text(errors="replace") for path in settings.audit_dir.iterdir())
    assert orjson.loads((settings.audit_dir / "settings.json").read_bytes())["CDP_DATA_DIR"] != str(tmp_path)
