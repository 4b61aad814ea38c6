{# 'hubspot, salesforce': the CRMs among the rows of a group, in order of the alphabet. #}
{% macro source_systems() -%}
    substring(
        {%- for kind in ['hubspot', 'marketo', 'salesforce'] %}
        max(case when source_system = '{{ kind }}' then ', {{ kind }}' else '' end){{ ' ||' if not loop.last }}
        {%- endfor %},
        3
    )
{%- endmacro %}

{# Open and won opportunities of a group: how many, and their value in each one's own currency, not converted. #}
{% macro opportunity_totals() -%}
        count(case when not coalesce(opportunities.is_closed, false) then 1 end) as open_opportunities,
        cast(sum(case when not coalesce(opportunities.is_closed, false) then opportunities.value end) as decimal(38,2)) as open_value,
        count(case when opportunities.is_won then 1 end) as won_opportunities,
        cast(sum(case when opportunities.is_won then opportunities.value end) as decimal(38,2)) as won_value
{%- endmacro %}
