"""Histories stay small, and keep what says how things came."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import duckdb
import pytest

from cdp_pipelines import history
from cdp_pipelines.config import Settings
from cdp_pipelines.history import CheckResult
from cdp_pipelines.quality import moments

NOON = datetime(2026, 3, 20, 12)


@pytest.fixture
def db() -> duckdb.DuckDBPyConnection:
    db = duckdb.connect()
    db.execute("create table measured (measured_at timestamp, figure bigint)")
    return db


def measure(db: duckdb.DuckDBPyConnection, at: datetime) -> None:
    moments.make_room(db, "measured", at)
    db.execute("insert into measured values (?, 1), (?, 2)", [at, at])


def test_the_newest_of_each_hour_of_two_days_and_of_each_day_before_is_kept(db):
    for quarters in range(5 * 24 * 4):
        measure(db, NOON - timedelta(days=5) + timedelta(minutes=15 * quarters))
    kept = [at for (at,) in db.execute("select distinct measured_at from measured order by 1").fetchall()]
    newest = kept[-1]
    hourly = [at for at in kept if newest - at < timedelta(days=2)]
    assert len(hourly) == 48 and {at.minute for at in hourly} == {45}
    assert Counter(at.date() for at in kept if at not in hourly) == {(NOON - timedelta(days=n)).date(): 1 for n in range(2, 6)}
    assert moments.earlier(db, "measured") == moments.LOOKED_BACK


def test_a_clock_that_was_set_back_loses_nothing(db):
    measure(db, NOON)
    measure(db, NOON - timedelta(hours=3))
    assert db.execute("select count(distinct measured_at) from measured").fetchall() == [(2,)]


def test_the_moments_that_say_what_is_usual_are_the_newest_but_the_last(db):
    for hours in range(40):
        measure(db, NOON + timedelta(hours=hours))
    earlier = [at for (at,) in db.execute(f"from {moments.before('measured')}").fetchall()]
    assert sorted(earlier) == [NOON + timedelta(hours=hours) for hours in range(39 - moments.LOOKED_BACK, 39)]


def test_results_of_checks_are_thinned_but_for_those_that_tell_a_change(tmp_path):
    settings = Settings(data_dir=tmp_path)

    def result(passed: bool) -> CheckResult:
        return CheckResult("fresh", "contacts", passed, False, 0 if passed else 1, "It is fresh.")

    told = [True] * 30 + [False] + [True] * 29
    for minutes, passed in enumerate(told):
        history.record_checks(settings, NOON - timedelta(hours=3) + timedelta(minutes=minutes), [result(passed)])
    history.record_checks(settings, NOON, [result(True)])
    for _ in range(2):
        with history.opened(settings) as db:
            moments.thin_results(db, NOON)
            kept = db.execute("select checked_at, passed from ops.check_results order by 1").fetchall()
    assert [(at - NOON + timedelta(hours=3)).total_seconds() / 60 for at, _ in kept] == [0, 30, 31, 59, 180]
    assert [passed for _, passed in kept] == [True, False, True, True, True]
