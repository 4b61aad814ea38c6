{# Where each record ends that moved (connection, id, goes_to): merges of merges are followed five deep. Recursion is not portable. #}
{% macro follow_moves(moves, hops=5) -%}
select
        hop1.connection,
        hop1.id,
        coalesce({% for n in range(hops, 0, -1) %}hop{{ n }}.goes_to{{ ', ' if not loop.last }}{% endfor %}) as survivor_id
    from {{ moves }} as hop1
    {%- for n in range(2, hops + 1) %}
    left join {{ moves }} as hop{{ n }}
        on hop{{ n }}.connection = hop1.connection
        and hop{{ n }}.id = hop{{ n - 1 }}.goes_to
    {%- endfor %}
{%- endmacro %}
