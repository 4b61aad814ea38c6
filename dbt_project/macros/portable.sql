{# Where engines differ: one macro for each need, dispatched by adapter. Models use nothing engine-specific beside these; `make check` says so.
   `x` is always the text of a SQL expression that gives text. What does not cast is null. Every engine gives what DuckDB gives: what is said
   of DuckDB here is what the others are made to do. Databricks inherits Spark's, and Redshift Postgres's where it has none of its own. #}


{# ---- Text ---- #}

{# A column of a raw table, as the models know it.
   Postgres: text sorts as its database is set up, so that the least of several ids would be another one than on DuckDB. What is made of a column
   that sorts by its characters' numbers does so too.
   Iceberg refuses to read a table with a column `_deleted`, a name that it keeps for itself: there it is landed as `_is_deleted`. #}
{% macro raw_column(table, name) %}{{ return(adapter.dispatch('raw_column', 'cdp')(table, name)) }}{% endmacro %}
{% macro default__raw_column(table, name) %}{{ table }}.{{ name }}{% endmacro %}
{% macro postgres__raw_column(table, name) %}{{ table }}.{{ name }} collate "C" as {{ name }}{% endmacro %}
{% macro redshift__raw_column(table, name) %}{{ table }}.{{ name }}{% endmacro %}
{% macro spark__raw_column(table, name) %}{{ table }}.{{ '_is_deleted as _deleted' if name == '_deleted' else name }}{% endmacro %}
{% macro databricks__raw_column(table, name) %}{{ table }}.{{ name }}{% endmacro %}

{# Without blanks at its ends; see `blanks`. #}
{% macro trimmed(x) %}{{ return(adapter.dispatch('trimmed', 'cdp')(x)) }}{% endmacro %}
{% macro default__trimmed(x) %}trim(both '{{ blanks() }}' from {{ x }}){% endmacro %}
{% macro duckdb__trimmed(x) %}trim({{ x }}){% endmacro %}
{% macro snowflake__trimmed(x) %}trim({{ x }}, '{{ blanks() }}'){% endmacro %}
{% macro bigquery__trimmed(x) %}trim({{ x }}, '{{ blanks() }}'){% endmacro %}

{# In small letters, each by itself: Java and ICU would make two letters of `İ`, and of a `Σ` what its place in the word asks for.
   Postgres knows only ASCII's letters where it sorts by numbers. #}
{% macro lower_case(x) %}{{ return(adapter.dispatch('lower_case', 'cdp')(x)) }}{% endmacro %}
{% macro default__lower_case(x) %}lower({{ x }}){% endmacro %}
{% macro spark__lower_case(x) %}lower(translate({{ x }}, 'İΣ', 'iσ')){% endmacro %}
{% macro postgres__lower_case(x) %}lower(translate({{ x }}, 'İΣ', 'iσ') collate "und-x-icu") collate "C"{% endmacro %}
{% macro redshift__lower_case(x) %}lower({{ x }}){% endmacro %}

{# Trimmed; blank is null. #}
{% macro clean_text(x) %}nullif({{ trimmed(x) }}, ''){% endmacro %}

{% macro clean_email(x) %}nullif({{ lower_case(trimmed(x)) }}, ''){% endmacro %}

{# acme.com of https://www.Acme.com:443/about #}
{% macro clean_domain(x) -%}
    {%- set bare = "replace(replace(" ~ lower_case(trimmed(x)) ~ ", 'https://', ''), 'http://', '')" -%}
    {%- set host = part_of_text(part_of_text(part_of_text(bare, '/', 1), '?', 1), ':', 1) -%}
    nullif(case when {{ host }} like 'www.%' then {{ text_from(host, 5) }} else {{ host }} end, '')
{%- endmacro %}

{# The first of several texts that is not blank. #}
{% macro first_filled(texts) -%}
    coalesce({% for x in texts %}{{ clean_text(x) }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}

{# What lies between separators, the first is 1; empty where there are fewer. #}
{% macro part_of_text(x, separator, place) %}{{ return(adapter.dispatch('part_of_text', 'cdp')(x, separator, place)) }}{% endmacro %}
{% macro default__part_of_text(x, separator, place) %}split_part({{ x }}, '{{ separator }}', {{ place }}){% endmacro %}
{% macro bigquery__part_of_text(x, separator, place) -%}
    case when {{ x }} is not null then coalesce(split({{ x }}, '{{ separator }}')[safe_ordinal({{ place }})], '') end
{%- endmacro %}

{# The rest of a text from a place on, the first is 1. #}
{% macro text_from(x, place) %}{{ return(adapter.dispatch('text_from', 'cdp')(x, place)) }}{% endmacro %}
{% macro default__text_from(x, place) %}substring({{ x }}, {{ place }}){% endmacro %}
{% macro redshift__text_from(x, place) %}substring({{ x }}, {{ place }}, 65535){% endmacro %}

{# An aggregate: the texts of a group one after the other; nulls are left out, and nothing at all is null. `order` is a column of integers. #}
{% macro joined_texts(x, separator, order) %}{{ return(adapter.dispatch('joined_texts', 'cdp')(x, separator, order)) }}{% endmacro %}
{% macro default__joined_texts(x, separator, order) %}string_agg({{ x }}, '{{ separator }}' order by {{ order }}){% endmacro %}
{% macro spark__joined_texts(x, separator, order) -%}
    {%- set pairs = "collect_list(case when " ~ x ~ " is not null then struct(" ~ order ~ " as place, " ~ x ~ " as said) end)" -%}
    nullif(array_join(transform(array_sort({{ pairs }}), pair -> pair.said), '{{ separator }}'), '')
{%- endmacro %}
{% macro snowflake__joined_texts(x, separator, order) -%}
    nullif(listagg({{ x }}, '{{ separator }}') within group (order by {{ order }}), '')
{%- endmacro %}
{% macro redshift__joined_texts(x, separator, order) %}{{ return(cdp.snowflake__joined_texts(x, separator, order)) }}{% endmacro %}

{# Text for comparing: lower case, without accents, dots and apostrophes (chr(39)), any other mark one blank. Letters of every script stay. #}
{% macro fold_text(x) -%}
    {%- set bare = "replace(replace(replace(" ~ lower_case(x) ~ ", 'ß', 'ss'), '.', ''), chr(39), '')" -%}
    {{ trimmed(marks_to_blanks(without_accents(bare))) }}
{%- endmacro %}

{# Of small letters. #}
{% macro without_accents(x) %}{{ return(adapter.dispatch('without_accents', 'cdp')(x)) }}{% endmacro %}
{% macro default__without_accents(x) -%}
    {%- set found = namespace(accented='', bare='') -%}
    {%- for bare, accented in accented_letters() -%}
        {%- set found.accented = found.accented ~ accented -%}
        {%- set found.bare = found.bare ~ bare * (accented | length) -%}
    {%- endfor -%}
    {{ without_joining_marks("translate(" ~ x ~ ", '" ~ found.accented ~ "', '" ~ found.bare ~ "')") }}
{%- endmacro %}
{% macro duckdb__without_accents(x) %}replace(replace(strip_accents({{ x }}), 'ø', 'o'), 'ł', 'l'){% endmacro %}

{% macro without_joining_marks(x) %}{{ return(adapter.dispatch('without_joining_marks', 'cdp')(x)) }}{% endmacro %}
{% macro default__without_joining_marks(x) %}regexp_replace({{ x }}, '[{{ joining_marks() }}]', ''){% endmacro %}
{% macro spark__without_joining_marks(x) %}regexp_replace({{ x }}, '\\p{M}', ''){% endmacro %}
{% macro postgres__without_joining_marks(x) %}regexp_replace({{ x }}, '[{{ joining_marks() }}]', '', 'g'){% endmacro %}
{% macro redshift__without_joining_marks(x) %}{{ return(cdp.default__without_joining_marks(x)) }}{% endmacro %}

{# What is no letter and no number: one blank for each run of it. Snowflake's and Redshift's expressions know no letters beside ASCII's, so that
   what they take for a mark is said. #}
{% macro marks_to_blanks(x) %}{{ return(adapter.dispatch('marks_to_blanks', 'cdp')(x)) }}{% endmacro %}
{% macro default__marks_to_blanks(x) %}regexp_replace({{ x }}, '[^\\p{L}\\p{N}]+', ' '){% endmacro %}
{% macro duckdb__marks_to_blanks(x) %}regexp_replace({{ x }}, '[^\p{L}\p{N}]+', ' ', 'g'){% endmacro %}
{% macro postgres__marks_to_blanks(x) -%}
    regexp_replace({{ x }} collate "und-x-icu", '[^[:alnum:]{{ other_numbers() }}]+', ' ', 'g') collate "C"
{%- endmacro %}
{% macro snowflake__marks_to_blanks(x) %}regexp_replace({{ x }}, '[[:punct:][:space:]\u00a0-\u00bf\u2000-\u206f]+', ' '){% endmacro %}
{% macro redshift__marks_to_blanks(x) %}{{ return(cdp.snowflake__marks_to_blanks(x)) }}{% endmacro %}

{% macro without_beginning(x, word) %}regexp_replace({{ x }}, '^{{ word }} ', ''){% endmacro %}

{# Without these words at the end, each with one of the small words before it or without; what would leave nothing stays. #}
{% macro without_ending(x, words, small) %}regexp_replace({{ x }}, '(( ({{ small | join('|') }}))? ({{ words | join('|') }}))+$', ''){% endmacro %}

{# A named attribute of a Marketo activity: {"New Status":"Attended"} or [{"name":"New Status","value":"Attended"}]. #}
{% macro json_attribute(x, name) -%}
    {%- set before = '"' ~ name ~ '"( *, *"value")? *: *' -%}
    coalesce({{ second_group(x, before ~ '"([^"]*)"') }}, nullif({{ second_group(x, before ~ '([^", }]+)') }}, 'null'))
{%- endmacro %}

{# What the second pair of round brackets of a regular expression finds; nothing is null. BigQuery and Redshift take one pair only. #}
{% macro second_group(x, pattern) %}nullif({{ adapter.dispatch('second_group', 'cdp')(x, pattern) }}, ''){% endmacro %}
{% macro default__second_group(x, pattern) %}regexp_extract({{ x }}, '{{ pattern }}', 2){% endmacro %}
{% macro postgres__second_group(x, pattern) %}(regexp_match({{ x }}, '{{ pattern }}'))[2]{% endmacro %}
{% macro snowflake__second_group(x, pattern) %}regexp_substr({{ x }}, '{{ pattern }}', 1, 1, 'e', 2){% endmacro %}
{% macro bigquery__second_group(x, pattern) %}regexp_extract({{ x }}, '{{ pattern | replace('(', '(?:', 1) }}'){% endmacro %}
{% macro redshift__second_group(x, pattern) %}regexp_substr({{ x }}, '{{ pattern | replace('(', '(?:', 1) }}', 1, 1, 'ep'){% endmacro %}


{# ---- Numbers and booleans ---- #}

{# BigQuery's DECIMAL has at most 29 digits before the point. #}
{% macro decimal_type(digits, scale) %}{{ return(adapter.dispatch('decimal_type', 'cdp')(digits, scale)) }}{% endmacro %}
{% macro default__decimal_type(digits, scale) %}decimal({{ digits }},{{ scale }}){% endmacro %}
{% macro bigquery__decimal_type(digits, scale) %}{{ 'bignumeric' if digits - scale > 29 else 'numeric' }}({{ digits }},{{ scale }}){% endmacro %}

{# Rounded, halves away from zero; what is too great for the digits is null. DuckDB alone takes 1_000, and 0e999 for 0. #}
{% macro to_decimal(x, digits, scale) %}{{ return(adapter.dispatch('to_decimal', 'cdp')(x, digits, scale)) }}{% endmacro %}
{% macro default__to_decimal(x, digits, scale) %}try_cast({{ clean_text(x) }} as {{ decimal_type(digits, scale) }}){% endmacro %}
{# Java takes the digits of every script. #}
{% macro spark__to_decimal(x, digits, scale) -%}
    try_cast(case when not {{ clean_text(x) }} rlike '[^-+.eE0-9\\s]' then {{ clean_text(x) }} end as {{ decimal_type(digits, scale) }})
{%- endmacro %}
{# Only from 16 on can Postgres try a cast. #}
{% macro postgres__to_decimal(x, digits, scale) -%}
    {%- set pattern = '^[[:space:]]*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?0*[0-9]{1,3})?[[:space:]]*$' -%}
    {%- set rounded = 'round(cast(' ~ clean_text(x) ~ ' as numeric), ' ~ scale ~ ')' -%}
    case when {{ clean_text(x) }} ~ '{{ pattern }}' then
        case when abs({{ rounded }}) < 1{{ '0' * (digits - scale) }} then cast({{ rounded }} as {{ decimal_type(digits, scale) }}) end
    end
{%- endmacro %}
{% macro redshift__to_decimal(x, digits, scale) %}{{ return(cdp.default__to_decimal(x, digits, scale)) }}{% endmacro %}
{% macro bigquery__to_decimal(x, digits, scale) -%}
    {%- set rounded = 'round(safe_cast(' ~ clean_text(x) ~ ' as bignumeric), ' ~ scale ~ ')' -%}
    case when abs({{ rounded }}) < cast('1{{ '0' * (digits - scale) }}' as bignumeric) then cast({{ rounded }} as {{ decimal_type(digits, scale) }}) end
{%- endmacro %}

{# '12.0' is an integer too. #}
{% macro to_integer(x) %}cast({{ to_decimal(x, 18, 0) }} as {{ dbt.type_bigint() }}){% endmacro %}

{% macro to_boolean(x) -%}
    {%- set word = lower_case(trimmed(x)) -%}
    case when {{ word }} in ('true', '1', 'yes') then true when {{ word }} in ('false', '0', 'no') then false end
{%- endmacro %}


{# ---- Times and dates ---- #}

{# ISO 8601 with any offset (none is UTC), `2015-11-18T15:25:35Z+0000` as Marketo's assets have it, or milliseconds since 1970 as HubSpot
   sometimes gives: UTC without a zone. A plain cast to timestamp would drop offsets silently on some engines. #}
{% macro to_timestamp_utc(x) -%}
    case
        when {{ x }} like '____-__-__%' then {{ iso_to_timestamp_utc("replace(" ~ trimmed(x) ~ ", 'Z+0000', 'Z')") }}
        when length({{ x }}) between 11 and 14 then {{ milliseconds_to_timestamp(to_integer(x)) }}
    end
{%- endmacro %}

{# The others take what `iso_time` says, DuckDB some forms more, such as seconds of one digit. All cut after microseconds.
   DuckDB would take names of zones too, after a blank, and then read texts without an offset in other rows as of that zone (seen in 1.5.5). #}
{% macro iso_to_timestamp_utc(x) %}{{ return(adapter.dispatch('iso_to_timestamp_utc', 'cdp')(x)) }}{% endmacro %}
{% macro duckdb__iso_to_timestamp_utc(x) -%}
    (try_cast(case when {{ x }} not like '%:% %' then {{ x }} end as timestamptz) at time zone 'UTC')
{%- endmacro %}
{# Spark casts to its session's zone, which has to be UTC (see profiles.yml). #}
{% macro spark__iso_to_timestamp_utc(x) -%}
    case when {{ x }} rlike '^[0-9]{4}-[0-9]{2}-[0-9]{2}{{ iso_time() }}$' then try_cast(regexp_replace({{ x }}, ' +', ' ') as timestamp) end
{%- endmacro %}
{# Postgres raises where the others give null, so that only what is a date of the calendar gets to the cast; it would also round. #}
{% macro postgres__iso_to_timestamp_utc(x) -%}
    {%- set leap_year = '([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)' -%}
    {%- set month_and_day = '(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])' -%}
    {%- set date = '(?!0000)([0-9]{4}-(' ~ month_and_day ~ ')|' ~ leap_year ~ '-02-29)' -%}
    {%- set cut = "regexp_replace(" ~ x ~ ", '([.][0-9]{6})[0-9]+', '\\1')" -%}
    {%- set offset = "case when length(" ~ x ~ ") = 10 then ' 00:00Z' when substring(" ~ x ~ ", 17) ~ '[-+Z]' then '' else 'Z' end" -%}
    case when {{ x }} ~ '^{{ date }}{{ iso_time() }}$' then cast({{ cut }} || {{ offset }} as timestamptz) at time zone 'UTC' end
{%- endmacro %}
{% macro snowflake__iso_to_timestamp_utc(x) -%}
    cast(convert_timezone('UTC', try_cast({{ cdp.iso_with_offset(x) }} as timestamp_tz)) as timestamp_ntz)
{%- endmacro %}
{% macro redshift__iso_to_timestamp_utc(x) %}(try_cast({{ cdp.iso_with_offset(x) }} as timestamptz) at time zone 'UTC'){% endmacro %}
{% macro bigquery__iso_to_timestamp_utc(x) %}safe_cast({{ cdp.iso_with_offset(x) }} as timestamp){% endmacro %}

{# What may follow the date: nothing, or a time, whose seconds may have a fraction and an offset. A regular expression without backslashes. #}
{% macro iso_time() -%}
    {%- set offset = '(Z|[-+](0[0-9]|1[0-5])(:?[0-5][0-9])?)' -%}
    {{ return('((T| +)([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]*)?' ~ offset ~ '?)?)?') }}
{%- endmacro %}

{# With the offset in the one form that all warehouses read, +00:00 where there is none. #}
{% macro iso_with_offset(x) -%}
    case
        when length({{ x }}) = 10 then {{ x }} || ' 00:00:00+00:00'
        when {{ x }} like '%Z' then replace({{ x }}, 'Z', '+00:00')
        when {{ text_from(x, 17) }} like '%+____' or {{ text_from(x, 17) }} like '%-____'
            then substring({{ x }}, 1, length({{ x }}) - 2) || ':' || {{ text_from(x, 'length(' ~ x ~ ') - 1') }}
        when {{ text_from(x, 17) }} like '%+%' or {{ text_from(x, 17) }} like '%-%' then {{ x }}
        else {{ x }} || '+00:00'
    end
{%- endmacro %}

{% macro milliseconds_to_timestamp(x) %}{{ return(adapter.dispatch('milliseconds_to_timestamp', 'cdp')(x)) }}{% endmacro %}
{% macro default__milliseconds_to_timestamp(x) %}timestamp_millis({{ x }}){% endmacro %}
{% macro duckdb__milliseconds_to_timestamp(x) %}epoch_ms({{ x }}){% endmacro %}
{# An interval is multiplied as a floating number, which has no room for all milliseconds. #}
{% macro postgres__milliseconds_to_timestamp(x) -%}
    (timestamp '1970-01-01 00:00:00' + {{ x }} / 1000 * interval '1 second' + {{ x }} % 1000 * interval '1 millisecond')
{%- endmacro %}
{% macro redshift__milliseconds_to_timestamp(x) %}dateadd(millisecond, {{ x }}, timestamp '1970-01-01 00:00:00'){% endmacro %}
{% macro snowflake__milliseconds_to_timestamp(x) %}cast(to_timestamp_ntz({{ x }}, 3) as timestamp_ntz){% endmacro %}

{# The date in UTC of a date or a time. #}
{% macro to_date_utc(x) %}cast({{ to_timestamp_utc(x) }} as date){% endmacro %}

{# How many days lie between two dates, never negative; null where one is. dbt's own macros for Spark raise at a null. #}
{% macro days_apart(x, y) %}abs({{ adapter.dispatch('days_between', 'cdp')(x, y) }}){% endmacro %}
{% macro default__days_between(x, y) %}{{ dbt.datediff(x, y, 'day') }}{% endmacro %}
{% macro spark__days_between(x, y) %}datediff({{ y }}, {{ x }}){% endmacro %}

{# A date so many days later. #}
{% macro days_later(x, days) %}{{ return(adapter.dispatch('days_later', 'cdp')(x, days)) }}{% endmacro %}
{% macro default__days_later(x, days) %}cast({{ dbt.dateadd('day', days, x) }} as date){% endmacro %}
{% macro spark__days_later(x, days) %}date_add({{ x }}, {{ days }}){% endmacro %}


{# ---- Tables ---- #}

{# A view over another relation of its schema. Postgres cannot replace a view whose columns are others now. #}
{% macro view_over(relation, name, columns) %}{{ return(adapter.dispatch('view_over', 'cdp')(relation, name, columns)) }}{% endmacro %}
{% macro default__view_over(relation, name, columns) -%}
create or replace view {{ relation.schema }}.{{ name }} as
select {{ columns | join(', ') }}
from {{ relation.schema }}.{{ relation.identifier }}
{%- endmacro %}
{% macro postgres__view_over(relation, name, columns) -%}
drop view if exists {{ relation.schema }}.{{ name }};
{{ cdp.default__view_over(relation, name, columns) }}
{%- endmacro %}

{# The columns of a table with a contract are declared, and have to sort as said for `raw_column`. #}
{% macro postgres__get_table_columns_and_constraints() -%}
    {{ return(modules.re.sub('(?im) text(?=,?\\s*$)', ' text collate "C"', table_columns_and_constraints() | string)) }}
{%- endmacro %}
{% macro redshift__get_table_columns_and_constraints() %}{{ return(table_columns_and_constraints()) }}{% endmacro %}
