{# Staging reads raw through these alone, so that raw may be merged or append-only.
   A version is newer by `_synced_at`, then by `_dlt_load_id`. Bookkeeping columns always come along. Every column is named with its table,
   since a vendor's name may be a word that an engine keeps for itself (`timestamp`). #}

{% macro latest(relation, key, columns) -%}
    {%- set wanted = ['connection', '_synced_at', '_deleted', '_merged_into'] + columns -%}
select {% for name in wanted %}versions.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
from (
    select {% for name in wanted %}{{ raw_column('given', name) }}, {% endfor %}
        row_number() over (
            partition by given.connection{% for name in key %}, given.{{ name }}{% endfor %}
            order by given._synced_at desc nulls last, given._dlt_load_id desc nulls last
        ) as version
    from {{ relation }} as given
) as versions
where versions.version = 1
{%- endmacro %}

{# For tables whose rows are replaced together (all associations of a record): the rows of its newest read; all rows of a run have one time. #}
{% macro latest_set(relation, key, replaced_by, columns) -%}
    {%- set wanted = ['connection', '_synced_at', '_deleted', '_merged_into'] + columns -%}
select {% for name in wanted %}versions.{{ name }}{{ ', ' if not loop.last }}{% endfor %}
from (
    select {% for name in wanted %}{{ raw_column('given', name) }}, {% endfor %}
        rank() over (
            partition by given.connection{% for name in replaced_by %}, given.{{ name }}{% endfor %}
            order by given._synced_at desc nulls last
        ) as set_version,
        row_number() over (
            partition by given.connection{% for name in key %}, given.{{ name }}{% endfor %}
            order by given._synced_at desc nulls last, given._dlt_load_id desc nulls last
        ) as version
    from {{ relation }} as given
) as versions
where versions.set_version = 1 and versions.version = 1
{%- endmacro %}
