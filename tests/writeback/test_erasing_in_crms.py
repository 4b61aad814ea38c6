"""An erasure that the CRMs make too: planned, on disk before the first call, each record with its result, and gone on with after a kill."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.audit.verifying import verify
from cdp_pipelines.cli import app
from cdp_pipelines.config import KINDS, ConfigError
from cdp_pipelines.privacy import propagating
from cdp_pipelines.privacy.certificate import Certificate, folder_of
from cdp_pipelines.privacy.erasing import erase, finish, under_way
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.person import Person, look_up
from cdp_pipelines.writeback import service, sessions
from cdp_pipelines.writeback.outbox import Outbox
from tests.writeback.test_kills import Deadly, Killed
from tests.writeback.world import World, unique

BULK = "POST /services/data/*/jobs/ingest"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagating, "PAUSE_SECONDS", 0.01)


def planned(world: World, person: Person) -> list[tuple[str, str, str | None, str, str]]:
    plan = propagating.would_delete(world.connections(), person, Hasher.of_settings(world.settings))
    return sorted((e.connection, e.object, e.id, e.action, e.code) for e in plan.entries)


def erased(world: World, person: Person, **more: Any) -> Certificate:
    said: list[str] = []
    done = erase(world.settings, [person], asked_by="kim", connections=world.connections(max_attempts=1), say=said.append, **more)
    print(said)
    return done


def counts(certificate: Certificate) -> list[tuple[str, str, str, str, int]]:
    return [tuple(one.values()) for one in certificate.in_crms or ()]


def everywhere(world: World, email: str) -> dict[str, list[str]]:
    """A person in all three CRMs, in Salesforce as a contact and a lead; and somebody else with nearly the same address."""
    made: dict[str, list[str]] = {
        kind: [world.make(kind, email=address, last_name="Lee") for address in (email, f"x{email}")][:1] for kind in KINDS
    }
    made["salesforce"].append(world.make("salesforce", "Lead", email=email, last_name="Lee"))
    return made


def test_planned_first_then_gone_from_all_crms_and_a_second_time_changes_nothing(world: World) -> None:
    email = unique("ann.lee")
    made = everywhere(world, email)
    person = look_up(world.settings, email=email.upper())
    contact, lead = made["salesforce"]
    assert planned(world, person) == [
        ("hubspot", "contacts", *made["hubspot"], "delete", ""), ("marketo", "leads", *made["marketo"], "delete", ""),
        ("salesforce", "Contact", contact, "delete", ""), ("salesforce", "Lead", lead, "delete", ""),
    ]  # fmt: skip
    assert all(world.ids(kind, email) == made[kind] for kind in KINDS), "planning changes nothing"
    done = erased(world, person)
    assert done.result == "complete"
    assert counts(done) == [
        ("hubspot", "contacts", "deleted", "", 1), ("marketo", "leads", "deleted", "", 1), ("salesforce", "Contact", "deleted", "", 1),
        ("salesforce", "Lead", "deleted", "", 1),
    ]  # fmt: skip
    assert all(world.ids(kind, email) == [] for kind in KINDS)
    assert all(len(world.ids(kind, f"x{email}")) == 1 for kind in KINDS), "somebody else"
    archived = world.sandbox.call("hubspot", f"/crm/v3/objects/contacts/{made['hubspot'][0]}?archived=true")
    assert archived.status_code == 404, "erased, not archived"
    binned = world.sandbox.call("salesforce", f"/services/data/v62.0/queryAll?q=SELECT+Id+FROM+Contact+WHERE+Id='{contact}'").json()
    assert binned["records"] == [], "not in the recycle bin"
    again = erased(world, Person("x", ids={("hubspot", made["hubspot"][0]), ("salesforce", contact)}, emails={email}))
    assert (again.result, counts(again)) == ("complete", [("hubspot", "contacts", "gone", "", 1), ("salesforce", "Contact", "gone", "", 1)])
    assert verify(AuditLog(world.settings)).ok
    page = (folder_of(world.settings) / f"{done.id}.html").read_text()
    assert "In the CRMs" in page and "recycle bin, in its own backups" in page
    pages = "".join(path.read_text() for path in folder_of(world.settings).iterdir())
    assert email not in pages and contact not in pages


def test_what_a_crm_refuses_is_said_and_the_certificate_is_incomplete(world: World) -> None:
    email = unique("ann.lee")
    made = everywhere(world, email)
    world.sandbox.set("salesforce", "permission", path=BULK)
    world.sandbox.set("hubspot", "permission", path="POST /crm/v3/objects/contacts/gdpr-delete")
    person = look_up(world.settings, email=email)
    person.ids.add(("other", "5"))
    done = erased(world, person)
    assert done.result == "incomplete"
    assert counts(done) == [
        ("hubspot", "contacts", "refused", "PERMISSION", 1), ("marketo", "leads", "deleted", "", 1), ("other", "", "refused", "NO_CONNECTION", 1),
        ("salesforce", "Contact", "bin", "RECYCLE_BIN", 1), ("salesforce", "Lead", "bin", "RECYCLE_BIN", 1),
    ]  # fmt: skip
    assert world.ids("hubspot", email) == made["hubspot"]
    assert under_way(world.settings) == [], "another try would be refused too"
    world.sandbox.reset()
    assert counts(erased(world, look_up(world.settings, email=email))) == [("hubspot", "contacts", "deleted", "", 1)]


def test_a_crm_that_cannot_be_reached_is_asked_again_by_finish(world: World) -> None:
    email = unique("ann.lee")
    made = everywhere(world, email)
    world.sandbox.set("marketo", "server_error", path="/rest/v1/leads/delete.json")
    world.sandbox.set("hubspot", "server_error", path="/crm/v3/*")
    done = erased(world, look_up(world.settings, email=email), reference="T-1")
    assert done.result == "incomplete"
    assert ("marketo", "leads", "open") in [one[:3] for one in counts(done)] and ("hubspot", "", "open", "NOT_ASKED", 1) in counts(done)
    (left,) = under_way(world.settings)
    assert left.people[0].ids == {("marketo", *made["marketo"])} and left.people[0].emails == {email}
    with Outbox(world.settings) as outbox:
        assert outbox.with_state(("pending", "sent")) == [], "the outbox does not name the person"
    assert finish(world.settings) == [], "without connections it waits"
    assert erase(world.settings, [Person("other@x.example", emails={"other@x.example"})], asked_by="kim").result == "complete"
    world.sandbox.reset()
    (then,) = finish(world.settings, connections=world.connections())
    assert (then.id, then.reference, then.result) == (f"{done.id}-2", "T-1", "complete")
    assert counts(then) == [("hubspot", "contacts", "deleted", "", 1), ("marketo", "leads", "deleted", "", 1)]
    assert all(world.ids(kind, email) == [] for kind in KINDS)
    assert under_way(world.settings) == finish(world.settings, connections=world.connections()) == []


def test_archived_merged_and_person_accounts(world: World) -> None:
    world.kinds = ["salesforce", "hubspot"]
    person, first, second, other = Person("x"), *(world.make("hubspot", email=unique(), last_name="Lee") for _ in range(3))
    for lost, kept in ((first, second), (world.make("hubspot", email=unique(), last_name="Ray"), other)):
        world.sandbox.call(
            "hubspot", "/crm/v3/objects/contacts/merge", method="POST", json={"primaryObjectId": kept, "objectIdToMerge": lost}
        )
        person.ids.add(("hubspot", lost))
    archived = world.make("hubspot", email=unique(), last_name="Lee")
    world.delete("hubspot", archived)
    person.ids |= {("hubspot", second), ("hubspot", archived), ("salesforce", company := world.make("salesforce", "Account", Name="Acme"))}
    found = {(e[2], e[3], e[4]) for e in planned(world, person)}
    lost = next(i for i, *_ in found if i not in (first, second, archived, company))
    assert found == {
        (first, "unchanged", ""), (second, "delete", ""), (archived, "delete", ""), (lost, "refused", "MERGED"),
        (company, "refused", "NOT_A_PERSON"),
    }  # fmt: skip
    done = erased(world, person)
    assert sorted(one[2:] for one in counts(done)) == [
        ("deleted", "", 2),
        ("gone", "", 1),
        ("refused", "MERGED", 1),
        ("refused", "NOT_A_PERSON", 1),
    ]
    assert world.sandbox.call("hubspot", f"/crm/v3/objects/contacts/{archived}?archived=true").status_code == 404


def test_a_person_account_goes_as_a_whole(world: World) -> None:
    world.kinds = ["salesforce"]
    world.sandbox.option("salesforce", person_accounts=True)
    email = unique("ann.lee")
    answer = world.sandbox.call(
        "salesforce", "/services/data/v62.0/sobjects/Account", method="POST", json={"LastName": "Lee", "PersonEmail": email}
    )
    account = answer.json()["id"]
    (contact,) = world.ids("salesforce", email)
    person = look_up(world.settings, email=email)
    assert planned(world, replace(person, ids={("salesforce", account)})) == planned(world, person)
    assert planned(world, person) == [("salesforce", "Account", account, "delete", "")]
    assert erased(world, person).result == "complete"
    assert world.ids("salesforce", email) == [] and contact != account


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_call_it_is_done_to_its_end_by_the_next_one(world: World, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world.kinds = [kind]
    real = sessions.writer_of
    for after in (False, True):
        for at in range(1, 9):
            email = unique("ann")
            made = [world.make(kind, email=address, last_name="Lee") for address in (email, email if kind != "hubspot" else unique("b"))]
            person = Person("x", ids={(kind, one) for one in made}, emails={email})
            deadly: list[Deadly] = []

            def dying(client: Any, at: int = at, after: bool = after, deadly: list[Deadly] = deadly) -> Any:
                deadly.append(Deadly(real(client), at, after))
                return deadly[-1]

            monkeypatch.setattr(sessions, "writer_of", dying)
            try:
                erased(world, person)
            except Killed:
                monkeypatch.setattr(sessions, "writer_of", real)
                if deadly[0].deleting:
                    with closing(sqlite3.connect(world.settings.writeback_dir / "outbox.sqlite")) as db:
                        states = db.execute("select state from entries where action = 'delete'").fetchall()
                    assert len(states) == len(made) and ("sent",) in states, "on disk before the call"
                assert world.call(lambda s: service.retry(world.settings, s)) == [], "write-back leaves it alone"
                (done,) = finish(world.settings, connections=world.connections())
            else:
                monkeypatch.setattr(sessions, "writer_of", real)
                assert deadly[0].calls < at
                break
            assert done.result == "complete" and sum(one[4] for one in counts(done)) == 2
            assert world.ids(kind, email) == [] and under_way(world.settings) == []
        else:
            raise AssertionError("more calls than were killed")


def test_the_command_shows_the_plan_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in world.sandbox.addresses.environment().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("CDP_CONNECTIONS", "hubspot")
    monkeypatch.setenv("HUBSPOT_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("CDP_DATA_DIR", str(world.settings.data_dir))
    email = unique("ann.lee")
    record = world.make("hubspot", email=email, last_name="Lee")

    def cdp(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["privacy", *arguments])
        assert result.exit_code == code, result.output
        return " ".join(result.stdout.split())

    assert "privacy deletion" in (said := cdp("erase", "--email", email, "--propagate", "--dry-run")) and record in said
    (entry,) = json.loads(cdp("erase", "--email", email, "--propagate", "--dry-run", "--json"))["in_crms"]
    assert (entry["id"], entry["action"]) == (record, "delete")
    assert world.ids("hubspot", email) == [record]
    world.sandbox.set("hubspot", "server_error", path="/crm/v3/objects/contacts/gdpr-delete")
    assert "hubspot: 1 contacts open" in (said := cdp("erase", "--email", email, "--propagate", code=1)) and "INCOMPLETE" in said
    world.sandbox.reset()
    said = cdp("finish")
    assert "hubspot: 1 contacts" in said and "Erasure complete" in said, said
    assert world.ids("hubspot", email) == []


def test_a_connection_whose_settings_are_wrong_is_reported(world: World) -> None:
    wrong = ConfigError("HUBSPOT_ACCESS_TOKEN", "is missing", "Set it.", connection="hubspot")
    done = erase(world.settings, [Person("x", emails={unique()})], asked_by="kim", connections=[wrong])
    assert (done.result, counts(done)) == ("incomplete", [("hubspot", "", "refused", "NO_CONNECTION", 1)])
