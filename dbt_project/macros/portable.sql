{# Where engines differ: one macro for each need, dispatched by adapter. Models use nothing engine-specific beside these.
   `x` is always the text of a SQL expression that gives text. What does not cast is null. #}

{# Trimmed; blank is null. #}
{% macro clean_text(x) %}nullif(trim({{ x }}), ''){% endmacro %}

{% macro clean_email(x) %}nullif(lower(trim({{ x }})), ''){% endmacro %}

{# acme.com of https://www.Acme.com:443/about #}
{% macro clean_domain(x) -%}
    {%- set bare = "replace(replace(lower(trim(" ~ x ~ ")), 'https://', ''), 'http://', '')" -%}
    {%- set host = "split_part(split_part(split_part(" ~ bare ~ ", '/', 1), '?', 1), ':', 1)" -%}
    nullif(case when {{ host }} like 'www.%' then substring({{ host }}, 5) else {{ host }} end, '')
{%- endmacro %}

{# The first of several texts that is not blank. #}
{% macro first_filled(texts) -%}
    coalesce({% for x in texts %}{{ clean_text(x) }}{{ ', ' if not loop.last }}{% endfor %})
{%- endmacro %}

{% macro to_decimal(x, digits, scale) %}{{ return(adapter.dispatch('to_decimal', 'cdp')(x, digits, scale)) }}{% endmacro %}
{% macro default__to_decimal(x, digits, scale) %}try_cast({{ clean_text(x) }} as decimal({{ digits }},{{ scale }})){% endmacro %}

{# '12.0' is an integer too. #}
{% macro to_integer(x) %}cast({{ to_decimal(x, 18, 0) }} as {{ dbt.type_bigint() }}){% endmacro %}

{% macro to_boolean(x) -%}
    case when lower(trim({{ x }})) in ('true', '1', 'yes') then true when lower(trim({{ x }})) in ('false', '0', 'no') then false end
{%- endmacro %}

{# ISO 8601 with any offset (none is UTC), `2015-11-18T15:25:35Z+0000` as Marketo's assets have it, or milliseconds since 1970 as HubSpot
   sometimes gives: UTC without a zone. A plain cast to timestamp would drop offsets silently on some engines. #}
{% macro to_timestamp_utc(x) -%}
    case
        when {{ x }} like '____-__-__%' then {{ iso_to_timestamp_utc("replace(trim(" ~ x ~ "), 'Z+0000', 'Z')") }}
        when length({{ x }}) between 11 and 14 then {{ milliseconds_to_timestamp(to_integer(x)) }}
    end
{%- endmacro %}

{% macro iso_to_timestamp_utc(x) %}{{ return(adapter.dispatch('iso_to_timestamp_utc', 'cdp')(x)) }}{% endmacro %}
{# Spark casts to its session's zone, which has to be UTC. #}
{% macro default__iso_to_timestamp_utc(x) %}try_cast({{ x }} as timestamp){% endmacro %}
{% macro duckdb__iso_to_timestamp_utc(x) %}(try_cast({{ x }} as timestamptz) at time zone 'UTC'){% endmacro %}

{% macro milliseconds_to_timestamp(x) %}{{ return(adapter.dispatch('milliseconds_to_timestamp', 'cdp')(x)) }}{% endmacro %}
{% macro default__milliseconds_to_timestamp(x) %}timestamp_millis({{ x }}){% endmacro %}
{% macro duckdb__milliseconds_to_timestamp(x) %}epoch_ms({{ x }}){% endmacro %}

{# The date in UTC of a date or a time. #}
{% macro to_date_utc(x) %}cast({{ to_timestamp_utc(x) }} as date){% endmacro %}

{# A named attribute of a Marketo activity: {"New Status":"Attended"} or [{"name":"New Status","value":"Attended"}]. #}
{% macro json_attribute(x, name) -%}
    {%- set before = '"' ~ name ~ '"( *, *"value")? *: *' -%}
    coalesce({{ second_group(x, before ~ '"([^"]*)"') }}, nullif({{ second_group(x, before ~ '([^", }]+)') }}, 'null'))
{%- endmacro %}

{% macro second_group(x, pattern) %}nullif(regexp_extract({{ x }}, '{{ pattern }}', 2), ''){% endmacro %}

{# The value that goes with the greatest `rank`, nulls left out; an aggregate. #}
{% macro value_at_greatest(x, rank) %}{{ return(adapter.dispatch('value_at_greatest', 'cdp')(x, rank)) }}{% endmacro %}
{% macro default__value_at_greatest(x, rank) %}max_by({{ x }}, {{ rank }}) filter (where {{ x }} is not null){% endmacro %}
{% macro duckdb__value_at_greatest(x, rank) %}arg_max({{ x }}, {{ rank }}) filter (where {{ x }} is not null){% endmacro %}

{# Text for comparing: lower case, without accents, dots and apostrophes, any other mark one blank. Letters of every script stay. #}
{% macro fold_text(x) -%}
    {%- set bare = "replace(replace(replace(lower(" ~ x ~ "), 'ß', 'ss'), '.', ''), '''', '')" -%}
    trim({{ marks_to_blanks(without_accents(bare)) }})
{%- endmacro %}

{% macro without_accents(x) %}{{ return(adapter.dispatch('without_accents', 'cdp')(x)) }}{% endmacro %}
{% macro default__without_accents(x) -%}
    translate({{ x }}, 'àáâãäåāăąçćčďèéêëēėęěğìíîïīįłñńňòóôõöøōőřśšşťùúûüūůűųýÿžźż', 'aaaaaaaaacccdeeeeeeeegiiiiiilnnnoooooooorssstuuuuuuuuyyzzz')
{%- endmacro %}
{% macro duckdb__without_accents(x) %}replace(replace(strip_accents({{ x }}), 'ø', 'o'), 'ł', 'l'){% endmacro %}

{% macro marks_to_blanks(x) %}{{ return(adapter.dispatch('marks_to_blanks', 'cdp')(x)) }}{% endmacro %}
{% macro default__marks_to_blanks(x) %}regexp_replace({{ x }}, '[^\\p{L}\\p{N}]+', ' '){% endmacro %}
{% macro duckdb__marks_to_blanks(x) %}regexp_replace({{ x }}, '[^\p{L}\p{N}]+', ' ', 'g'){% endmacro %}

{% macro without_beginning(x, word) %}regexp_replace({{ x }}, '^{{ word }} ', ''){% endmacro %}

{# Without these words at the end, each with one of the small words before it or without; what would leave nothing stays. #}
{% macro without_ending(x, words, small) %}regexp_replace({{ x }}, '(( ({{ small | join('|') }}))? ({{ words | join('|') }}))+$', ''){% endmacro %}

{# How many days lie between two dates, never negative. #}
{% macro days_apart(x, y) %}abs({{ dbt.datediff(x, y, 'day') }}){% endmacro %}
