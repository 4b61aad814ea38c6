import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdp_pipelines import mapping
from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.mapping import MappingError
from cdp_pipelines.sources.raw_tables import declared_columns

GUIDE_CONTACT = [
    "customer_id", "email", "first_name", "last_name", "phone", "company", "title", "lead_score", "source", "created_date", "last_updated"
]  # fmt: skip
GUIDE_OPPORTUNITY = ["id", "contact_id", "name", "stage", "value", "probability", "close_date"]


def small() -> dict[str, Any]:
    """A spec with one entity and one feed."""
    return {
        "entities": {
            "people": {
                "description": "People.",
                "key": ["id"],
                "fields": {
                    "connection": {"type": "text", "pii": "none", "bookkeeping": "connection", "description": "Connection."},
                    "id": {"type": "text", "pii": "id", "required": True, "description": "Id."},
                    "firm": {"type": "text", "pii": "none", "description": "Firm."},
                },
            }
        },
        "raw": {"salesforce": {"contact": {"key": ["Id"], "description": "C."}, "account": {"key": ["Id"], "description": "A."}}},
        "sources": {
            "salesforce": {
                "people": {
                    "people": {
                        "table": "contact",
                        "lookups": {"account": {"table": "account", "match": {"Id": "AccountId"}}},
                        "fields": {"id": "Id", "firm": "account.Name"},
                    }
                }
            }
        },
    }


def read(folder: Path, spec: object) -> mapping.Mapping:
    path = folder / "mapping.yml"
    path.write_text(spec if isinstance(spec, str) else yaml.safe_dump(spec))
    return mapping.read(path)


def feed(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["sources"]["salesforce"]["people"]["people"]


def test_contacts_have_the_guides_fields_in_its_order_after_who_they_are_from():
    assert list(mapping.load().entities["contacts"].fields)[:14] == ["connection", "source_system", "record_type", *GUIDE_CONTACT]


def test_opportunities_have_the_guides_fields_in_its_order_after_who_they_are_from():
    assert list(mapping.load().entities["opportunities"].fields)[:9] == ["connection", "source_system", *GUIDE_OPPORTUNITY]


@pytest.mark.parametrize("entity", ["contacts", "opportunities", "companies", "opportunity_contacts"])
def test_every_crm_feeds_the_main_entities(entity: str):
    assert {kind for kind, *_ in mapping.load().feeds(entity)} == {"salesforce", "hubspot", "marketo"}


def test_raw_fields_are_the_vendors_and_cover_keys_lookups_and_sql():
    spec = mapping.load()
    assert {"Id", "Email", "AccountId", "LeadScore__c"} <= set(spec.raw_fields("salesforce", "contact"))
    assert spec.raw_fields("salesforce", "user") == ["Id"]
    assert {"from_id", "to_id", "category", "type_id", "label"} == set(spec.raw_fields("hubspot", "deal_contact_associations"))
    assert "hs_deal_stage_probability" in spec.raw_fields("hubspot", "deals")  # only inside SQL
    assert {"externalOpportunityId", "isPrimary"} <= set(spec.raw_fields("marketo", "opportunity_roles"))  # only in lookups
    assert spec.raw_fields("marketo", "no_such_table") == []


def test_bookkeeping_columns_are_no_vendor_fields():
    spec = mapping.load()
    every = {f for kind, tables in spec.raw.items() for table in tables for f in spec.raw_fields(kind, table)}
    assert not every & set(mapping.BOOKKEEPING)


def test_fields_that_come_to_the_same_column_have_two_columns():
    columns = mapping.load().raw_columns("salesforce", "contact")
    assert columns["LeadScore__c"] == "lead_score__c"
    assert re.fullmatch(r"lead_score__c_[0-9a-f]{6}", columns["Lead_Score__c"])


@pytest.mark.parametrize("kind", KINDS)
def test_sources_and_spec_agree_on_tables_keys_and_columns(kind: Kind):
    spec, tables = mapping.load(), importlib.import_module(f"cdp_pipelines.sources.{kind}").TABLES
    assert {t.name for t in tables} == set(spec.raw[kind])
    for table in tables:
        raw = spec.raw[kind][table.name]
        assert (set(raw.key), raw.replace_by) == (set(table.key), table.replace_by), table.name
        assert spec.raw_columns(kind, table.name).items() <= declared_columns(kind, table).items(), table.name


@pytest.mark.parametrize(
    "spoil,place",
    [
        (lambda s: s["entities"]["people"]["fields"]["id"].update(typ="text"), "entities.people.fields.id.typ"),
        (lambda s: s["entities"]["people"]["fields"]["id"].update(type="varchar"), "entities.people.fields.id.type"),
        (lambda s: s["entities"]["people"]["fields"]["id"].pop("pii"), "entities.people.fields.id.pii: Field required"),
        (lambda s: s.update(other_tables={"links": {"id": "secret"}}), "other_tables.links.id"),
        (lambda s: s["entities"]["people"].update(key=["uid"]), "entities.people: key: uid"),
        (lambda s: s["entities"]["people"]["fields"]["firm"].update(references="firms.id"), "entities.people.fields.firm: references firms.id"),
        (lambda s: feed(s)["fields"].pop("firm"), "sources.salesforce.people.people.fields: firm not listed"),
        (lambda s: feed(s)["fields"].update(nick="Nick"), "sources.salesforce.people.people.fields: nick not among"),
        (lambda s: feed(s)["fields"].update(connection="Id"), "sources.salesforce.people.people.fields: connection not among"),
        (lambda s: feed(s).update(filter="x"), "sources.salesforce.people.people.filter"),
        (lambda s: feed(s).update(table="contacts"), "sources.salesforce.people.people: there is no raw table salesforce.contacts"),
        (lambda s: feed(s)["fields"].update(firm="acount.Name"), "sources.salesforce.people.people: 'acount.Name'"),
        (lambda s: feed(s)["fields"].update(firm={"field": "A", "sql": "1"}), "sources.salesforce.people.people.fields.firm: give exactly one"),
        (lambda s: feed(s)["fields"].update(firm={"note": "why"}), "sources.salesforce.people.people.fields.firm: give exactly one"),
        (lambda s: feed(s)["lookups"]["account"].update(match={"Name": "AccountId"}), "sources.salesforce.people.people.lookups.account: several"),
        (lambda s: feed(s).update(newest_by=["Id"]), "sources.salesforce.people.people: newest_by and order_by"),
        (lambda s: s["sources"]["salesforce"].update(pets={"pets": feed(s)}), "sources.salesforce.pets.pets: there is no entity"),
        (lambda s: s["sources"].update(pipedrive=s["sources"].pop("salesforce")), "sources.pipedrive"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_file_and_place(tmp_path: Path, spoil: Callable[[dict[str, Any]], object], place: str):
    spec = small()
    assert read(tmp_path, spec).raw_fields("salesforce", "contact") == ["Id", "AccountId"]
    spoil(spec)
    with pytest.raises(MappingError) as error:
        read(tmp_path, spec)
    assert f"mapping.yml: {place}" in str(error.value)


def with_unified() -> dict[str, Any]:
    """The small spec with a unified table."""
    spec = small()
    spec["entities"]["people"]["fields"] |= {
        name: {"type": kind, "pii": "none", "description": "D."}
        for name, kind in {"city": "text", "land": "text", "last_updated": "timestamp", "created_date": "timestamp"}.items()
    }
    feed(spec)["fields"] |= {"city": "C", "land": "L", "last_updated": "U", "created_date": "M"}
    spec["unified"] = {
        "persons": {
            "description": "Persons.", "noun": "person", "records": "people", "links": "person_links", "id": "id", "key": "person_key",
            "count": "record_count", "provenance": "person_provenance", "source_order": ["salesforce", "hubspot", "marketo"],
            "lookups": {"firms": {"table": "firm_links", "match": {"firm_id": "firm"}}},
            "fields": {
                "city": {"by": "most_complete", "together": "address"},
                "land": {"by": "most_complete", "together": "address"},
                "firm_key": {"by": "newest", "value": "firms.firm_key", "type": "text", "pii": "id", "description": "Firm."},
            },
        }
    }  # fmt: skip
    return spec


def persons(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["unified"]["persons"]


@pytest.mark.parametrize(
    "spoil,place",
    [
        (lambda p: p["fields"]["city"].update(by="loudest"), "unified.persons.fields.city.by"),
        (lambda p: p["fields"]["city"].update(bye="newest"), "unified.persons.fields.city.bye"),
        (lambda p: p.update(records="pets"), "unified.persons.records: there is no entity 'pets'"),
        (lambda p: p["fields"].update(town={"by": "newest"}), "unified.persons.fields.town: people has no field 'town'"),
        (lambda p: p["fields"]["firm_key"].update(value="homes.key"), "unified.persons.fields.firm_key: 'homes.key' speaks of a lookup 'homes'"),
        (lambda p: p["fields"]["firm_key"].pop("type"), "unified.persons.fields.firm_key: comes from firms, so give its type"),
        (lambda p: p["fields"]["firm_key"].pop("pii"), "unified.persons.fields.firm_key: comes from firms, so give its type"),
        (lambda p: p["fields"]["city"].update(pii="none"), "unified.persons.fields.city.pii: it is that of people.city"),
        (lambda p: p["fields"]["city"].update(type="text"), "unified.persons.fields.city.type: it is that of people.city"),
        (lambda p: p["fields"]["land"].update(by="newest"), "unified.persons: fields.land: goes together with city"),
        (lambda p: p["fields"]["city"].update(by="highest"), "unified.persons.fields.city: highest looks at one field alone"),
        (lambda p: p["fields"]["city"].update(source_order=["hubspot"]), "unified.persons.fields.city: source_order is of no use to most_complete"),
        (lambda p: p.update(source_order=["hubspot", "marketo"]), "unified.persons: source_order: name each of salesforce, hubspot, marketo once"),
        (lambda p: p["fields"].update(is_deleted={"by": "newest"}), "unified.persons: fields.is_deleted: there is another column of this name"),
        (lambda p: p["lookups"]["firms"].update(match={"firm_id": "form"}), "unified.persons.lookups.firms: people has no field 'form'"),
        (lambda p: p["lookups"].update(links=p["lookups"]["firms"]), "unified.persons: lookups.links: the name is taken"),
        (lambda p: p.update(totals={"table": "t", "fields": {"record_count": {"type": "integer", "pii": "none", "description": "R."}}}),
         "unified.persons: totals.fields.record_count: there is another column"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_survives_is_refused_with_file_and_place(tmp_path: Path, spoil: Callable[[dict[str, Any]], object], place: str):
    spec = with_unified()
    assert set(read(tmp_path, spec).unified["persons"].fields) == {"city", "land", "firm_key"}
    spoil(persons(spec))
    with pytest.raises(MappingError) as error:
        read(tmp_path, spec)
    assert f"mapping.yml: {place}" in str(error.value)


def test_records_without_dates_cannot_be_told_apart(tmp_path: Path):
    spec = with_unified()
    del spec["entities"]["people"]["fields"]["last_updated"], feed(spec)["fields"]["last_updated"]
    with pytest.raises(MappingError, match=r"unified\.persons\.records: people has no last_updated"):
        read(tmp_path, spec)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path):
    text = yaml.safe_dump(small()).replace("        firm: account.Name", "        firm: account.Name\n          firm: Firm")
    with pytest.raises(MappingError, match=r"mapping\.yml: .*"):
        read(tmp_path, text + "\nraw: {}\n")
