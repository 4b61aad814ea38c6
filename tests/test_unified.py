"""Companies, deals and whose value survives, over standardized tables made by hand: each trap beside the others, then a second run."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cdp_pipelines import transform
from tests.unified_warehouse import NOON, UnifiedWarehouse

DAY = date(2026, 5, 1)


def companies(raw: UnifiedWarehouse) -> None:
    raw.company("sf:001000000000001AAA", "Acme Inc.", "acme.com", last_updated=NOON)
    raw.company("hs:1", "ACMÉ, Incorporated", "acme.com", phone="5551", last_updated=NOON + timedelta(days=1))
    raw.company("mk:1", "Acme", None)  # the name of one company with a domain
    # The same name with two domains of their own is two; a third without a domain is neither, unless its people write from one of them.
    raw.company("sf:001000000000002AAA", "Delta GmbH & Co. KG", "delta.de")
    raw.company("hs:2", "Delta", "delta.com")
    raw.company("mk:2", "Delta Corp.", None)
    raw.company("mk:3", "DELTA", None)
    raw.contact("mk:31", "ann@delta.de", company_id="3")
    # Two domains, but HubSpot names the Salesforce account; and a merge in HubSpot brings a third domain.
    raw.company("sf:001000000000003AAA", "Omega", "omega.io")
    raw.company("hs:3", "Omega Labs", "omega.dev", salesforce_id="001000000000003")
    raw.company("hs:33", "Omega", "omega.net", is_deleted=True, merged_into="3")
    raw.company("mk:4", "Omega Net", "omega.net")
    # No domain anywhere: the name alone joins, a name that says nothing does not.
    raw.company("sf:001000000000004AAA", "Müller & Söhne AG", None)
    raw.company("mk:5", "MÜLLER & SÖHNE", None)
    raw.company("sf:001000000000005AAA", "Unknown", None)
    raw.company("mk:6", "unknown", None)
    # A provider that no list knows: many names write from it.
    for number, name in enumerate(("Arno Tiles", "Bela Cafe", "Cato Bikes", "Dino Toys", "Echo Paints", "Fado Bar")):
        raw.company(f"hs:7{number}", name, "webhost.example")


def deals(raw: UnifiedWarehouse) -> None:
    raw.contact("sf:003A", "ann@acme.com", first_name="Ann")
    raw.contact("hs:81", "ann@acme.com", first_name="Ann")
    raw.contact("mk:81", "ann@acme.com", first_name="Ann")
    raw.contact("hs:82", "bob@other.example", first_name="Bob")
    same = {"close_date": DAY, "last_updated": NOON}
    raw.deal("sf:006000000000001AAA", "Acme - Platform", 1000, currency="USD", contact_id="003A", **same)
    raw.deal("hs:1", "ACME: Platform", 1000, currency="USD", contact_id="81", **same)
    raw.deal("mk:1", "Acme - Platform 2026", 1100, contact_id="81", close_date=DAY + timedelta(days=2))
    # Names nothing in common, but the CRM says it; the value is in another currency, which is not added.
    raw.deal("sf:006000000000002AAA", "Renewal", 500, currency="EUR", company_id="001000000000001AAA", contact_id="003A")
    raw.deal("hs:2", "Old renewal", 700, currency="EUR", contact_id="82", salesforce_id="006000000000002")
    # Two that look the same: neither is linked to the one of the other CRM.
    raw.deal("sf:006000000000003AAA", "Training", 300, currency="USD", contact_id="003A", **same)
    raw.deal("sf:006000000000004AAA", "Training", 300, currency="USD", contact_id="003A", **same)
    raw.deal("hs:3", "Training", 300, currency="USD", contact_id="81", **same)
    # Same name, value and day: of somebody else; in another currency; won here and lost there; a year later; deleted.
    raw.deal("hs:4", "Pilot", 400, currency="USD", contact_id="82", **same)
    raw.deal("sf:006000000000005AAA", "Pilot", 400, currency="USD", contact_id="003A", is_closed=True, is_won=True, **same)
    raw.deal("hs:5", "Pilot", 400, currency="GBP", contact_id="81", **same)
    raw.deal("sf:006000000000006AAA", "Upsell", 250, currency="USD", contact_id="003A", is_closed=True, is_won=True, **same)
    raw.deal("mk:5", "Upsell", 250, contact_id="81", is_closed=True, **same)
    raw.deal("mk:6", "Acme - Platform", 1000, contact_id="81", close_date=DAY + timedelta(days=365))
    raw.deal("hs:7", "Pilot", 400, currency="USD", contact_id="81", is_deleted=True, **same)


def people(raw: UnifiedWarehouse) -> None:
    def cid(record: str, **fields: Any) -> None:
        raw.contact(record, "cid@c.example", **fields)

    cid("sf:003C", first_name="Cid", phone="1", city="Bonn", lifecycle_stage="Open", acquisition_source="Web", lead_score=5, company_id="001000000000001AAA",
        created_date=datetime(2024, 1, 1), last_updated=datetime(2026, 1, 1))  # fmt: skip
    cid("hs:90", first_name="CID", phone="2", lifecycle_stage="lead", acquisition_source="Fair", lead_score=9, do_not_email=True,
        created_date=datetime(2025, 1, 1), last_updated=datetime(2026, 1, 2))  # fmt: skip
    cid("mk:90", first_name="Cidney", phone=None, city="Köln", country="DE", lifecycle_stage="New", created_date=datetime(2025, 6, 1),
        last_updated=datetime(2026, 1, 1))  # fmt: skip
    cid(
        "mk:91",
        first_name="Cid",
        phone="9",
        lead_score=99,
        city="Ulm",
        state="BW",
        country="DE",
        last_updated=datetime(2026, 2, 1),
        is_deleted=True,
    )
    # Nothing but the order of connection and id tells these two apart.
    for record, phone in (("mk:93", "93"), ("mk:92", "92")):
        raw.contact(record, "tie@c.example", phone=phone, last_updated=NOON)
    raw.contact("sf:003G", "gone@c.example", first_name="Gone", is_deleted=True)
    raw.put("campaign_members", "sf:00v1", contact_id="003C", campaign_id="701", last_updated=datetime(2026, 2, 3))


# What a record can say of e-mail: nothing, or no (True) or yes (False), at an unknown time or on one of two days.
SAID: list[tuple[bool, datetime | None] | None] = [
    None,
    *((no, at) for no in (True, False) for at in (None, NOON, NOON + timedelta(days=1))),
]
ALL_SAID = [(None, None, None), *random.Random(8).sample(list(itertools.product(SAID, repeat=3)), 40)]


def consents(raw: UnifiedWarehouse) -> None:
    for number, said in enumerate(ALL_SAID):
        for connection, one in zip(("sf", "hs", "mk"), said, strict=True):
            no, at = one or (None, None)
            raw.contact(
                f"{connection}:60{number}",
                f"said{number}@consent.example",
                first_name=f"Said{number}",
                do_not_email=no,
                email_decided_at=at,
            )
    # One who wants no calls, one whose marketing is suspended whatever day is said, and a no of records that do not speak any more.
    raw.contact("sf:003N", "nora@consent.example", first_name="Nora", do_not_email=False, do_not_call=True, legal_basis="Consent")
    raw.contact("mk:95", "nora@consent.example", first_name="Nora", do_not_email=False, email_decided_at=NOON, marketing_suspended=True)
    raw.contact("sf:003O", "olaf@consent.example", first_name="Olaf", do_not_email=False)
    raw.contact("hs:97", "olaf@consent.example", first_name="Olaf", do_not_email=True, is_deleted=True)
    raw.contact("hs:98", "olaf@consent.example", first_name="Olaf", do_not_email=True, is_deleted=True, merged_into="97")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnifiedWarehouse]:
    made = UnifiedWarehouse(tmp_path_factory.mktemp("unified"))
    for fill in (companies, deals, people, consents):
        fill(made)
    made.unify()
    yield made


def together(raw: UnifiedWarehouse, table: str, record: str, key: str) -> set[frozenset[str]]:
    rows = raw.query(f"select list(connection || ':' || {record}) from unified.{table} group by {key} having count(*) > 1")
    return {frozenset(records) for (records,) in rows}


def rule(raw: UnifiedWarehouse, table: str, column: str, record: str) -> str:
    connection, _, number = record.partition(":")
    return raw.query(f"select rule from unified.{table} where connection = '{connection}' and {column} = '{number}'")[0][0]


def company(record: str) -> str:
    """`sf:1` is the account with that last digit."""
    kind, _, number = record.partition(":")
    return f"sf:00100000000000{number}AAA" if kind == "sf" else record


def test_companies_are_joined_by_links_domains_and_names_and_kept_apart_by_domains(raw: UnifiedWarehouse):
    assert together(raw, "company_records", "company_id", "company_key") == {
        frozenset(map(company, group.split()))
        for group in ("sf:1 hs:1 mk:1", "sf:2 mk:3", "sf:3 hs:3 hs:33 mk:4", "sf:4 mk:5")
    }  # fmt: skip
    rules = {"hs:1": "domain", "mk:1": "name", "hs:2": "domain", "mk:2": "ambiguous_name", "mk:3": "contacts", "hs:3": "salesforce_id", "hs:33": "merged",
             "mk:4": "domain", "mk:6": "nothing", "hs:70": "name"}  # fmt: skip
    assert {record: rule(raw, "company_records", "company_id", record) for record in rules} == rules


def test_a_domain_of_many_names_is_nobodys_own(raw: UnifiedWarehouse):
    assert raw.query("select count(distinct company_key), count(own_domain) from unified.company_records where company_id like '7_'") == [
        (6, 0)
    ]
    assert raw.query("select domain from unified.companies where name = 'Bela Cafe'") == [(None,)]


def test_a_company_shows_the_values_of_its_records_and_says_whose(raw: UnifiedWarehouse):
    acme = raw.query(
        "select name, domain, phone, record_count, source_systems, is_deleted from unified.customer_companies where domain = 'acme.com'"
    )
    assert acme == [("ACMÉ, Incorporated", "acme.com", "5551", 3, "hubspot, marketo, salesforce", False)]
    assert raw.query("""select p.connection, p.rule, p.record_count, p.beaten from unified.company_provenance p
        join unified.companies c using (company_key) where c.domain = 'acme.com' and p.field = 'name'""") == [
        ("hs", "most_frequent", 3, "sf:001000000000001AAA, mk:1")
    ]  # fmt: skip


def test_deals_of_several_crms_are_linked_when_all_agree_and_only_then(raw: UnifiedWarehouse):
    assert together(raw, "opportunity_links", "opportunity_id", "deal_key") == {
        frozenset({"sf:006000000000001AAA", "hs:1", "mk:1"}), frozenset({"sf:006000000000002AAA", "hs:2"}),
    }  # fmt: skip
    rules = {
        "hs:1": "same_deal",
        "mk:1": "name_and_date",
        "hs:2": "salesforce_id",
        "hs:3": "alone",
        "hs:4": "alone",
        "mk:6": "alone",
        "hs:7": "deleted",
    }
    assert {record: rule(raw, "opportunity_links", "opportunity_id", record) for record in rules} == rules
    assert raw.query("select opportunity_id, priority, linked_connection from unified.opportunity_links where priority is not null and connection = 'hs' order by 1") == [
        ("1", 2, "sf"), ("2", 1, "sf"),
    ]  # fmt: skip


def test_a_linked_deal_counts_once_and_currencies_are_not_added(raw: UnifiedWarehouse):
    ann = raw.query("""select customer_key, open_opportunities, open_value, won_opportunities, won_value, currency, currency_count
        from unified.customers where email = 'ann@acme.com'""")
    # Platform once, Renewal, Training three times, Pilot of hs:5, Platform of mk:6 without a currency; won: Pilot, Upsell.
    assert ann[0][1:] == (7, None, 2, Decimal(650), None, 4)
    values = raw.query(
        f"select currency, open_value, won_value from unified.customer_values where customer_key = '{ann[0][0]}' order by 1 nulls last"
    )
    assert values == [("EUR", 500, 0), ("GBP", 400, 0), ("USD", 1900, 650), (None, 1000, 0)]
    # Bob is named by HubSpot's copy of the renewal only; Salesforce's value counts.
    assert raw.query("select open_opportunities, open_value, currency_count from unified.customers where email = 'bob@other.example'") == [
        (2, None, 2)
    ]
    assert raw.query(
        "select open_opportunities, open_value, currency, currency_count from unified.companies where domain = 'acme.com'"
    ) == [(1, Decimal(500), "EUR", 1)]
    assert raw.query(
        "select open_opportunities, open_value, currency, currency_count, last_activity from unified.customers where email = 'tie@c.example'"
    ) == [(0, Decimal(0), None, 0, None)]


def test_each_field_survives_by_its_own_rule_and_deleted_records_never_win(raw: UnifiedWarehouse):
    cid = raw.query("""select customer_key, first_name, phone, city, state, country, lifecycle_stage, acquisition_source, lead_score, do_not_email, contact_count,
        created_date, last_updated, last_activity, is_deleted from unified.customers where email = 'cid@c.example'""")
    assert cid[0][1:] == (
        "CID", "2", "Köln", None, "DE", "lead", "Web", Decimal(9), True, 3, datetime(2024, 1, 1), datetime(2026, 1, 2), datetime(2026, 2, 3), False,
    )  # fmt: skip
    won = raw.query(f"""select field, connection, customer_id, rule, record_count, agreeing_count, beaten from unified.customer_provenance
        where customer_key = '{cid[0][0]}' and field in ('first_name', 'phone', 'city', 'country', 'lifecycle_stage', 'company_key') order by 1""")
    assert won == [
        ("city", "mk", "90", "most_complete", 2, 1, "sf:003C"), ("company_key", "sf", "003C", "newest", 1, 1, None),
        ("country", "mk", "90", "most_complete", 2, 1, "sf:003C"), ("first_name", "hs", "90", "most_frequent", 3, 1, "sf:003C, mk:90"),
        ("lifecycle_stage", "hs", "90", "source_order", 3, 1, "sf:003C, mk:90"), ("phone", "hs", "90", "newest", 2, 1, "sf:003C"),
    ]  # fmt: skip
    assert raw.query("select phone from unified.customers where email = 'tie@c.example'") == [("92",)]


def test_a_customer_with_only_deleted_records_stays_without_values(raw: UnifiedWarehouse):
    gone = "select c.first_name, c.contact_count, c.is_deleted from unified.customers c join unified.customer_contacts using (customer_key)"
    assert raw.query(f"{gone} where customer_id = '003G'") == [(None, 0, True)]
    assert raw.query(
        "select count(*) from unified.customer_provenance p join unified.customers c using (customer_key) where c.is_deleted"
    ) == [(0,)]


def expected(said: tuple[tuple[bool, datetime | None] | None, ...]) -> str | None:
    """The decision, said once more: the latest counts, and a no of which nobody knows the time always does."""
    told = [one for one in said if one is not None]
    noes, yeses = ([at for no, at in told if no is which] for which in (True, False))
    if not noes:
        return "allowed" if told else None
    allowed_again = None not in noes and max((at for at in yeses if at), default=datetime.min) > max(at for at in noes if at)
    return "allowed" if allowed_again else "opted_out"


def test_the_latest_said_counts_and_a_no_without_a_time_always_does(raw: UnifiedWarehouse):
    rows = raw.query("""select any_value(c.email), any_value(s.decision), any_value(s.connection || ':' || s.customer_id), any_value(s.decided_at), any_value(s.evidence_count),
        any_value(s.opted_out_count) from unified.customers c join unified.customer_contacts l using (customer_key)
        left join unified.consents s on s.customer_key = c.customer_key and s.channel = 'email' where c.email like 'said%' group by c.customer_key""")
    found = {email: row for email, *row in rows}
    assert len(found) == len(ALL_SAID)
    assert {expected(said) for said in ALL_SAID} == {None, "allowed", "opted_out"}
    for number, said in enumerate(ALL_SAID):
        decision, record, at, count, noes = found[f"said{number}@consent.example"]
        assert decision == expected(said), said
        if decision is not None:
            told = dict(zip(("sf", "hs", "mk"), said, strict=True))
            assert told[record.partition(":")[0]] == (decision == "opted_out", at), (said, record)
            assert (count, noes) == (3 - said.count(None), sum(1 for one in said if one and one[0]))


def test_a_channel_is_decided_by_its_own_fields_and_records_that_are_gone_say_nothing(raw: UnifiedWarehouse):
    of = """select channel, decision, s.connection, s.said_by, s.decided_at, s.legal_basis, s.why from unified.consents s
        join unified.customers c using (customer_key) where c.email = '{}@consent.example' order by 1"""
    assert raw.query(of.format("nora")) == [
        ("email", "opted_out", "mk", "marketing_suspended", None, None, "a record says no, and nobody knows when"),
        ("phone", "opted_out", "sf", "do_not_call", None, "Consent", "a record says no, and nobody knows when"),
    ]
    assert raw.query(of.format("olaf")) == [("email", "allowed", "sf", "do_not_email", None, None, "no record says no")]


def test_an_opt_out_that_is_lost_is_found(raw: UnifiedWarehouse):
    lost = "update unified.consents set decision = '{}' where customer_key = (select customer_key from unified.customers where email = 'nora@consent.example')"
    raw.query(lost.format("allowed"))
    assert [r.status for r in transform.build("test_name:no_opt_out_is_lost", raw.settings)] == ["fail"]
    raw.query(lost.format("opted_out"))
    assert [r.status for r in transform.build("test_name:no_opt_out_is_lost", raw.settings)] == ["pass"]


COMPANIES = "company_records company_provenance customer_companies company_aliases"


def test_company_keys_are_carried_through_merge_split_and_deletion(raw: UnifiedWarehouse):
    def key(record: str) -> str:
        connection, _, number = company(record).partition(":")
        return raw.query(f"select company_key from unified.company_records where connection = '{connection}' and company_id = '{number}'")[
            0
        ][0]

    acme, omega, muller, delta = key("sf:1"), key("sf:3"), key("sf:4"), key("hs:2")
    lone = key("mk:2")
    raw.company("sf:001000000000001AAA", None, None, is_deleted=True)  # purged: the CRM tells no more than the id
    raw.company("hs:33", "Omega", "omega.net")  # the merge was taken back
    raw.company("mk:4", "Omega Net", "omega.net")
    raw.company("mk:5", "Müller & Söhne", "muller.example")  # joins what it named before
    raw.company("hs:2", "Delta", "delta.de")  # was another company until now
    raw.unify(COMPANIES)
    assert (key("hs:1"), key("mk:1"), key("sf:1")) == (acme, acme, acme)
    assert rule(raw, "company_records", "company_id", company("sf:1")) == "kept"
    assert (key("sf:3"), key("hs:3")) == (omega, omega)
    assert key("hs:33") == key("mk:4") != omega
    assert (key("sf:4"), key("mk:5")) == (muller, muller)
    assert key("hs:2") == key("sf:2") != delta
    # With one company of its name left, it is plain which one it is.
    assert key("mk:2") == key("sf:2")
    assert set(raw.query("select alias_key, company_key from unified.company_aliases")) == {(delta, key("sf:2")), (lone, key("sf:2"))}
    apart, before = key("hs:33"), raw.query("select connection, company_id, company_key from unified.company_records order by all")
    raw.company("hs:33", "Omega", "omega.net", is_deleted=True, merged_into="3")
    raw.unify(COMPANIES)
    assert (key("hs:33"), key("mk:4")) == (omega, omega)
    after = raw.query("select connection, company_id, company_key from unified.company_records order by all")
    assert set(before) - set(after) == {("hs", "33", apart), ("mk", "4", apart)}
    aliases = dict(raw.query("select alias_key, company_key from unified.company_aliases"))
    assert aliases == {delta: key("sf:2"), lone: key("sf:2"), apart: omega}
