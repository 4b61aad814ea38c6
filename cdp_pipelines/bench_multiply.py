"""A synced sandbox's raw tables, many times over: each copy's records, people and companies are other ones than every other copy's.

What joins records of one copy goes on joining them, dirt included, and nothing joins them to another copy's but what joins strangers in any
large CRM: names, of which there are as many as people have. So blocks of candidates neither grow with the number of copies nor vanish.

- Ids and references: those of Salesforce have the copy in the three characters between prefix and number, numbers have it before them.
- Family names end otherwise (Smith, Smithson, Smithberg ...), and so does the name in an address: the copies share 128 endings, as people do.
- Companies' names and domains begin otherwise, each copy's with a word of its own.
- Numbers of telephones have other digits in the middle.
- Mailboxes of a function, placeholders and words for nothing stay what they are; owners, campaigns, programs and stages are there once.
"""

from __future__ import annotations

import re
from math import ceil

import duckdb
import pyarrow as pa

from cdp_pipelines import database, history
from cdp_pipelines.config import KINDS, Settings
from cdp_pipelines.identity.blanks import WORDS, filled
from cdp_pipelines.identity.emails import PLACEHOLDER_DOMAINS, mailbox
from cdp_pipelines.identity.names import words

PEOPLE = ("raw_salesforce.contact", "raw_salesforce.lead", "raw_hubspot.contacts", "raw_marketo.leads")
ENDINGS = 128
_HEADS = ("", "al", "ber", "dal", "el", "fen", "gar", "hol", "kel", "lar", "mar", "nor", "os", "per", "ros", "tal")
_TAILS = ("", "berg", "by", "croft", "dale", "er", "feld", "ham", "ing", "land", "ley", "man", "sen", "son", "ton", "wood")
# Owners, stages and marketing's own things: a company ten times as large has not ten times as many.
_ONCE = frozenset({
    "raw_salesforce.user", "raw_salesforce.campaign", "raw_hubspot.owners", "raw_hubspot.pipeline_stages", "raw_marketo.campaigns", "raw_marketo.programs",
})  # fmt: skip
_NUMBERS = frozenset({"id", "_merged_into", "from_id", "to_id", "contact_id", "associatedcompanyid", "hs_object_id", "lead_id"})
_TEXTS = frozenset({"marketo_guid", "external_company_id", "external_opportunity_id"})
_SALESFORCE = frozenset({
    "id", "_merged_into", "master_record_id", "account_id", "contact_id", "lead_id", "opportunity_id", "lead_or_contact_id", "converted_account_id",
    "converted_contact_id", "converted_opportunity_id", "salesforcecontactid", "salesforceleadid", "salesforceaccountid", "hs_salesforceopportunityid",
    "sfdc_contact_id", "sfdc_lead_id", "sfdc_account_id", "sfdc_id",
})  # fmt: skip
_EMAILS, _PHONES = frozenset({"email"}), frozenset({"phone", "mobile_phone", "mobilephone", "main_phone"})
_FAMILY = frozenset({"last_name", "lastname"})
_COMPANIES, _SITES = frozenset({"company", "contact_company", "dealname"}), frozenset({"domain", "website"})
# Tables whose `name` is a company's, or begins with one.
_NAMED_FOR = frozenset({"raw_salesforce.account", "raw_salesforce.opportunity", "raw_hubspot.companies", "raw_marketo.opportunities"})
_IS_SALESFORCE_ID = "regexp_full_match({v}, '[a-zA-Z0-9]{{15}}([A-Z0-9]{{3}})?')"


def multiply(seed: Settings, target: Settings, contacts: int) -> dict[str, int]:
    """Fill a new warehouse with so many contact records or a few more, from one that was synced; gives the rows of each raw table.

    Raises duckdb.Error where the seed has no raw tables.
    """
    with database.in_memory(target) as db:
        db.execute("set preserve_insertion_order = false")
        database.attach(seed, db, seed.warehouse, "seed", read_only=True)
        copies = ceil(contacts / max(sum(_count(db, f"seed.{table}") for table in PEOPLE), 1))
        tables = db.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where database_name = 'seed' and schema_name in ($1, $2, $3) order by all",
            [f"raw_{kind}" for kind in KINDS],
        ).fetchall()
        history.opened(target).close()
        database.attach(target, db, target.warehouse, "many")
        for (table,) in db.execute(
            "select table_name from duckdb_tables() where database_name = 'seed' and schema_name = 'ops'"
        ).fetchall():
            db.execute(f'insert into many.ops."{table}" by name from seed.ops."{table}"')
        _copies(db, copies)
        rows = {}
        for (table,) in tables:
            db.execute(f"create schema if not exists many.{table.partition('.')[0]}")
            db.execute(f"create table many.{table} as {_copied(db, table)}")
            rows[table] = _count(db, f"many.{table}")
        db.execute("checkpoint many")
    return rows


def _copies(db: duckdb.DuckDBPyConnection, copies: int) -> None:
    """The copies, each with what is its own. The first is the seed itself."""
    rows = [
        {"k": k, "code": _code(k), "ending": _ending(k % ENDINGS), "mail": _ending(k % ENDINGS) + (str(k // ENDINGS) if k >= ENDINGS else ""), "word": _word(k)}
        for k in range(copies)
    ]  # fmt: skip
    db.register("copies", pa.Table.from_pylist(rows))
    db.execute("create temp table many_copies as from copies")


def _code(k: int) -> str:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(digits[k // 36**place % 36] for place in (2, 1, 0))


def _ending(number: int) -> str:
    return _HEADS[number // len(_TAILS)] + _TAILS[number % len(_TAILS)]


def _word(k: int) -> str:
    """A word that no other copy has; none for the first."""
    made = ""
    while k:
        made = _HEADS[1 + k % 15] + _TAILS[1 + k // 15 % 15] + made
        k //= 15 * 15
    return made


def _copied(db: duckdb.DuckDBPyConnection, table: str) -> str:
    schema, _, name = table.partition(".")
    if table in _ONCE or name.startswith("_dlt"):
        return f"select * from seed.{table}"
    columns = db.execute(
        "select column_name, data_type from duckdb_columns() where database_name = 'seed' and schema_name = ? and table_name = ? order by column_index",
        [schema, name],
    ).fetchall()
    shown, joins = [], []
    for number, (column, kind) in enumerate(columns):
        own = f's."{column}"'
        expression = _changed(table, column, own, f"p{number}") if kind == "VARCHAR" else None
        if expression and column in _EMAILS | _PHONES:
            parts = f"parts_{number}"
            (_email_parts if column in _EMAILS else _phone_parts)(db, table, column, parts)
            joins.append(f"left join {parts} as p{number} on p{number}.value = {own}")
        shown.append(f'{expression or own} as "{column}"')
    return f"select {', '.join(shown)} from seed.{table} as s {' '.join(joins)} cross join many_copies as c"


def _changed(table: str, column: str, v: str, parts: str) -> str | None:
    """What a copy has in a column instead of the seed's value; None: the same."""
    changed = None
    if column in _EMAILS:
        changed = (
            f"{parts}.name || if({parts}.is_own, c.mail, '') || {parts}.tag || '@' || if({parts}.is_company, c.word, '') || {parts}.domain"
        )
    elif column in _PHONES:
        changed = f"{parts}.head || lpad((({parts}.least + ({parts}.middle - {parts}.least + 7 * c.k) % (1000 - {parts}.least)))::varchar, 3, '0') || {parts}.tail"
    elif column in _FAMILY:
        changed = f"if({_says_something(v)}, {v} || c.ending, {v})"
    elif column in _COMPANIES or (column == "name" and table in _NAMED_FOR):
        changed = f"if({_says_something(v)}, upper(c.word[1]) || c.word[2:] || ' ' || {v}, {v})"
    elif column in _SITES:
        changed = f"regexp_replace({v}, '^((https?://)?(www\\.)?)', '\\1' || c.word)"
    elif column in _SALESFORCE and (column not in _NUMBERS or table.startswith("raw_salesforce.")):
        changed = f"if({_IS_SALESFORCE_ID.format(v=v)}, {v}[:3] || c.code || {v}[7:], {v})"
    elif column in _TEXTS:
        changed = f"{v} || '-' || c.k"
    elif column in _NUMBERS:
        changed = f"c.k || lpad({v}, 12, '0')"
    return f"case when c.k = 0 then {v} else coalesce({changed}, {v}) end" if changed else None


def _says_something(v: str) -> str:
    nothing = ", ".join(f"'{database.quoted(word)}'" for word in sorted(WORDS))
    return f"(regexp_matches({v}, '[\\pL\\d]') and lower(trim({v})) not in ({nothing}))"


_ADDRESS = re.compile(r"([^@+]+)((?:\+[^@]*)?)@([^@]+)", re.DOTALL)


def _email_parts(db: duckdb.DuckDBPyConnection, table: str, column: str, made: str) -> None:
    """Where a copy's part comes into each address: behind the name before any tag, unless it is no person's, and before a company's domain."""
    rows = []
    for value in _values(db, table, column):
        read, found = mailbox(filled(value)), _ADDRESS.fullmatch(value)
        if read and found and read.domain not in PLACEHOLDER_DOMAINS:
            name, tag, domain = found.groups()
            rows.append((value, name, tag, domain, read.kind == "personal", read.company is not None))
    names = ("value", "name", "tag", "domain", "is_own", "is_company")
    kinds = [*[pa.string()] * 4, pa.bool_(), pa.bool_()]
    _register(db, made, names, kinds, rows)


# The sandbox's numbers are of the ranges kept for fiction: 555-01xx in the United States; all others are told apart by their last digits.
_FICTION = re.compile(r"(.*?)(555)(\D*01\d\d(?!\d).*)", re.DOTALL)
_ELSEWHERE = re.compile(r"(.*\d\D*)(\d{3})(\d{3}\s*)", re.DOTALL)


def _phone_parts(db: duckdb.DuckDBPyConnection, table: str, column: str, made: str) -> None:
    """The three digits of each number that are another copy's others. A central office's (United States) begins with two at least."""
    rows = []
    for value in _values(db, table, column):
        if len(set(re.findall(r"\d", value))) > 2:
            american = _FICTION.fullmatch(value)
            if found := american or _ELSEWHERE.fullmatch(value):
                head, middle, tail = found.groups()
                rows.append((value, head, int(middle), tail, 200 if american else 0))
    names = ("value", "head", "middle", "tail", "least")
    _register(db, made, names, [pa.string(), pa.string(), pa.int32(), pa.string(), pa.int32()], rows)


def _values(db: duckdb.DuckDBPyConnection, table: str, column: str) -> list[str]:
    found = db.execute(f'select distinct "{column}" from seed.{table} where "{column}" is not null order by 1').fetchall()
    return [value for (value,) in found if words(value) or any(map(str.isdigit, value))]


def _register(db: duckdb.DuckDBPyConnection, made: str, names: tuple[str, ...], kinds: list[pa.DataType], rows: list[tuple]) -> None:
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    given = pa.table([pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)], names=list(names))
    db.register("given", given)
    db.execute(f"create or replace temp table {made} as from given")
    db.unregister("given")


def _count(db: duckdb.DuckDBPyConnection, table: str) -> int:
    return db.execute(f"select count(*) from {table}").fetchall()[0][0]
