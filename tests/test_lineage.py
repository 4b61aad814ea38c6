"""Which columns a column is made of, as the mapping says."""

from __future__ import annotations

from cdp_pipelines.lineage import Column, origins, raw_descriptions, sources
from cdp_pipelines.mapping import load


def test_a_standardized_column_comes_from_its_staging_models_and_these_from_the_vendors_fields():
    email = sources(load(), "standardized", "contacts")["email"]
    assert Column("staging", "stg_salesforce__contacts", "email") in email
    assert len(email) == 4
    staged = sources(load(), "staging", "stg_salesforce__contacts")
    assert staged["email"] == [Column("raw_salesforce", "contact", "email")]
    assert staged["company"] == [Column("raw_salesforce", "account", "name")], "through a lookup"
    assert [c.name for c in staged["lead_score"]] == [
        load().column("salesforce", "contact", f) for f in ("LeadScore__c", "Lead_Score__c", "pi__score__c", "mkto71_Lead_Score__c")
    ]
    assert staged["synced_at"] == [Column("raw_salesforce", "contact", "_synced_at")]
    assert "record_type" not in staged, "a constant comes from nowhere"
    assert "lifecycle_stage" not in staged, "the CRM has nothing of the kind"


def test_a_unified_column_comes_from_the_records_or_from_the_table_that_says_whose_they_are():
    found = sources(load(), "unified", "customers")
    assert found["email"] == [Column("standardized", "contacts", "email")]
    assert found["company_key"] == [Column("unified", "company_records", "company_key")]
    assert found["customer_key"] == [Column("unified", "customer_contacts", "customer_key")]


def test_the_way_is_followed_to_its_beginning():
    raw = [Column("raw_salesforce", "contact", "email"), Column("raw_salesforce", "lead", "email"), Column("raw_hubspot", "contacts", "email"), Column("raw_marketo", "leads", "email")]  # fmt: skip
    assert origins(load(), "unified", "customers")["email"] == origins(load(), "standardized", "contacts")["email"] == raw
    assert origins(load(), "unified", "customers")["customer_key"] == [Column("unified", "customer_contacts", "customer_key")]
    assert origins(load(), "standardized", "contacts")["record_type"] == [], "a constant for each of the vendors' objects"


def test_a_table_that_the_mapping_does_not_make_has_none():
    assert sources(load(), "unified", "customer_values") == sources(load(), "raw_hubspot", "contacts") == {}


def test_raw_columns_say_what_they_are_and_what_is_made_of_them():
    told = raw_descriptions(load(), "salesforce", "contact", ["email", "fax", "_deleted"])
    assert told["email"] == "The vendor's Email, as given. Read for contacts.email."
    assert told["fax"] == "A field of the vendor's, as given. No standardized column is made of it."
    assert told["_deleted"].startswith("'true'")
