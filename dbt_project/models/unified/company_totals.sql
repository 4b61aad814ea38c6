-- For each company that has a customer or a deal: what customer_companies.sql shows of it.
{{ config(materialized='ephemeral') }}

with deals as (
    {{ counted_deals(ref('company_opportunities'), 'company_key') }}
),

deal_totals as (
    {{ deal_totals('deals', ref('company_values'), 'company_key') }}
),

people as (
    select company_key, count(*) as customer_count, max(last_activity) as last_activity
    from {{ ref('customers') }}
    where company_key is not null and not is_deleted
    group by company_key
),

deal_acts as (
    select taken.company_key, max(coalesce(opportunities.last_updated, opportunities.created_date)) as last_activity
    from {{ ref('company_opportunities') }} as taken
    inner join {{ ref('opportunity_links') }} as deals on deals.deal_key = taken.deal_key
    inner join {{ ref('opportunities') }} as opportunities
        on opportunities.connection = deals.connection
        and opportunities.id = deals.opportunity_id
    where not opportunities.is_deleted
    group by taken.company_key
),

known as (
    select company_key, sum(customer_count) as customer_count, max(last_activity) as last_activity
    from (
        select company_key, customer_count, last_activity from people
        union all
        select company_key, 0 as customer_count, last_activity from deal_acts
    ) as both_kinds
    group by company_key
)

select
    known.company_key,
    cast(known.customer_count as {{ dbt.type_bigint() }}) as customer_count,
    coalesce(deal_totals.open_opportunities, 0) as open_opportunities,
    cast(case when deal_totals.company_key is null then 0 else deal_totals.open_value end as {{ decimal_type(38, 2) }}) as open_value,
    coalesce(deal_totals.won_opportunities, 0) as won_opportunities,
    cast(case when deal_totals.company_key is null then 0 else deal_totals.won_value end as {{ decimal_type(38, 2) }}) as won_value,
    deal_totals.currency,
    coalesce(deal_totals.currency_count, 0) as currency_count,
    known.last_activity
from known
left join deal_totals on deal_totals.company_key = known.company_key
