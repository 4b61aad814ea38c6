"""Who was erased is never written to a CRM again by us, in whatever spelling; everybody else is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cdp_pipelines.config import KINDS, Settings
from cdp_pipelines.crm_integrations.base_crm import CRMContact
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.person import Person
from cdp_pipelines.privacy.refusing import REASON, Refusing
from cdp_pipelines.privacy.suppression import SuppressionList
from cdp_pipelines.writeback import contact_calls
from cdp_pipelines.writeback.contact_calls import ContactResult
from cdp_pipelines.writeback.outbox import there_is_one
from cdp_pipelines.writeback.plan import PlanError
from cdp_pipelines.writeback.sessions import Session
from tests.writeback.world import World, unique

PHONE = "+1 212 555 0143"


def erased(settings: Settings, *emails: str, ids: set[tuple[str, str]] | None = None) -> None:
    person = Person("x", ids=ids or set(), emails=set(emails), phones={(PHONE, None)}, names={("Robert", "Lee")})
    SuppressionList(settings).add("one/0", person.hashes(Hasher.of_settings(settings)))


def call(world: World, contact: str | None, **fields: Any) -> dict[str, tuple[str, str | None]]:
    async def work(sessions: Mapping[str, Session]) -> dict[str, ContactResult]:
        if contact is None:
            return await contact_calls.create_contact(world.settings, sessions, CRMContact(**fields))
        return await contact_calls.update_contact(world.settings, sessions, contact, fields)

    return {name: (one.outcome, one.reason) for name, one in world.call(work).items()}


@pytest.mark.parametrize(
    "fields",
    [
        {"email": " Ann.Lee+new@GoogleMail.com "}, {"email": "a.n.n.l.e.e@gmail.com", "first_name": "Somebody", "last_name": "Else"},
        {"email": "new@elsewhere.example", "first_name": "Bob", "last_name": "L", "phone": "(212) 555-0143"},
        {"email": "new@elsewhere.example", "phone": "212.555.0143"},
    ],
)  # fmt: skip
def test_nobody_erased_is_made_again_and_nothing_of_them_is_kept(tmp_path: Path, fields: dict[str, Any]) -> None:
    settings = Settings(data_dir=tmp_path)
    erased(settings, "ann.lee@gmail.com")
    refusing = Refusing.of(settings)
    assert refusing is not None
    assert refusing.listed("hubspot", [fields, {"email": "ann.lea@gmail.com"}]) == {0}
    assert (
        refusing.listed("hubspot", [{"email": "new@elsewhere.example", "first_name": "Zoe", "last_name": "Ray", "phone": PHONE}]) == set()
    )


def test_the_guides_calls_refuse_an_erased_person_and_say_why(world: World) -> None:
    email = unique("ann.lee")
    other = world.make("hubspot", email=unique("zoe"), last_name="Ray")
    mine = world.make("hubspot", email=unique("anns.other"), last_name="Lee")
    erased(world.settings, email, ids={("hubspot", mine)})
    refused = dict.fromkeys(KINDS, ("rejected", REASON))
    assert call(world, None, email=f" {email.upper().replace('@', '+x@')}", first_name="A", last_name="B") == refused
    for named in (email.title(), f"hubspot:{mine}", mine):
        assert call(world, named, title="CTO") == refused
    assert call(world, f"hubspot:{other}", email=email) == refused, "nobody is given an erased person's address"
    assert not there_is_one(world.settings), "nothing was asked of a CRM, nor written down"
    assert all(world.ids(kind, email) == [] for kind in KINDS)
    assert call(world, f"hubspot:{other}", title="CTO")["hubspot"][0] == "updated"


def test_a_plan_refuses_an_erased_person_without_naming_them(world: World) -> None:
    email, left, new = unique("ann.lee"), unique("zoe"), unique("kim")
    mine, other = (world.make("hubspot", email=e, last_name="Lee", title="Old") for e in (email, left))
    world.rules({"email": "fill_empty", "title": "source_wins", "phone": "fill_empty"}, kinds=["hubspot"], create=True)
    world.publish(
        {"customer_key": "k1", "email": email, "title": "New", "phone": None, "records": {"hubspot": mine}},
        {"customer_key": "k2", "email": left, "title": "New", "phone": PHONE, "records": {"hubspot": other}},
        {"customer_key": "k3", "email": new, "title": "New", "phone": None},
    )
    before, copy = world.plan()[1], world.settings.data_dir / "copy.json"
    copy.write_bytes(before.read_bytes())
    erased(world.settings, email.replace("@", "+again@"))
    with pytest.raises(PlanError, match="erased since"):
        world.apply(copy)
    plan, path = world.plan()
    assert sorted((e.action, e.code, e.id, e.email) for e in plan.entries if e.code) == [("refused", "ERASED", None, None)]
    assert email not in path.read_text() and mine not in path.read_text()
    assert world.apply(path).outcomes == {"hubspot": {"updated": 1, "created": 1, "refused": 1}}
    assert [world.see("hubspot", record)["title"] for record in (mine, other)] == ["Old", "New"]
