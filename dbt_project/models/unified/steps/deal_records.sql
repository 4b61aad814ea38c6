-- Opportunities that are not deleted, as they are compared.
{%- set crm_order = ['salesforce', 'hubspot', 'marketo'] %}

select
    connection || ':' || id as record,
    connection,
    source_system,
    id,
    {{ fold_text('name') }} as name,
    case when value <> 0 then value end as value,
    currency,
    close_date,
    coalesce(is_closed, false) as is_closed,
    coalesce(is_won, false) as is_won,
    case source_system
        {%- for kind in crm_order %}
        when '{{ kind }}' then '{{ loop.index }}'
        {%- endfor %}
    end || ':' || connection || ':' || id as label,
    case
        when source_system = 'salesforce' then substring(id, 1, 15)
        when salesforce_id like '006%' and length(salesforce_id) in (15, 18) then substring(salesforce_id, 1, 15)
    end as salesforce_key
from {{ ref('opportunities') }}
where not is_deleted
