from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_pipelines.sandbox.salesforce import query
from cdp_pipelines.sandbox.salesforce.soql import parse
from cdp_pipelines.sandbox.salesforce.soql_query import Comparison, SoqlError
from tests.sandbox.salesforce_org import new_store

STORE = new_store()
FIELDS = "Id, Email, FirstName, LeadScore__c, HasOptedOutOfEmail, CreatedDate, SystemModstamp"
Row = dict[str, Any]
Test = tuple[str, Callable[[Row], bool]]


def rows(soql: str, include_deleted: bool = True) -> list[Row]:
    result = query.run(STORE, soql, include_deleted=include_deleted)
    return result.json_rows(result.numbers, "62.0")


ALL = rows(f"SELECT {FIELDS} FROM Contact")


def error(soql: str) -> SoqlError:
    with pytest.raises(SoqlError) as caught:
        query.run(STORE, soql, include_deleted=False)
    return caught.value


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _lower(value: str | None) -> str | None:
    return value.lower() if value else None


def _text_test(field: str, op: str, value: str | None) -> Test:
    same = lambda row: _lower(row[field]) == _lower(value)
    return f"{field} {op} {_quoted(value) if value is not None else 'null'}", same if op == "=" else lambda row: not same(row)


def _score_test(op: str, value: int) -> Test:
    compare: dict[str, Callable[[float], bool]] = {
        "<": lambda s: s < value, "<=": lambda s: s <= value, ">": lambda s: s > value, ">=": lambda s: s >= value,
    }  # fmt: skip
    return f"LeadScore__c {op} {value}", lambda row: row["LeadScore__c"] is not None and compare[op](row["LeadScore__c"])


def _time_test(field: str, op: str, moment: datetime) -> Test:
    def test(row: Row) -> bool:
        at = datetime.fromisoformat(row[field])
        return at >= moment if op == ">=" else at < moment

    return f"{field} {op} {moment.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}", test


def _in_test(field: str, values: list[str], negated: bool) -> Test:
    wanted = {_lower(v) for v in values}
    word = "NOT IN" if negated else "IN"
    return f"{field} {word} ({', '.join(map(_quoted, values))})", lambda row: (_lower(row[field]) in wanted) != negated


names = st.sampled_from(sorted({r["FirstName"] for r in ALL if r["FirstName"]})) | st.text(max_size=6)
moments = st.datetimes(datetime(2024, 6, 1), datetime(2026, 7, 1), timezones=st.just(UTC)).map(lambda m: m.replace(microsecond=0))
leaves = st.one_of(
    st.builds(_text_test, st.sampled_from(["FirstName", "Email"]), st.sampled_from(["=", "!="]), st.none() | names),
    st.builds(_score_test, st.sampled_from(["<", "<=", ">", ">="]), st.integers(0, 100)),
    st.builds(_time_test, st.sampled_from(["CreatedDate", "SystemModstamp"]), st.sampled_from([">=", "<"]), moments),
    st.builds(_in_test, st.just("FirstName"), st.lists(names, min_size=1, max_size=4), st.booleans()),
    st.booleans().map(lambda b: (f"HasOptedOutOfEmail = {str(b).upper()}", lambda row: row["HasOptedOutOfEmail"] is b)),
    st.sampled_from(ALL).map(lambda known: (f"Id = '{known['Id'][:15]}'", lambda row: row["Id"] == known["Id"])),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: (f"(({p[0][0]}) AND ({p[1][0]}))", lambda row: p[0][1](row) and p[1][1](row))),
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]} or {p[1][0]})", lambda row: p[0][1](row) or p[1][1](row))),
        inner.map(lambda p: (f"(NOT {p[0]})", lambda row: not p[1](row))),
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=3))
def test_a_condition_finds_what_a_plain_search_finds(tests: list[Test]) -> None:
    where = " AND ".join(text for text, _ in tests)
    expected = {row["Id"] for row in ALL if all(test(row) for _, test in tests)}
    assert {row["Id"] for row in rows(f"SELECT Id FROM Contact WHERE {where}")} == expected
    assert query.run(STORE, f"select count() from contact where {where}", include_deleted=True).total == len(expected)


@given(st.integers(0, 50), st.integers(0, 30), st.booleans())
@settings(max_examples=30, deadline=None)
def test_order_limit_and_offset_cut_a_sorted_list(limit: int, offset: int, descending: bool) -> None:
    soql = f"SELECT Id FROM Contact ORDER BY LeadScore__c {'DESC' if descending else 'ASC'} NULLS LAST, Id LIMIT {limit} OFFSET {offset}"
    scored = sorted((r for r in ALL if r["LeadScore__c"] is not None), key=lambda r: r["LeadScore__c"], reverse=descending)
    expected = [r["Id"] for r in [*scored, *(r for r in ALL if r["LeadScore__c"] is None)]]
    assert [r["Id"] for r in rows(soql)] == expected[offset : offset + limit]


def test_like_takes_wildcards_and_no_regard_to_case() -> None:
    found = {r["FirstName"] for r in rows("SELECT FirstName FROM Contact WHERE FirstName LIKE 'a_%'")}
    assert found == {r["FirstName"] for r in ALL if r["FirstName"] and r["FirstName"].lower().startswith("a") and len(r["FirstName"]) > 1}
    assert rows(r"SELECT Id FROM Contact WHERE FirstName LIKE '\%'") == []


def test_ids_compare_with_case_and_without_their_checksum() -> None:
    seen: dict[str, str] = {}
    first, second = next((seen[k], r["Id"]) for r in ALL if seen.setdefault(k := r["Id"][:15].lower(), r["Id"]) != r["Id"])
    assert first != second
    assert [r["Id"] for r in rows(f"SELECT Id FROM Contact WHERE Id = '{second[:15]}'")] == [second]


def test_parent_fields_are_nested_and_null_without_a_parent() -> None:
    found = rows("SELECT Id, Account.Name, Account.Owner.Email FROM Contact WHERE AccountId != null LIMIT 1")[0]
    assert found["Account"]["attributes"]["type"] == "Account"
    assert found["Account"]["Name"]
    assert "@" in found["Account"]["Owner"]["Email"]
    assert all(r["Account"] is None for r in rows("SELECT Account.Name FROM Contact WHERE AccountId = null"))


def test_names_come_back_in_their_own_case() -> None:
    assert list(rows("select ID, lastname from CONTACT limit 1")[0]) == ["attributes", "Id", "LastName"]


def test_counted_values_are_one_row() -> None:
    result = query.run(STORE, "SELECT COUNT(Id), MIN(CreatedDate), MAX(LeadScore__c) FROM Contact", include_deleted=True)
    scores = [r["LeadScore__c"] for r in ALL if r["LeadScore__c"] is not None]
    assert result.aggregate == {
        "attributes": {"type": "AggregateResult"}, "expr0": len(ALL), "expr1": min(r["CreatedDate"] for r in ALL), "expr2": max(scores),
    }  # fmt: skip


def test_an_unknown_field_is_shown_where_it_stands() -> None:
    refused = error("SELECT Id,Foo FROM Contact")
    assert refused.code == "INVALID_FIELD"
    assert refused.message == (
        "\nSELECT Id,Foo FROM Contact\n          ^\nERROR at Row:1:Column:11\nNo such column 'Foo' on entity 'Contact'. If you are "
        "attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the "
        "describe call for the appropriate names."
    )


def test_an_unknown_object_is_shown_where_it_stands() -> None:
    refused = error("select count() from XYZZY")
    assert refused.code == "INVALID_TYPE"
    assert refused.message.startswith(
        "\nselect count() from XYZZY\n                    ^\nERROR at Row:1:Column:21\nsObject type 'XYZZY' is not"
    )


@pytest.mark.parametrize(
    ("soql", "code", "text"),
    [
        ("SELECT Id FORM Contact", "MALFORMED_QUERY", "unexpected token: 'FORM'"),
        ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Contact WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY", "unexpected token: 'OR'"),
        ("SELECT Id FROM Contact WHERE Name = \"a\"", "MALFORMED_QUERY", "unexpected token: '\"'"),
        ("SELECT Id FROM Contact LIMIT x", "MALFORMED_QUERY", "unexpected token: 'x'"),
        ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
        ("SELECT Id FROM Contact WHERE LeadScore__c = '5'", "INVALID_FIELD", "must be of type double and should not be enclosed in quotes"),
        ("SELECT Id FROM Contact WHERE CreatedDate > '2024-01-01'", "INVALID_FIELD", "must be of type dateTime and should not be enclosed"),
        ("SELECT Id FROM Contact WHERE Description = 'x'", "INVALID_FIELD", "field 'Description' can not be filtered in a query call"),
        ("SELECT Id FROM Contact WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
        ("SELECT Foo.Name FROM Contact", "INVALID_FIELD", "Didn't understand relationship 'Foo' in field path."),
        ("SELECT Id, Id FROM Contact", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT FIELDS(ALL) FROM Contact", "MALFORMED_QUERY", "LIMIT of at most 200"),
    ],
)  # fmt: skip
def test_a_wrong_query_is_refused_in_salesforce_words(soql: str, code: str, text: str) -> None:
    refused = error(soql)
    assert (refused.code, text in refused.message) == (code, True), refused.message


def test_escapes_in_strings_are_undone() -> None:
    where = parse(r"SELECT Id FROM Contact WHERE Name = 'O\'Neil\\ \n\u'").where
    assert isinstance(where, Comparison)
    assert where.values[0].value == "O'Neil\\ \nu"
