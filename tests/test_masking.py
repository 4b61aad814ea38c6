"""The masked file: nobody's values in it, joins that hold, and what analysts need."""

from __future__ import annotations

import hmac
import stat
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from pydantic import SecretStr

from cdp_pipelines import classified, history, mapping, masking, publish, query
from cdp_pipelines.audit import keys
from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.pii import CLASSES

PEOPLE = [
    ("salesforce", "003A", "ann.lee@acme.example", "Ann", "Leekens", "+1 555 0100", "Acme", "Chief of Staff", "Vienna", "CX1"),
    ("hubspot", "101", "ann.lee@acme.example", "Ann", "Leekens", None, "Ann Leekens", "CEO", "Ulm", "CX1"),
    ("marketo", "7", "bob@zeta.example", "Robert", "Tammelin", "+1 555 0199", "Zeta", None, "Tartu", "CX2"),
]
RAW = {value for person in PEOPLE for value in (*person[1:6], person[9]) if value} | {"Renewal for Ann", "Ann Leekens", "CX1:101"}
JOINS = {
    "record and customer": "contacts join customer_contacts using (connection, customer_id) join customers using (customer_key)",
    "deal and contact": "opportunities o join contacts c on c.connection = o.connection and c.customer_id = o.contact_id",
    "address": "contacts join customers using (email)",
    "people of one address": "contacts a join contacts b on a.email = b.email and a.connection <> b.connection",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    with history.opened(settings) as db:
        db.execute("create schema standardized; create schema unified")
        db.execute(
            "create table standardized.contacts (connection varchar, customer_id varchar, email varchar, first_name varchar, last_name varchar, "
            "phone varchar, company varchar, title varchar, city varchar, key varchar, lead_score decimal(9,2), is_deleted boolean)"
        )
        db.executemany("insert into standardized.contacts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 75.5, false)", PEOPLE)
        db.execute(
            "create table unified.customer_contacts as select connection, customer_id, key as customer_key, 'CX1:101' as why from standardized.contacts"
        )
        db.execute(
            "create table unified.customers as select key as customer_key, any_value(email) as email, count(*) as contact_count from standardized.contacts group by key"
        )
        db.execute(
            "create table standardized.opportunities as select 'hubspot' as connection, 'D1' as id, '101' as contact_id, 'Renewal for Ann' as name, 99.5 as value"
        )
        db.execute("create table unified.customer_provenance as select key as customer_key, customer_id from standardized.contacts")
        db.execute("create table unified.customer_companies as select 'K9' as company_key, 'Acme' as name")
        db.execute("alter table standardized.contacts drop column key")
        db.execute("comment on table standardized.contacts is 'People.'; comment on column standardized.contacts.email is 'Address.'")
    return settings


def read(path: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as db:
        return db.execute(sql).fetchall()


def cells(path: Path) -> Iterator[str]:
    """Every text in every table of a file."""
    for schema, table, column in read(
        path,
        "select schema_name, table_name, column_name from duckdb_columns() where data_type = 'VARCHAR' and schema_name in ('main', 'unified')",
    ):
        yield from (value for (value,) in read(path, f'select distinct "{column}" from "{schema}"."{table}" where "{column}" is not null'))


def test_no_value_of_anybody_is_in_a_cell_or_byte(settings):
    publish.publish(settings)
    assert set(cells(settings.published)) >= RAW - {"CX1:101"}, "the values are really in the published file"
    shown = set(cells(settings.masked_file))
    assert shown & RAW == set()
    assert not [text for text in shown for value in RAW if len(value) > 4 and value.lower() in text.lower()]
    content = settings.masked_file.read_bytes().lower()
    assert [value for value in RAW if len(value) > 4 and value.lower().encode() in content] == []


@pytest.mark.parametrize("join", JOINS.values(), ids=JOINS)
def test_joins_give_as_many_rows_as_in_the_published_file(settings, join):
    publish.publish(settings)
    [(expected,)] = read(settings.published, f"select count(*) from {join}")
    assert expected > 0
    assert read(settings.masked_file, f"select count(*) from {join}") == [(expected,)]


def test_each_class_is_masked_in_its_way(settings):
    publish.publish(settings)
    shown = "select customer_id, company, title, city, lead_score from contacts order by connection"
    token = masking.token_of(settings, "Ann Leekens")
    assert read(settings.masked_file, shown) == [
        (masking.token_of(settings, "101"), token, None, None, 75.5),  # a company that is called as a person is; texts too short to cut
        (masking.token_of(settings, "7"), "Zeta", None, "Tar", 75.5),
        (masking.token_of(settings, "003A"), "Acme", "Chi", "Vie", 75.5),
    ]
    assert read(settings.masked_file, "describe opportunities")[-1][0] == "value"
    assert "name" not in {column for column, *_ in read(settings.masked_file, "describe opportunities")}
    assert read(settings.masked_file, "select name from unified.companies") == [("Acme",)]
    assert read(settings.masked_file, "select table_name from duckdb_tables() where table_name like '%provenance'") == []


def test_dates_of_class_quasi_show_the_year_and_numbers_nothing():
    table = masking._Table(
        "main", "t", [("born", "DATE"), ("at", "TIMESTAMP"), ("age", "BIGINT")], dict.fromkeys(("born", "at", "age"), "quasi")
    )
    with duckdb.connect() as db:
        exprs = ", ".join(sql for _, sql in table.shown())
        given = "(select date '1980-05-17' as born, timestamp '1980-05-17 12:00' as at, 45 as age) t"
        assert [str(v) for v in db.execute(f"select {exprs} from {given}").fetchall()[0]] == ["1980-01-01", "1980-01-01 00:00:00"]


def test_a_token_is_the_hmac_of_the_value_whether_it_repeats_or_not(settings, monkeypatch):
    key = keys.load(settings).of("masking")
    email = hmac.new(key, b"ann.lee@acme.example", "sha256").hexdigest()[: masking.TOKEN_LENGTH]
    for repeated in (1, 1000):
        monkeypatch.setattr(masking, "REPEATED", repeated)
        publish.publish(settings)
        assert read(settings.masked_file, "select count(*) from contacts where email = ?".replace("?", f"'{email}'")) == [(2,)]
        assert read(settings.masked_file, "select count(*) from contacts where phone is null") == [(1,)]


def test_another_key_gives_other_tokens(settings, tmp_path):
    publish.publish(settings)
    before = read(settings.masked_file, "select email from contacts order by all")
    masking.mask(settings.model_copy(update={"privacy_key": SecretStr("x" * 32)}))
    after = read(settings.masked_file, "select email from contacts order by all")
    assert {email for (email,) in before} & {email for (email,) in after} == set()


def test_a_column_without_a_class_is_left_out_and_named(settings):
    with history.opened(settings) as db:
        db.execute("alter table standardized.contacts add column shoe_size varchar default 'Ann Leekens'")
    publish.publish(settings)
    assert "shoe_size" not in {column for column, *_ in read(settings.masked_file, "describe contacts")}
    with duckdb.connect(str(settings.published), read_only=True) as db:
        assert classified.unclassified(db, "cdp") == ["contacts.shoe_size"]


def test_descriptions_say_how_a_column_is_masked(settings):
    publish.publish(settings)
    told = dict(
        read(
            settings.masked_file, "select column_name, comment from duckdb_columns() where table_name = 'contacts' and schema_name = 'main'"
        )
    )
    assert told["email"] == "Address. Masked: a token."
    assert told["lead_score"] is None
    assert read(settings.masked_file, "select comment from duckdb_tables() where table_name = 'contacts'") == [("People.",)]


def test_it_is_written_with_every_publication_and_has_its_own_mode(settings):
    opened = settings.model_copy(update={"masked_mode": "640"})
    publish.publish(opened)
    assert stat.S_IMODE(settings.masked_file.stat().st_mode) == 0o640
    assert stat.S_IMODE(settings.published.stat().st_mode) == 0o600
    with history.opened(settings) as db:
        db.execute("delete from standardized.contacts where connection = 'marketo'")
    publish.publish_status(opened)
    assert read(settings.masked_file, "select count(*) from contacts") == [(3,)]
    publish.publish(opened)
    assert read(settings.masked_file, "select count(*) from contacts") == [(2,)]


def test_turned_off_there_is_none_and_an_old_one_goes(settings):
    publish.publish(settings)
    off = settings.model_copy(update={"masked": False})
    assert publish.publish(off).masked is None
    assert not settings.masked_file.exists()
    with pytest.raises(query.NotPublished, match="CDP_MASKED"), query.sql(off, "select 1", masked=True):
        pass


def test_masking_that_fails_leaves_the_old_file_and_no_litter(settings, monkeypatch):
    publish.publish(settings)
    before = settings.masked_file.read_bytes()
    monkeypatch.setattr(masking, "_describe", lambda db, tables: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        publish.publish(settings)
    assert settings.masked_file.read_bytes() == before
    assert sorted(p.name for p in settings.data_dir.glob("*.*") if p.is_file()) == ["cdp.duckdb", "cdp_masked.duckdb", "warehouse.duckdb"]


def test_sql_asks_the_masked_file_and_nothing_else(settings):
    publish.publish(settings)
    with query.sql(settings, "select count(distinct email) from contacts", masked=True) as rows:
        assert list(rows) == [(2,)]
    with pytest.raises(query.QueryError), query.sql(settings, f"select * from read_text('{settings.published}')", masked=True):
        pass


def test_a_key_that_is_too_short_stops_the_publication(settings):
    with pytest.raises(ConfigError, match="CDP_PRIVACY_KEY"):
        masking.mask(settings.model_copy(update={"privacy_key": SecretStr("short")}))


def test_every_class_is_told_of_in_the_mappings_page():
    page = (Path(mapping.PATH).parents[1] / "docs" / "mapping.md").read_text()
    for name, one in CLASSES.items():
        assert f"| {name} | {one.holds} | {one.masked} |" in page


def test_with_an_encryption_key_it_is_encrypted_too(settings, tmp_path):
    key = settings.model_copy(update={"encryption_key": SecretStr("k" * 32), "data_dir": tmp_path / "encrypted"})
    with history.opened(key) as db:
        db.execute("create schema standardized; create table standardized.companies as select '1' as id, 'Visible Industries' as name")
    publish.publish(key)
    with query.sql(key, "select name from companies", masked=True) as rows:
        assert list(rows) == [("Visible Industries",)]
    with pytest.raises(duckdb.Error):
        read(key.masked_file, "select 1")
    assert b"visible industries" not in key.masked_file.read_bytes().lower()
    with pytest.raises(ConfigError), query.sql(key.model_copy(update={"encryption_key": None}), "select 1", masked=True):
        pass
