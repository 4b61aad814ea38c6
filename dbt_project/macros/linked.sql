{# Groups of what is linked, without recursion: common table expressions `<name>_0` to `<name>_<steps>`, the last of which has for each record the
   least label that can be reached in so many steps. #}

{# `nodes` has (record, label); `links` has (left_record, right_record), each link in both directions. #}
{% macro reach_by_links(name, nodes, links, steps=4) -%}
{{ name }}_0 as (
    select record, label from {{ nodes }}
)
{%- for step in range(1, steps + 1) %},

{{ name }}_{{ step }} as (
    select record, min(label) as label
    from (
        select record, label from {{ name }}_{{ step - 1 }}
        union all
        select
            {{ links }}.right_record as record,
            reached.label
        from {{ links }}
        inner join {{ name }}_{{ step - 1 }} as reached on reached.record = {{ links }}.left_record
    ) as both_ends
    group by record
)
{%- endfor %}
{%- endmacro %}

{# `holders` has (record, link_key): records with one key belong together. A record's first label is its own name. #}
{% macro reach_by_keys(name, holders, steps=4) -%}
{{ name }}_0 as (
    select distinct record, record as label from {{ holders }}
)
{%- for step in range(1, steps + 1) %},

{{ name }}_{{ step }}_keys as (
    select
        {{ holders }}.link_key,
        min(reached.label) as label
    from {{ holders }}
    inner join {{ name }}_{{ step - 1 }} as reached on reached.record = {{ holders }}.record
    group by {{ holders }}.link_key
),

{{ name }}_{{ step }} as (
    select
        {{ holders }}.record,
        min(reached.label) as label
    from {{ holders }}
    inner join {{ name }}_{{ step }}_keys as reached on reached.link_key = {{ holders }}.link_key
    group by {{ holders }}.record
)
{%- endfor %}
{%- endmacro %}

{# The rows that the last run left in this table, and no row before the first run; `columns` are texts. #}
{% macro rows_before(columns) -%}
{#- `dbt compile --no-introspect` asks no database. -#}
{%- set before = load_relation(this) if execute and flags.INTROSPECT -%}
{%- if before -%}
{%- set there = adapter.get_columns_in_relation(before) | map(attribute='name') | map('lower') | list -%}
select
    {%- for column in columns %}
    {{ column if column in there else 'cast(null as ' ~ dbt.type_string() ~ ') as ' ~ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ before }}
{%- else -%}
select
    {%- for column in columns %}
    cast(null as {{ dbt.type_string() }}) as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from (select 1 as nothing) as nothing
where 1 = 0
{%- endif -%}
{%- endmacro %}

{# A second name for a table, in its own schema. #}
{% macro second_name(relation, name) -%}
{{ view_over(relation, name, adapter.get_columns_in_relation(relation) | map(attribute='name') | list) }}
{%- endmacro %}
