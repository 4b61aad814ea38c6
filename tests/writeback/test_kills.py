"""An apply that is stopped at any moment, and begun again to its end: the CRM equals the plan, and nobody was made twice."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdp_pipelines.config import KINDS, PROJECT_DIR, Settings
from cdp_pipelines.crm_integrations.writes import LiveRecord, OnResult, RecordWrite, RecordWriter, WriteResult
from cdp_pipelines.writeback import service, sessions
from cdp_pipelines.writeback.outbox import Outbox
from cdp_pipelines.writeback.plan import Plan
from tests.sandbox.faulty import faulty
from tests.sources.known_failures import known_failure
from tests.writeback.world import OBJECTS, World, one_crm, unique

APPLY = [sys.executable, "-c", "from cdp_pipelines.cli import main; main()", "writeback", "apply"]
TITLES = {"salesforce": "Title", "hubspot": "jobtitle", "marketo": "title"}


class Killed(BaseException):
    """As when the process ends: nothing of ours may catch it."""


@dataclass
class Deadly:
    """A writer that dies at its n-th call, before the CRM has it or after the CRM has done it."""

    inner: RecordWriter
    at: int
    done: bool
    calls: int = 0
    deleting: bool = False

    async def _call(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self.calls += 1
        if self.calls == self.at and not self.done:
            raise Killed
        answer = await call()
        if self.calls == self.at:
            raise Killed
        return answer

    async def read(self, object: str, ids: Iterable[str], fields: Sequence[str]) -> dict[str, LiveRecord]:
        return await self._call(lambda: self.inner.read(object, ids, fields))

    async def find(self, object: str, by_field: str, values: Iterable[str], fields: Sequence[str]) -> dict[str, list[LiveRecord]]:
        return await self._call(lambda: self.inner.find(object, by_field, values, fields))

    async def write(self, object: str, writes: Sequence[RecordWrite], *, on_result: OnResult | None = None) -> list[WriteResult]:
        # The CRM has done it, and the answer has not arrived: no result is told.
        return await self._call(lambda: self.inner.write(object, writes, on_result=None if self.calls == self.at else on_result))

    async def delete(
        self, object: str, ids: Sequence[str], *, forget: bool = False, on_result: OnResult | None = None
    ) -> list[WriteResult]:
        self.deleting = True
        return await self._call(
            lambda: self.inner.delete(object, ids, forget=forget, on_result=None if self.calls == self.at else on_result)
        )


def people(world: World, kind: str, count: int, title: str) -> list[dict[str, Any]]:
    """So many who are there and so many who are not."""
    known = [world.make(kind, email=unique(), last_name="Lee", title="Old") for _ in range(count)]
    return [
        *({"customer_key": f"k{i}", "last_name": "Lee", "title": title, "records": {kind: record}} for i, record in enumerate(known)),
        *({"customer_key": f"n{i}", "email": unique("new"), "last_name": "New", "title": title} for i in range(count)),
    ]


@one_crm
def test_killed_at_every_call_and_begun_again_the_crm_equals_the_plan(world: World, kind: str) -> None:
    world.rules({"email": "crm_wins", "last_name": "source_wins", "title": "source_wins"}, kinds=[kind], create=True)
    for done in (False, True):
        for at in range(1, 20):
            wanted = people(world, kind, 2, f"T{at}{done}")
            world.publish(*wanted)
            _, path = world.plan()
            deadly: list[Deadly] = []

            async def dying(
                opened: Mapping[str, sessions.Session], path: Path = path, at: int = at, done: bool = done, deadly: list[Deadly] = deadly
            ):
                session = opened[kind]
                deadly.append(Deadly(session.writer, at, done))
                session.writer = deadly[0]
                return await service.apply_plan(world.settings, opened, path)

            try:
                world.call(dying)
                died = False
            except Killed:
                died = True
            report = world.apply(path)
            assert report.complete, report
            assert report.outcomes == {kind: {"updated": 2, "created": 2}}, (at, done)
            assert {world.see(kind, p["records"][kind])["title"] for p in wanted if "records" in p} == {f"T{at}{done}"}
            for p in wanted:
                if "email" in p:
                    assert len(world.ids(kind, p["email"])) == 1, (at, done)
            if not died:
                break
        assert at > 3


@pytest.mark.parametrize("done", [False, True])
def test_an_undo_that_is_killed_goes_on_where_it_was(world: World, done: bool) -> None:
    world.rules({"email": "crm_wins", "last_name": "source_wins", "title": "source_wins"}, kinds=["hubspot"], create=True)
    wanted = people(world, "hubspot", 2, "New")
    world.publish(*wanted)
    report = world.write()
    plan = world.call(lambda opened: service.undo_plan(world.settings, opened, report.run))
    path = service.keep(world.settings, plan)
    for at in (2, 3, 4):

        async def dying(opened: Mapping[str, sessions.Session], at: int = at) -> None:
            opened["hubspot"].writer = Deadly(opened["hubspot"].writer, at, done)
            await service.apply_plan(world.settings, opened, path)

        with contextlib.suppress(Killed):
            world.call(dying)
    assert world.apply(path).outcomes == {"hubspot": {"updated": 2, "deleted": 2}}
    assert {world.see("hubspot", p["records"]["hubspot"])["title"] for p in wanted if "records" in p} == {"Old"}
    assert [world.ids("hubspot", p["email"]) for p in wanted if "email" in p] == [[], []]
    with Outbox(world.settings) as outbox:
        assert outbox.base_rows() == []


def test_a_second_apply_of_a_done_plan_sends_nothing(world: World) -> None:
    world.rules({"email": "crm_wins", "title": "source_wins", "last_name": "source_wins"}, kinds=["hubspot"], create=True)
    world.publish(*people(world, "hubspot", 2, "New"))
    _, path = world.plan()
    first = world.apply(path)
    calls = world.sandbox.control("GET", "/sandbox/requests").json()
    assert world.apply(path) == first
    assert world.sandbox.control("GET", "/sandbox/requests").json() == calls


@known_failure("drt-hub/drt#919", "drt-hub/drt#955")
def test_two_cannot_write_at_once(world: World) -> None:
    settings = world.settings.model_copy(update={"lock_wait_seconds": 0.05})
    with service.writing(settings), pytest.raises(service.WritebackBusy), service.writing(settings):
        pass
    with service.writing(settings):
        pass


class Crms:
    """Three CRMs with many people in them, and applies in processes of their own."""

    def __init__(self, world: World, rows: int):
        self.world, self.made = world, rows // 10
        world.kinds = KINDS
        self.records = {kind: self._known(kind, rows // 3 - self.made) for kind in KINDS}
        self.titles = world.call(self._titles)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("SALESFORCE_", "HUBSPOT_", "MARKETO_"))}
        quick = {
            "HUBSPOT_CALLS_PER_10_SECONDS": "100000",
            "HUBSPOT_SEARCHES_PER_SECOND": "100000",
            "MARKETO_CALLS_PER_20_SECONDS": "100000",
        }
        self.environment = {
            **environment, **world.sandbox.addresses.environment(), **quick, "CDP_DATA_DIR": str(world.settings.data_dir),
            "CDP_WRITEBACK_FILE": str(world.settings.writeback_file), "PYTHONPATH": str(PROJECT_DIR),
        }  # fmt: skip

    def _known(self, kind: str, most: int) -> list[str]:
        """Ids of records that are there."""
        sandbox = self.world.sandbox
        if kind == "salesforce":
            found, path = [], "/services/data/v62.0/query?q=SELECT+Id+FROM+Contact"
            while path and len(found) < most:
                body = sandbox.call(kind, path).json()
                found += [r["Id"] for r in body["records"]]
                path = body.get("nextRecordsUrl")
            return found[:most]
        if kind == "hubspot":
            found, after = [], ""
            while len(found) < most:
                body = sandbox.call(kind, f"/crm/v3/objects/contacts?limit=100{after}").json()
                found += [r["id"] for r in body["results"]]
                if "paging" not in body:
                    break
                after = f"&after={body['paging']['next']['after']}"
            return found[:most]
        ids = [str(i) for i in range(1, 10 * most)]
        found = []
        token = sandbox.token(kind)
        for start in range(0, len(ids), 300):
            body = sandbox.call(
                kind, f"/rest/v1/leads.json?filterType=id&filterValues={','.join(ids[start : start + 300])}", token=token
            ).json()
            found += [str(r["id"]) for r in body["result"]]
            if len(found) >= most:
                break
        return found[:most]

    async def _titles(self, opened: Mapping[str, sessions.Session]) -> dict[str, dict[str, str | None]]:
        """What the records hold at first."""
        return {
            kind: {
                i: record.values[TITLES[kind]] for i, record in (await opened[kind].writer.read(OBJECTS[kind], ids, [TITLES[kind]])).items()
            }
            for kind, ids in self.records.items()
        }

    def plan(self, number: int) -> tuple[Plan, Path]:
        """A plan that gives all of them another title, and makes some."""
        rows: list[dict[str, Any]] = [
            {"customer_key": f"k{i}", "title": f"T{number}", "records": dict(zip(self.records, ids, strict=True))}
            for i, ids in enumerate(zip(*self.records.values(), strict=True))
        ]
        known = {one: title for titles in self.titles.values() for one, title in titles.items()}
        rows += [
            {"customer_key": f"n{i}", "email": f"kill{number}.{i}@writeback.example", "last_name": "New", "title": f"T{number}"}
            for i in range(self.made)
        ]
        self.world.publish(*rows, read=lambda one: {"title": known[one]})
        self.world.rules({"email": "crm_wins", "last_name": "crm_wins", "title": "source_wins"}, create=True, guards={
            "most_records": 10**6, "most_share": 1, "most_creates": 10**6})  # fmt: skip
        while (made := self.world.plan())[0].problems:  # the sandbox had no time to answer
            time.sleep(1)
        return made

    def apply(self, path: Path, kill_after: float | None = None) -> int:
        """The exit code of an apply in a process of its own, killed after some seconds."""
        run = subprocess.Popen([*APPLY, str(path)], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            run.wait(timeout=kill_after or 600)
        except subprocess.TimeoutExpired:
            run.kill()
        self.said = run.communicate(timeout=60)[0]
        return run.returncode

    def counted(self) -> dict[str, int]:
        """How many live people each CRM has, as the sandbox itself counts them."""
        counts = self.world.sandbox.control("GET", "/sandbox/counts").json()
        return {kind: counts[kind][OBJECTS[kind]] for kind in KINDS}

    def check(self, plan: Plan, number: int, before: dict[str, int]) -> None:
        """Each record is as planned, each new one is there once, and nobody else is there who was not there before."""
        assert self.counted() == {kind: count + self.made for kind, count in before.items()}

        async def look(opened: Mapping[str, sessions.Session]) -> None:
            for kind in KINDS:
                writer, name = opened[kind].writer, OBJECTS[kind]
                title = TITLES[kind]
                email = {"salesforce": "Email"}.get(kind, "email")
                ids = [e.id for e in plan.entries if e.connection == kind and e.action == "update" and e.id]
                assert ids
                live = await writer.read(name, ids, [title])
                assert {record.values[title] for record in live.values()} == {f"T{number}"}, kind
                new = [f"kill{number}.{i}@writeback.example" for i in range(self.made)]
                found = await writer.find(name, email, new, [title])
                assert {address: len(records) for address, records in found.items()} == dict.fromkeys(new, 1), kind
                assert {r.values[title] for records in found.values() for r in records} == {f"T{number}"}

        self.world.call(look)
        with Outbox(self.world.settings) as outbox:
            run = outbox.runs()[0]
        assert set(run["states"]) <= {"created", "updated", "unchanged"}, run
        assert sum(run["states"].values()) == len(plan.writes)
        assert run["ended_at"]


def misbehave(crms: Crms, dice: random.Random, limited: Sequence[str]) -> None:
    """Limits, errors, answers that are lost or break off after the CRM has done its work, locked rows and a locked portal."""
    sandbox = crms.world.sandbox
    sandbox.reset()
    sandbox.option("salesforce", lock_next_rows=dice.randrange(300))
    sandbox.set("hubspot", "locked", rate=0.02, seed=dice.randrange(1000))
    for kind in KINDS:
        sandbox.set(kind, "server_error", rate=0.05, seed=dice.randrange(1000), status=503)
        if kind in limited:
            sandbox.set(kind, "rate_limit", rate=0.05, seed=dice.randrange(1000))
        sandbox.set(kind, "drop", rate=0.05, seed=dice.randrange(1000), done=True)
        sandbox.set(kind, "server_error", rate=0.03, seed=dice.randrange(1000), status=502, done=True)
        sandbox.set(kind, "truncate", rate=0.02, seed=dice.randrange(1000))


def kill_and_go_on(crms: Crms, kills: int, dice: random.Random, *, limited: Sequence[str] = KINDS) -> None:
    """So many plans, each killed once or more at random moments of its apply, and then begun again until it is done.

    `limited` are the CRMs that now and then refuse a call for their limit, which costs twenty seconds in Salesforce and Marketo.
    """
    before = crms.counted()
    plan, path = crms.plan(0)
    begun = time.monotonic()
    assert crms.apply(path) == 0, crms.said
    usual = time.monotonic() - begun
    crms.check(plan, 0, before)
    killed = number = 0
    while killed < kills:
        number += 1
        before = crms.counted()
        plan, path = crms.plan(number)
        misbehave(crms, dice, limited)
        while killed < kills and (dice.random() < 0.7 or not killed):
            if crms.apply(path, kill_after=dice.uniform(0.5, 1.3 * usual)) != -9:
                break
            killed += 1
        for _ in range(30):
            if crms.apply(path) == 0:
                break
        else:
            pytest.fail(crms.said)
        crms.world.sandbox.reset()
        crms.check(plan, number, before)
    print(f"{killed} kills in {number} applies of {len(plan.writes)} records; undisturbed, one takes {usual:.1f} s")


def crms_of(folder: Path, running: Any, rows: int) -> Crms:
    return Crms(World(running, Settings(data_dir=folder / "data", writeback_file=folder / "writeback.yml")), rows)


@pytest.mark.slow
def test_killed_at_random_moments_under_faults_the_crms_equal_the_plan(tmp_path: Path) -> None:
    with faulty(tmp_path / "state", people=200) as running:
        kill_and_go_on(crms_of(tmp_path, running, 300), 5, random.Random(7), limited=["hubspot"])


@pytest.mark.endurance
@pytest.mark.parametrize("part", [1, 2, 3, 4])
def test_a_hundred_kills_of_applies_of_five_thousand_rows(tmp_path: Path, part: int) -> None:
    """A quarter of them each time: an apply that goes on after a kill mostly waits, so that several sandboxes cost no more time than one."""
    chosen = os.environ.get("KILL_SEED") or str(random.randrange(10**9))
    print(f"\nKILL_SEED={chosen}")
    with faulty(tmp_path / "state", people=3_000) as running:
        kill_and_go_on(crms_of(tmp_path, running, 5_000), 25, random.Random(f"{chosen} {part}"))
