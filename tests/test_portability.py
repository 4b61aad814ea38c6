from pathlib import Path

import pytest

from cdp_pipelines.generate import portability

# What each rule refuses.
REFUSED = {
    "qualify": ["select id from t qualify row_number() over (order by id) = 1"],
    "::": ["select id::text from t"],
    "quoted identifier": ['select "id" from t', "select `id` from t"],
    "backslash": [r"select replace(id, '\n', '') from t"],
    "doubled quote": ["select 'it''s' from t", "select replace(replace(id, 'a', ''), '''', '') from t"],
    "regular expression": ["select 1 from t where id ~ '^a'", "select 1 from t where id rlike 'a'", "select 1 from t where id similar to 'a'"],
    "regular expression function": ["select regexp_replace(id, '[0-9]', '') from t", "select {{ fold(\"regexp_extract(id, 'a')\") }} from t"],
    "ilike": ["select 1 from t where id ilike 'a%'"],
    "string_agg": ["select string_agg(id, ',') from t", "select {{ dbt.listagg('id') }} from t"],
    "exclude": ["select t.* exclude (id) from t"],
    "select *": ["select * from t", "select distinct * from t"],
    "alias.*": ["select t.* from t"],
    "by name": ["select a from t union all by name select a from u"],
    "plain union": ["select a from t union select a from u", "select a from t\nunion\nselect a from u"],
    "recursive": ["with recursive t as (select 1 as a) select a from t"],
    "distinct on": ["select distinct on (a) a, b from t"],
    "group by all": ["select a from t group by all", "select a from t group by 1"],
    "cast to timestamp": ["select cast(a as timestamp) from t", "select cast(a as timestamptz) from t", "select cast(a as timestamp(6)) from t"],
    "try_cast": ["select try_cast(a as date) from t", "select safe_cast(a as date) from t"],
    "zone": ["select a at time zone 'UTC' from t"],
    "date arithmetic": ["select a + interval '1 day' from t", "select date_trunc('day', a) from t", "select extract(day from a) from t"],
    "value at the greatest": ["select arg_max(a, b) from t", "select max_by(a, b) from t"],
    "function of DuckDB": ["select epoch_ms(a) from t", "select list_sort(a) from t", "select strip_accents(a) from t", "select a from range(3)"],
    "function of another engine": ["select nvl(a, b) from t", "select a from t lateral flatten(b)", "select timestamp_millis(a) from t"],
    "null in functions": ["select concat(a, b) from t", "select first_value(a ignore nulls) over (order by b rows unbounded preceding) from t"],
    "lower": ["select lower(a) from t", "select {{ clean('upper(a)') }} from t"],
    "trim": ["select trim(a) from t", "select ltrim(a) from t"],
    "split_part": ["select split_part(a, '@', 2) from t"],
    "rest of a text": ["select substring(a, 3) from t", "select substr(a, 3) from t"],
    "decimal": ["select cast(a as decimal(38,2)) from t"],
    "frame": ["select first_value(a) over (partition by b order by c) from t"],
    "three-part name": ["select a from warehouse.raw_hubspot.deals"],
    "reserved word": ["select a as at from t", "select a from t as no"],
}  # fmt: skip


def test_the_models_tests_and_macros_are_portable():
    assert portability.problems() == []
    assert {path.parent.name for path in portability.files()} >= {"staging", "standardized", "unified", "steps", "macros", "generic"}


def test_every_rule_is_shown():
    assert set(REFUSED) == set(portability.RULES)


@pytest.mark.parametrize(("rule", "sql"), [(rule, sql) for rule, texts in REFUSED.items() for sql in texts])
def test_what_an_engine_reads_otherwise_is_refused(rule: str, sql: str):
    assert rule in portability.found(sql)


def test_what_every_engine_reads_is_not():
    assert portability.found("""
        {# lower(x) and "x" :: in a comment #}
        -- and regexp_replace(x) in another
        with t as (select a, '' as nothing, coalesce(b, '') || ':' || 'x' as c from {{ ref('contacts') }})
        select {{ lower_case('a') }} as a, substring(c, 1, 15) as short, cast(b as {{ dbt.type_timestamp() }}) as b,
            first_value(a) over (partition by b order by c rows between unbounded preceding and current row) as first_a
        from t
        union all
        select a, c, b, a from t where a like '%_@_%._%' and b in ('', 'x')
    """) == []  # fmt: skip


def test_a_file_is_named_with_what_to_write_instead(tmp_path: Path):
    model = tmp_path / "models/unified/pets.sql"
    model.parent.mkdir(parents=True)
    model.write_text("select lower(name) as name from pets")
    portable = tmp_path / "macros/portable.sql"
    portable.parent.mkdir()
    portable.write_text("{% macro lower_case(x) %}lower({{ x }}){% endmacro %}")
    assert portability.problems(tmp_path) == [f"models/unified/pets.sql: lower; write {portability.RULES['lower'].instead}"]
