{# Staging reads raw through these alone, so that raw may be merged or append-only.
   A version is newer by `_synced_at`, then by `_dlt_load_id`. Bookkeeping columns always come along. #}

{% macro latest(relation, key, columns) -%}
    {%- set wanted = ['connection', '_synced_at', '_deleted', '_merged_into'] + columns -%}
select {{ wanted | join(', ') }}
from (
    select {% for name in wanted %}{{ raw_column(name) }}, {% endfor %}
        row_number() over (
            partition by connection, {{ key | join(', ') }} order by _synced_at desc nulls last, _dlt_load_id desc nulls last
        ) as version
    from {{ relation }}
) as versions
where version = 1
{%- endmacro %}

{# For tables whose rows are replaced together (all associations of a record): the rows of its newest read; all rows of a run have one time. #}
{% macro latest_set(relation, key, replaced_by, columns) -%}
    {%- set wanted = ['connection', '_synced_at', '_deleted', '_merged_into'] + columns -%}
select {{ wanted | join(', ') }}
from (
    select {% for name in wanted %}{{ raw_column(name) }}, {% endfor %}
        rank() over (partition by connection, {{ replaced_by | join(', ') }} order by _synced_at desc nulls last) as set_version,
        row_number() over (
            partition by connection, {{ key | join(', ') }} order by _synced_at desc nulls last, _dlt_load_id desc nulls last
        ) as version
    from {{ relation }}
) as versions
where set_version = 1 and version = 1
{%- endmacro %}
