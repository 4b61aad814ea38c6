import operator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st

from cdp_pipelines import query
from cdp_pipelines.config import Settings
from cdp_pipelines.crm_integrations.base_crm import CRMContact
from cdp_pipelines.filters import FilterError, parse
from tests import published_file
from tests.published_file import CONTACTS, CUSTOMER_KEYS


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = published_file.settings_in(tmp_path_factory.mktemp("data"))
    published_file.write(made)
    return made


def ids(settings: Settings, filters: dict[str, Any], **options: Any) -> list[str]:
    with query.rows(settings, "contacts", filters, **options) as rows:
        return [row["customer_id"] for row in rows.dicts()]


def test_without_filters_every_live_contact_is_given_in_the_order_of_its_key(settings: Settings) -> None:
    assert ids(settings, {}) == ["11", "12", "003A", "003C", "003a"]


def test_the_guides_filter_finds_the_guides_contacts(settings: Settings) -> None:
    found = query.contacts(settings, {"source_system": "salesforce", "lead_score__gt": 50})
    assert isinstance(found, list)
    assert [(type(c), c.customer_id, c.customer_key) for c in found] == [(CRMContact, "003A", "k1")]
    assert found[0].created_date == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found[0].extra["is_deleted"] is False


def test_text_is_compared_as_it_is_and_ids_keep_their_case(settings: Settings) -> None:
    assert ids(settings, {"customer_id": "003a"}) == ["003a"]
    assert ids(settings, {"email": "o'neil@example.com"}) == ["12"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"email": None}, ["003C"]),
        ({"email__isnull": "true"}, ["003C"]),
        ({"customer_key__isnull": True}, ["12", "003C"]),
        ({"customer_key": "k1"}, ["11", "003A"]),
        ({"company__contains": "cme"}, ["003A", "003a"]),
        ({"company__contains": "ACME"}, []),
        ({"company__icontains": "ACME"}, ["003A", "003a"]),
        ({"first_name__icontains": "SØR"}, ["003C"]),
        ({"customer_id__in": ["11", "003C"]}, ["11", "003C"]),
        ({"customer_id__in": "11,003C"}, ["11", "003C"]),
        ({"customer_id__in": []}, []),
        ({"lead_score__in": "50,75.5"}, ["003A", "003a"]),
        ({"do_not_email": "yes"}, ["003C"]),
        ({"do_not_email": False}, ["11"]),
        ({"lead_score__gte": 50.0, "lead_score__lt": "80"}, ["003A", "003a"]),
        ({"created_date": datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))}, ["003A"]),
        ({"created_date__gt": "2026-03-01T12:00:00Z"}, ["003a"]),
        ({"created_date__lt": date(2026, 3, 2)}, ["003A"]),
        ({"created_date__gte": "2026-03-02"}, ["003a"]),
    ],
)  # fmt: skip
def test_a_filter_finds_what_it_says(settings: Settings, filters: dict[str, Any], found: list[str]) -> None:
    assert ids(settings, filters) == found


def test_deleted_and_merged_records_appear_only_when_asked_for(settings: Settings) -> None:
    assert ids(settings, {"is_deleted": True}) == ["003D", "003E"]
    assert ids(settings, {"merged_into__isnull": False}) == ["003E"]
    assert len(ids(settings, {}, include_deleted=True)) == len(CONTACTS)


def test_a_limit_cuts_after_the_order(settings: Settings) -> None:
    assert ids(settings, {}, limit=2) == ["11", "12"]
    with pytest.raises(FilterError, match="negative"):
        ids(settings, {}, limit=-1)


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"nope": 1}, "no field 'nope'. Fields: connection, source_system, record_type, customer_id, email"),
        ({"nope__gt": 1}, "no field 'nope'"),
        ({"lead_score__above": 1}, "no operator 'above'. Operators: gt, gte, lt, lte, in, contains, icontains, isnull"),
        ({"lead_score__gt": "abc"}, "lead_score__gt needs a number, not 'abc'"),
        ({"lead_score__gt": True}, "lead_score__gt needs a number"),
        ({"lead_score__gt": None}, "Use lead_score__isnull"),
        ({"lead_score__gt": "nan"}, "lead_score__gt needs a number below"),
        ({"lead_score__gt": "1e999999999"}, "lead_score__gt needs a number below"),
        ({"lead_score__contains": "5"}, "lead_score is not text"),
        ({"lead_score__in": [1, None]}, "cannot hold None"),
        ({"lead_score__in": 5}, "needs a list"),
        ({"email": 5}, "email needs text"),
        ({"do_not_email": "perhaps"}, "do_not_email needs true or false"),
        ({"email__isnull": "perhaps"}, "email__isnull needs true or false"),
        ({"created_date__gt": "yesterday"}, "created_date__gt needs a date or time such as"),
        ({"created_date__gt": 5}, "created_date__gt needs a date or time such as"),
    ],
)  # fmt: skip
def test_a_wrong_filter_says_what_is_wrong(settings: Settings, filters: dict[str, Any], says: str) -> None:
    with pytest.raises(FilterError) as error:
        ids(settings, filters)
    assert says in str(error.value)


def test_a_value_is_never_read_as_sql(settings: Settings) -> None:
    assert ids(settings, {"email": "x' or 1=1 --"}) == []
    with pytest.raises(FilterError, match="no field"):
        ids(settings, {'email" is null or 1=1 --': "x"})


def test_filters_from_the_command_line_are_read_up_to_the_first_equals_sign() -> None:
    assert parse(["company=a=b", "lead_score__gt=50"]) == {"company": "a=b", "lead_score__gt": "50"}
    with pytest.raises(FilterError, match="not a filter"):
        parse(["lead_score>50"])
    with pytest.raises(FilterError, match="twice"):
        parse(["a=1", "a=2"])


COMPARE = {"": operator.eq, "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
ORDERED = st.one_of(
    st.tuples(st.just("lead_score"), st.decimals(-10, 100, places=3) | st.integers(-10, 100) | st.floats(-10, 100)),
    st.tuples(st.just("created_date"), st.datetimes(datetime(2026, 2, 28), datetime(2026, 3, 3), timezones=st.just(UTC))),
    st.tuples(
        st.sampled_from(["first_name", "email", "customer_id"]), st.sampled_from(["Ann", "003A", "003a", "b", "", "ann@example.com"])
    ),
)


@pytest.mark.parametrize("value", [2.26e-277, -2.26e-277, "50.0000000000000000000000000000000001", "1e-40", 75.5 + 1e-13])
def test_a_number_of_more_digits_than_the_column_has_compares_with_it(settings: Settings, value: float | str) -> None:
    for how, compare in COMPARE.items():
        name = f"lead_score__{how}" if how else "lead_score"
        expected = {
            row["customer_id"]
            for row in CONTACTS
            if row.get("lead_score") is not None and not row["is_deleted"] and compare(row["lead_score"], Decimal(str(value)))
        }
        assert set(ids(settings, {name: value})) == expected


@trying(deadline=None)  # each example opens the file; how long that takes depends on the disk
@given(st.lists(st.tuples(ORDERED, st.sampled_from(sorted(COMPARE))), max_size=3))
def test_comparisons_agree_with_pythons(settings: Settings, wanted: list[tuple[tuple[str, Any], str]]) -> None:
    filters = {f"{field}__{how}" if how else field: (field, how, value) for (field, value), how in wanted}

    def meets(row: dict[str, Any]) -> bool:
        return all(row.get(f) is not None and COMPARE[how](_comparable(row[f]), _comparable(value)) for f, how, value in filters.values())

    expected = {row["customer_id"] for row in CONTACTS if meets(row) and not row["is_deleted"]}
    assert set(ids(settings, {name: value for name, (_, _, value) in filters.items()})) == expected


@trying(deadline=None)  # each example opens the file; how long that takes depends on the disk
@given(st.sampled_from(["first_name", "email", "company"]), st.text(st.sampled_from("aAnNcøm@.[ '%_"), max_size=4), st.booleans())
def test_searching_agrees_with_pythons(settings: Settings, field: str, text: str, ignore_case: bool) -> None:
    def meets(value: str | None) -> bool:
        return value is not None and (text.lower() in value.lower() if ignore_case else text in value)

    expected = {row["customer_id"] for row in CONTACTS if meets(row.get(field)) and not row["is_deleted"]}
    assert set(ids(settings, {f"{field}__{'icontains' if ignore_case else 'contains'}": text})) == expected


def _comparable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    # The shortest text of a float is what a person means by it.
    return Decimal(str(value)) if isinstance(value, int | float | Decimal) else value


def test_a_data_frame_has_utc_times_and_exact_decimals(settings: Settings) -> None:
    frame = query.contacts(settings, as_dataframe=True)
    assert not isinstance(frame, list)
    assert str(frame["created_date"].dtype) == "datetime64[us, UTC]"
    assert frame.loc[frame.customer_id == "003A", "lead_score"].item() == Decimal("75.50")
    assert sorted(frame.customer_id) == ["003A", "003C", "003a", "11", "12"]
    assert set(frame.customer_key.dropna()) == set(CUSTOMER_KEYS.values())


def test_opportunities_keep_their_exact_value(settings: Settings) -> None:
    found = query.opportunities(settings, {"value__gte": "1234567890123456.78"})
    assert isinstance(found, list)
    assert [(row["id"], row["value"], row["close_date"]) for row in found] == [("006A", Decimal("1234567890123456.78"), date(2026, 3, 1))]
    assert query.opportunities(settings, {"value__gt": "1234567890123456.78"}) == []
    assert len(query.opportunities(settings)) == 2
    assert len(query.opportunities(settings, {"close_date__lte": "2026-03-01"})) == 1


def test_an_absent_file_says_what_to_run(tmp_path: Any) -> None:
    with pytest.raises(query.NotPublished, match="Run `cdp sync` first"):
        query.contacts(published_file.settings_in(tmp_path))


def test_a_file_that_is_no_database_is_named(tmp_path: Any) -> None:
    settings = published_file.settings_in(tmp_path)
    settings.published.write_text("not a database " * 1000)
    with pytest.raises(query.QueryError, match=r"cdp\.duckdb cannot be opened"):
        query.contacts(settings)


@pytest.mark.parametrize(
    "statement",
    ["delete from contacts", "create table t (a int)", "drop table contacts", "copy contacts to 'x.csv'", "attach 'other.duckdb'", "select * from 'x.csv'",
     "select * from read_text('/etc/hostname')", "install httpfs", "set enable_external_access = true", "selec 1", "", "select no_such from contacts"],
)  # fmt: skip
def test_sql_can_only_read_the_published_file(settings: Settings, statement: str) -> None:
    before = settings.published.read_bytes()
    with pytest.raises(query.QueryError) as error, query.sql(settings, statement) as rows:
        list(rows)
    assert str(error.value)
    assert "\n" not in str(error.value)
    assert settings.published.read_bytes() == before


def test_an_error_in_the_middle_of_the_rows_is_a_query_error_too(settings: Settings) -> None:
    with pytest.raises(query.QueryError, match="Could not convert"), query.sql(settings, "select email::int from contacts") as rows:
        list(rows)


def test_variables_of_the_program_are_no_tables(settings: Settings) -> None:
    secret = query.contacts(settings, as_dataframe=True)
    assert len(secret)
    with pytest.raises(query.QueryError, match="does not exist"), query.sql(settings, "select * from secret") as rows:
        list(rows)


def test_many_rows_arrive_in_pieces(settings: Settings) -> None:
    with query.sql(settings, f"select range as n, timestamp '2026-01-01' as t from range({query.ROWS_AT_ONCE * 2 + 1})") as rows:
        count = sum(t == datetime(2026, 1, 1, tzinfo=UTC) for _, t in rows)
    assert count == query.ROWS_AT_ONCE * 2 + 1


def test_several_may_read_at_once_in_one_process(settings: Settings) -> None:
    with query.sql(settings, "select 1 as one") as first, query.sql(settings, "select 2 as two") as second:
        assert [*first, *second] == [(1,), (2,)]
