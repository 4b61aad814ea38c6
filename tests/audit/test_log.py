"""The log: what a change, a cut and a kill of it look like, and what an erasure leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_pipelines.audit import subjects, verifying
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.log import AuditBroken, AuditLog
from cdp_pipelines.audit.recording import record
from cdp_pipelines.audit.shape import shape_of
from cdp_pipelines.audit.showing import DESTROYED, Wanted, export, newest
from cdp_pipelines.audit.verifying import Verified, verify, verify_new
from cdp_pipelines.config import ConfigError, Settings

ENTRIES = 8


def written(folder: Path, count: int = ENTRIES) -> Settings:
    """A data directory with so many entries, the third of which has a payload."""
    settings = Settings(data_dir=folder)
    log = AuditLog(settings)
    ann = subjects.of_record(log.key, "hubspot", "101")
    for n in range(1, count + 1):
        whom, payload = ((ann,), {"email": "ann@acme.com"}) if n == 3 else ((), None)
        record(settings, Operation("sync", "hubspot", "ok", n, {"calls": n}, whom, payload))
    return settings


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, bytes, bytes]:
    settings = written(tmp_path_factory.mktemp("whole"))
    log = AuditLog(settings)
    return settings, log.path.read_bytes(), log.anchor_path.read_bytes()


def after(whole: tuple[Settings, bytes, bytes], log: bytes | None = None, anchor: bytes | None = None) -> Verified:
    """What `verify` says of other contents of the two files."""
    settings, as_it_was, anchor_as_it_was = whole
    audit = AuditLog(settings)
    audit.path.write_bytes(as_it_was if log is None else log)
    audit.anchor_path.write_bytes(anchor_as_it_was if anchor is None else anchor)
    return verify(audit)


def test_a_log_that_nobody_touched_is_as_it_was_written(whole):
    found = after(whole)
    assert (found.ok, found.count, found.notes) == (True, ENTRIES, [])
    assert found.head == orjson.loads(whole[1].splitlines()[-1])["hash"]


@given(data=st.data())
def test_any_changed_byte_is_found_and_its_line_named(whole, data):
    raw = whole[1]
    place = data.draw(st.integers(0, len(raw) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda b: b != raw[place]))
    found = after(whole, raw[:place] + bytes([other]) + raw[place + 1 :])
    line = raw[:place].count(b"\n") + 1
    assert not found.ok
    assert f"line {line}" in found.problems[0]


@given(data=st.data())
def test_any_changed_byte_of_the_anchor_is_found(whole, data):
    raw = whole[2]
    place = data.draw(st.integers(0, len(raw) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda b: b != raw[place]))
    found = after(whole, anchor=raw[:place] + bytes([other]) + raw[place + 1 :])
    assert not found.ok
    assert "anchor.json" in found.problems[0]


@given(data=st.data())
def test_a_missing_moved_or_copied_entry_is_named(whole, data):
    lines = whole[1].splitlines(keepends=True)
    i = data.draw(st.integers(0, ENTRIES - 1))
    j = data.draw(st.integers(0, ENTRIES - 1).filter(lambda j: j != i))
    first = min(i, j) + 1
    gone = after(whole, b"".join(lines[:i] + lines[i + 1 :]))
    assert any(f"entry {i + 1} is missing" in p or f"entries {i + 1} to {ENTRIES} are missing" in p for p in gone.problems)
    swapped = list(lines)
    swapped[i], swapped[j] = swapped[j], swapped[i]
    moved = after(whole, b"".join(swapped))
    assert f"line {first}:" in moved.problems[0]
    copied = after(whole, b"".join([*lines[: i + 1], lines[i], *lines[i + 1 :]]))
    assert f"line {i + 2}: entry {i + 1} stands where" in copied.problems[0]


@given(data=st.data())
def test_a_cut_is_named_wherever_it_is(whole, data):
    raw = whole[1]
    left = data.draw(st.integers(0, len(raw) - 1))
    found = after(whole, raw[:left])
    lost = raw[:left].count(b"\n") + 1
    assert not found.ok
    assert any(f"entries {lost} to {ENTRIES} are missing at the end" in p or f"line {lost}" in p for p in found.problems)
    settings = whole[0]
    with pytest.raises(AuditBroken, match="was cut"):
        record(settings, Operation("sync", "hubspot", "ok"))


def test_a_log_written_anew_with_another_key_and_a_lost_anchor_are_found(whole, tmp_path):
    other = AuditLog(written(tmp_path))
    assert "was not written with this log's key" in after(whole, other.path.read_bytes()).problems[0]
    settings = whole[0]
    AuditLog(settings).path.write_bytes(whole[1])
    AuditLog(settings).anchor_path.unlink()
    assert "is missing" in verify(AuditLog(settings)).problems[0]
    with pytest.raises(AuditBroken, match="is missing"):
        record(settings, Operation("sync", "hubspot", "ok"))


def test_going_back_to_an_older_log_is_found_by_what_was_noted(tmp_path):
    settings = written(tmp_path)
    log = AuditLog(settings)
    old = log.path.read_bytes(), log.anchor_path.read_bytes()
    record(settings, Operation("erase", "privacy", "ok"))
    noted = verify(log)
    log.path.write_bytes(old[0])
    log.anchor_path.write_bytes(old[1])
    assert verify(log).ok, "the two files fit each other"
    assert "is not the one that was noted" in verify(log, expected=(noted.count, noted.head)).problems[0]


def test_a_broken_log_is_set_aside_and_the_new_one_says_so(tmp_path):
    settings = written(tmp_path)
    log = AuditLog(settings)
    log.path.write_bytes(log.path.read_bytes()[:-200])
    aside = log.begin_anew(why="a disk fault")
    assert (aside / "log.jsonl").exists()
    found = verify(log)
    assert found.ok and found.count == 1 and aside.name in found.notes[0]
    assert next(log.entries())["about"] == {"set_aside": aside.name, "lines": ENTRIES - 1, "why": "a disk fault"}


def test_who_looks_often_looks_at_what_is_new_and_at_a_long_log_as_a_whole_once_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr(verifying, "SHORT", 3)
    settings, now = written(tmp_path), datetime.now(UTC)
    log = AuditLog(settings)
    old = (log.path.read_bytes(), log.anchor_path.read_bytes())
    assert verify_new(log, now) == []
    record(settings, Operation("sync", "marketo", "ok"))
    content = log.path.read_bytes()

    log.path.write_bytes(content.replace(b"marketo", b"marketa"))
    assert "line 9, entry 9, was changed after it was written" in verify_new(log, now)[0]
    log.path.write_bytes(content)
    assert verify_new(log, now) == []

    log.path.write_bytes(content.replace(b"hubspot", b"hubspod", 1))
    assert verify_new(log, now) == [], "that part was found right today"
    assert "entry 1, was changed" in verify_new(log, now + timedelta(days=1, seconds=1))[0]
    assert "entry 1, was changed" in verify_new(log, now + timedelta(days=1, seconds=2))[0], "and again, until it is mended"
    kept = (log.folder / "verified.json").read_bytes()
    (log.folder / "verified.json").write_bytes(kept.replace(b'"count":9', b'"count":8'))
    assert "entry 1, was changed" in verify_new(log, now)[0], "a place that somebody else wrote is none"
    log.path.write_bytes(content)
    assert verify_new(log, now) == []

    log.path.write_bytes(old[0])
    log.anchor_path.write_bytes(old[1])
    assert "is not the one that was noted" in verify_new(log, now)[0], "an older log was put in its place"
    log.begin_anew(why="it was an older one")
    assert verify_new(log, now) == []


def test_what_a_kill_leaves_behind_the_anchor_is_taken_in_or_cut_off(tmp_path):
    settings = written(tmp_path)
    log = AuditLog(settings)
    before = log.anchor_path.read_bytes()
    record(settings, Operation("sync", "marketo", "ok"))
    log.anchor_path.write_bytes(before)  # killed before the anchor was moved
    assert verify(log).ok and "behind the anchor" in verify(log).notes[0]
    with log.path.open("ab") as file:
        file.write(b'{"n":10,"at":"2026-')  # killed while it wrote
    found = verify(log)
    assert found.ok and any("torn" in note for note in found.notes)
    record(settings, Operation("sync", "salesforce", "ok"))
    found = verify(log)
    assert (found.ok, found.notes) == (True, [])
    assert [entry["what"] for entry in log.entries()][-2:] == ["audit_repaired", "sync"]


def test_entries_that_somebody_else_put_behind_the_anchor_are_refused(tmp_path):
    settings = written(tmp_path)
    log = AuditLog(settings)
    line = orjson.loads(log.path.read_bytes().splitlines()[-1])
    with log.path.open("ab") as file:
        file.write(orjson.dumps({**line, "n": ENTRIES + 1, "prev": line["hash"]}) + b"\n")
    assert not verify(log).ok
    with pytest.raises(AuditBroken, match=f"line {ENTRIES + 1}"):
        record(settings, Operation("sync", "hubspot", "ok"))


_WRITER = """
import sys
from pathlib import Path
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record
from cdp_pipelines.config import Settings
settings = Settings(data_dir=Path(sys.argv[1]))
for n in range(int(sys.argv[3])):
    record(settings, Operation("sync", sys.argv[2], "ok", n))
    print(n, flush=True)
"""


def test_several_processes_write_and_some_are_killed(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), f"w{i}", "10000" if i else "30"], stdout=subprocess.PIPE, text=True)
        for i in range(3)
    ]
    assert writers[0].wait(timeout=60) == 0
    for killed in writers[1:]:
        os.kill(killed.pid, signal.SIGKILL)
    said = {f"w{i}": len((writer.communicate()[0] or "").splitlines()) for i, writer in enumerate(writers)}
    settings = Settings(data_dir=tmp_path)
    record(settings, Operation("sync", "last", "ok"))
    found = verify(AuditLog(settings))
    assert (found.ok, found.notes) == (True, [])
    for name, count in said.items():
        there = [entry["count"] for entry in AuditLog(settings).entries() if entry["on"] == name]
        assert there[:count] == list(range(count)), "what was said to be written is there"
        assert len(there) <= count + 1


def test_a_payload_is_for_its_subjects_and_gone_with_any_of_them(tmp_path):
    settings = Settings(data_dir=tmp_path)
    log = AuditLog(settings)
    ann, bob = (subjects.of_record(log.key, "hubspot", one) for one in ("101", "102"))
    said = {"why": "Ann told us so", "before": {"email": "ann@acme.com"}}
    log.append([Operation("override", "customers", "merge", 2, subjects=(ann, bob), payload=said)])
    assert b"acme" not in b"".join(path.read_bytes() for path in log.folder.iterdir())
    assert newest(settings, Wanted(subject="hubspot:102"), 10, opened=True)[0]["payload"] == said
    assert log.vault.destroy([bob]) == 1
    assert log.vault.destroy([bob]) == 0
    assert newest(settings, Wanted(frozenset({"override"})), 10, opened=True)[0]["payload"] == DESTROYED
    assert verify(log).ok


def test_a_destroyed_salt_is_nowhere_on_the_disk(tmp_path):
    settings = written(tmp_path)
    log = AuditLog(settings)
    ann = subjects.of_record(log.key, "hubspot", "101")
    salts = log.folder / "salts.sqlite"
    assert ann.encode() in salts.read_bytes()
    log.vault.destroy([ann])
    assert ann.encode() not in salts.read_bytes()
    assert [path.name for path in log.folder.glob("salts*")] == ["salts.sqlite"]


def test_an_export_has_the_chosen_entries_and_is_written_down(tmp_path):
    settings = written(tmp_path)
    path = tmp_path / "out.jsonl"
    assert export(settings, Wanted(subject="hubspot:101"), path, opened=True) == 1
    assert orjson.loads(path.read_bytes())["payload"] == {"email": "ann@acme.com"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(AuditLog(settings).entries())[-1]["what"] == "audit_read"
    with pytest.raises(ConfigError, match="File exists"):
        export(settings, Wanted(), path)


def test_files_and_folder_are_for_their_owner_alone(tmp_path):
    settings = written(tmp_path)
    for path in (settings.audit_dir, settings.privacy_dir):
        assert path.stat().st_mode & 0o077 == 0, path
        assert [one.name for one in path.iterdir() if one.stat().st_mode & 0o077] == []


def test_another_key_is_named_and_the_right_one_works_again(tmp_path):
    settings = written(tmp_path)
    other = settings.model_copy(update={"privacy_key": type(settings).model_validate({"privacy_key": "x" * 40}).privacy_key})
    with pytest.raises(AuditBroken, match="written with another key"):
        record(other, Operation("sync", "hubspot", "ok"))
    record(settings, Operation("sync", "hubspot", "ok"))
    with pytest.raises(ConfigError, match="fewer than 32"):
        AuditLog(Settings.model_validate({"data_dir": tmp_path, "privacy_key": "short"}))


def test_a_log_that_cannot_be_written_stops_the_operation(tmp_path):
    settings = written(tmp_path)
    AuditLog(settings).path.unlink()
    AuditLog(settings).path.mkdir()
    with pytest.raises(AuditBroken):
        record(settings, Operation("sync", "hubspot", "ok"))


@pytest.mark.parametrize(
    ("query", "shape"),
    [
        ("select email from contacts where email = 'ann@acme.com' limit 10", "select email from contacts where email = ? limit ?"),
        ("select 'ü', x -- Ann Lee\n from t /* Ann */", "select ? , x from t"),
        ('select "Ann Lee" from t where a = $$Ann$$', "select ? from t where a = ?"),
        ("select U&'ann', x'ab', ann@acme.com", "select"),
    ],
)
def test_a_query_is_noted_without_what_may_be_personal(query, shape):
    assert shape_of(query) == shape


def test_writing_an_entry_is_quick(tmp_path):
    settings = written(tmp_path, 1)
    started = time.perf_counter()
    record(settings, *(Operation("sync", "hubspot", "ok", n) for n in range(2_000)))
    assert time.perf_counter() - started < 5
