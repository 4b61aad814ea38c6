{# 'hubspot, salesforce': the CRMs among the rows of a group, in order of the alphabet. #}
{% macro source_systems() -%}
    {%- set named -%}
        {%- for kind in ['hubspot', 'marketo', 'salesforce'] %}
            max(case when source_system = '{{ kind }}' then ', {{ kind }}' else '' end){{ ' ||' if not loop.last }}
        {%- endfor %}
    {%- endset -%}
    {{ text_from(named, 3) }}
{%- endmacro %}

{# Deals by the key of who has them: `deals` has (key, deal_key, is_open, is_won, value, currency), each deal of a key once. #}

{# For each currency, those that have a value. #}
{% macro values_by_currency(deals, key) -%}
select
    {{ key }},
    currency,
    count(case when is_open then 1 end) as open_opportunities,
    cast(sum(case when is_open then value else 0 end) as {{ decimal_type(38, 2) }}) as open_value,
    count(case when is_won then 1 end) as won_opportunities,
    cast(sum(case when is_won then value else 0 end) as {{ decimal_type(38, 2) }}) as won_value
from {{ deals }}
where value is not null and (is_open or is_won)
group by {{ key }}, currency
{%- endmacro %}

{# All of them; a value only where it is of one currency, since those of several cannot be added. #}
{% macro deal_totals(deals, by_currency, key) -%}
select
    counts.{{ key }},
    counts.open_opportunities,
    counts.won_opportunities,
    coalesce(sums.currency_count, 0) as currency_count,
    case when coalesce(sums.open_currencies, 0) <= 1 then coalesce(sums.open_value, 0) end as open_value,
    case when coalesce(sums.won_currencies, 0) <= 1 then coalesce(sums.won_value, 0) end as won_value,
    case when sums.currency_count = 1 then sums.currency end as currency
from (
    select
        {{ key }},
        count(case when is_open then 1 end) as open_opportunities,
        count(case when is_won then 1 end) as won_opportunities
    from {{ deals }}
    group by {{ key }}
) as counts
left join (
    select
        {{ key }},
        count(*) as currency_count,
        count(case when open_opportunities > 0 then 1 end) as open_currencies,
        count(case when won_opportunities > 0 then 1 end) as won_currencies,
        max(currency) as currency,
        cast(sum(open_value) as {{ decimal_type(38, 2) }}) as open_value,
        cast(sum(won_value) as {{ decimal_type(38, 2) }}) as won_value
    from {{ by_currency }}
    group by {{ key }}
) as sums
    on sums.{{ key }} = counts.{{ key }}
{%- endmacro %}

{# The deals of `taken` (key, deal_key, connection, opportunity_id), as the macros above want them. #}
{% macro counted_deals(taken, key) -%}
select
    taken.{{ key }},
    taken.deal_key,
    not coalesce(opportunities.is_closed, false) as is_open,
    coalesce(opportunities.is_won, false) as is_won,
    opportunities.value,
    opportunities.currency
from {{ taken }} as taken
inner join {{ ref('opportunities') }} as opportunities
    on opportunities.connection = taken.connection
    and opportunities.id = taken.opportunity_id
{%- endmacro %}

{# Which contacts have a part in which opportunity: (connection, opportunity_id, contact_id). #}
{% macro parts_in_deals() -%}
select connection, opportunity_id, contact_id from {{ ref('opportunity_contacts') }} where not is_deleted
union all
select connection, id as opportunity_id, contact_id from {{ ref('opportunities') }}
{%- endmacro %}
