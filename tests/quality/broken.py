"""Ways in which data of the sandbox are broken, and the check that must tell of each."""

from __future__ import annotations

from cdp_pipelines.config import Kind

# Statements find HubSpot's contacts whom no other CRM knows in a table `alone`, numbered by n: what these say disagrees with nobody.
_ALONE = (
    "(select customer_id from unified.customer_contacts where connection = 'salesforce' and customer_key in "
    "(select customer_key from unified.customer_contacts group by 1 having count(distinct connection) = 1))"
)
_SAME_ADDRESS = "email = 'p' || (hash(id) % 5)::varchar || '@acme.example'"
_COMPANIES = "select * from standardized.companies where source_system = 'hubspot'"


def of_people(column: str, value: str, most: int) -> str:
    """Change a column of some of HubSpot's contacts whom no other CRM knows."""
    return f"update raw_hubspot.contacts set {column} = {value} where id in (select id from alone where n <= {most})"


def of_deal(column: str, value: str, where: str = "true") -> str:
    return f"update raw_hubspot.deals set {column} = {value} where id = (select min(id) from raw_hubspot.deals where _deleted is distinct from 'true' and {where})"


# Name of the case -> the statements, the check that must fail (table and name), a word of its description, a word of a key.
CASES: dict[str, tuple[tuple[str, ...], str, str, str, str]] = {
    "addresses that are none": (
        (of_people("email", "'nobody at ' || id", 30),), "contacts", "emails_well_formed", "at most 10% have a value in email", "hubspot:",
    ),
    "placeholders": ((of_people("email", "'a' || id || '@test.com'", 30),), "contacts", "emails_are_someones", "placeholder", "hubspot:"),
    "mailboxes of functions": (
        (of_people("email", "'info@c' || id || '.example'", 35),), "contacts", "emails_are_personal", "mailbox of a function", "hubspot:",
    ),
    "phones that are none": ((of_people("phone", "'call me ' || id", 35),), "contacts", "phones_well_formed", "E.164", "hubspot:"),
    "countries that are none": ((of_people("country", "'Atlantis'", 30), of_people("state", "null", 30)), "contacts", "countries_known", "ISO 3166", "hubspot:"),
    "states that are none": ((of_people("country", "'USA'", 30), of_people("state", "'Narnia'", 30)), "contacts", "states_known", "ISO 3166-2", "hubspot:"),
    "a record from tomorrow": (
        (of_people("createdate", "strftime(now() + interval 1 day, '%Y-%m-%dT%H:%M:%SZ')", 1),), "contacts", "times_plausible",
        "5 minutes from now", "hubspot:",
    ),
    "a record from 1970": ((of_people("createdate", "'1970-01-01T00:00:00Z'", 2),), "contacts", "times_plausible", "before 1990", "hubspot:"),
    "times without a zone": (
        (of_people("createdate", "rtrim(createdate, 'Z')", 3),), "contacts", "times_have_a_zone", "says its zone", "hubspot:contacts.createdate (3 rows)",
    ),
    "a negative amount": ((of_deal("amount", "'-5'"),), "opportunities", "amounts_plausible", "negative value", "hubspot:"),
    "no currency": ((of_deal("deal_currency_code", "'EURO'"), "update quality.values_seen set value = 'EURO' where column_name = 'currency' and connection = 'hubspot' and value = 'EUR'",
                     "insert into quality.values_seen select 'opportunities', 'hubspot', 'currency', 'EUR', min(first_seen_at) from quality.values_seen"),
                    "opportunities", "currencies_known", "ISO 4217", "hubspot:"),
    "won and not closed": ((of_deal("hs_is_closed", "'false'", "hs_is_closed_won = 'true'"),), "opportunities", "stages_hang_together", "is closed", "hubspot:"),
    "closed in the future": ((of_deal("closedate", "'2035-01-01T00:00:00Z'", "hs_is_closed = 'true'"),), "opportunities", "close_dates_plausible", "not after tomorrow", "hubspot:"),
    "half of the members gone": (
        ("delete from raw_salesforce.campaign_member where hash(id) % 2 = 0",), "column_profiles", "rows_as_usual", "as many rows",
        "salesforce:campaign_members: ",
    ),
    "a table that is empty": (("delete from raw_salesforce.campaign_member",), "column_profiles", "rows_as_usual", "as many rows", "campaign_members: 0 rows, usually"),
    "a third of the titles gone": (
        ("update raw_hubspot.contacts set jobtitle = null where hash(id) % 3 = 0",), "column_profiles", "nulls_as_usual", "empty", "hubspot:contacts.title: ",
    ),
    "a permission lost": (
        ("update raw_hubspot.contacts set jobtitle = null",), "column_profiles", "columns_filled", "lost all of them", "hubspot:contacts.title",
    ),
    "a new stage of life": (
        (of_people("lifecyclestage", "'brandnew'", 2),), "values_seen", "values_known", "never had", "hubspot:contacts.lifecycle_stage",
    ),
    "a field that nobody maps": (
        ("alter table raw_hubspot.contacts add column favourite_colour varchar", of_people("favourite_colour", "'red'", 1)),
        "source_fields", "filled_fields_mapped", "nothing maps", "hubspot:contacts.favourite_colour",
    ),
    "an import that knew nobody": (
        (f"update raw_salesforce.contact set {_SAME_ADDRESS} where hash(id) % 3 = 0 and id in {_ALONE}",
         f"update raw_salesforce.lead set {_SAME_ADDRESS} where id in {_ALONE}"),
        "duplicates", "same_email_as_usual", "one e-mail address", "salesforce: ",
    ),
    "a rule that joins too much": (
        ("update unified.customer_contacts set customer_key = 'one' || (hash(customer_id) % 3)::varchar where connection = 'hubspot' and customer_id in (select id from alone)",),
        "duplicates", "same_customer_as_usual", "one customer with another", "hubspot: ",
    ),
    "a sync between the CRMs that stopped": (
        ("update raw_hubspot.contacts set jobtitle = 'Head of ' || id where hash(id) % 2 = 0 and jobtitle is not null",), "disagreements",
        "crms_agree_as_usual", "disagree", "customers.title of hubspot and ",
    ),
    "a score that is no number": (
        (of_people("hs_lead_score", "'high'", 3),), "contacts", "values_cast", "fits its column's type", "hubspot:contacts.",
    ),
    "not read for two days": (
        ("update ops.table_syncs set ended_at = ended_at - interval 2 day where object = 'deals'",), "opportunities", "fresh", "24 hours", "hubspot:deals",
    ),
    "a field gone": (
        ("insert into ops.field_changes values (now() at time zone 'UTC', 'hubspot', 'hubspot', 'deals', 'gone', 'amount', '')",),
        "opportunities", "fields_as_before", "came, went", "hubspot:deals.amount (gone)",
    ),
}  # fmt: skip


# What the stages do wrong shows when the tables are not filled from the views.
STAGES: dict[str, tuple[str, str, str, str]] = {
    "a record that came as another": (
        "update standardized.contacts set customer_id = 'X' where (connection, customer_id) = (select min(('hubspot', id)) from alone)",
        "contacts", "no_rows_lost", "Every raw record",
    ),
    "a change that was left out": (
        "delete from standardized.lifecycle_stage_changes where rowid = (select max(rowid) from standardized.lifecycle_stage_changes)",
        "lifecycle_stage_changes", "same_count_as_raw", "as many rows",
    ),
    "a join that finds two": (
        f"create or replace view staging.stg_hubspot__companies as {_COMPANIES} union all ({_COMPANIES} order by id limit 1)",
        "companies", "no_rows_multiplied", "each staged row once",
    ),
}  # fmt: skip


# dbt's own tests: the raw table that is changed, how, what fails, and a word of a key.
_LEAD = "id not in (select lead_id from raw_salesforce.campaign_member where lead_id is not null)"
DBT: dict[str, tuple[tuple[Kind, str], tuple[str, ...], str, str, bool, str]] = {
    "two records of one id": (
        ("salesforce", "lead"),
        (f"update raw_salesforce.lead set id = (select min(id) from raw_salesforce.contact) where id = (select min(id) from raw_salesforce.lead where {_LEAD})",),
        "contacts", "unique_key", True, "salesforce:",
    ),
    "a record without an id": (
        ("salesforce", "opportunity_contact_role"),
        ("alter table raw_salesforce.opportunity_contact_role alter id drop not null",
         "update raw_salesforce.opportunity_contact_role set id = null where id = (select min(id) from raw_salesforce.opportunity_contact_role)"),
        "opportunity_contacts", "not_null_id", True, "salesforce:(none)",
    ),
    "a deal of nobody's": (
        ("salesforce", "opportunity"),
        ("update raw_salesforce.opportunity set account_id = '001NOBODY' where id = (select min(id) from raw_salesforce.opportunity where _deleted is distinct from 'true')",),
        "opportunities", "points_to_company_id", False, "salesforce:001NOBODY",
    ),
}  # fmt: skip


_SAID_NO_ONCE = (
    "select (customer_key, channel) from unified.consent_evidence group by customer_key, channel "
    "having count(*) = 1 and min(decision) = 'opted_out' order by 1 limit 1"
)
# What the models of the last stage do wrong: the statement, done to a table as it stands, its table, the one of its tests that fails, and
# how many rows or groups of rows it finds.
MODELS: dict[str, tuple[str, str, str, int]] = {
    "a customer twice": ("insert into unified.customers select * from unified.customers limit 1", "customers", "unique_customer_key", 1),
    "a company that is none": (
        "insert into unified.company_aliases by name select 'old' as alias_key, 'nobody' as company_key", "company_aliases", "relationships_company_key", 1,
    ),
    "a decision that is none": (
        "update unified.consent_evidence set decision = 'perhaps' where rowid = 0", "consent_evidence", "accepted_values_decision", 1,
    ),
    "a no that was lost": (
        f"update unified.consents set decision = 'allowed' where (customer_key, channel) = ({_SAID_NO_ONCE})", "consents", "no_opt_out_is_lost", 1,
    ),
    "a deal that counts twice": (
        "update unified.opportunity_links set is_counted = true where rowid = (select min(rowid) from unified.opportunity_links where not is_counted)",
        "opportunity_links", "one_is_counted", 1,
    ),
}  # fmt: skip
