-- For each customer who has a deal or did something: what customers.sql shows of it.
{{ config(materialized='ephemeral') }}

with deals as (
    {{ counted_deals(ref('customer_opportunities'), 'customer_key') }}
),

deal_totals as (
    {{ deal_totals('deals', ref('customer_values'), 'customer_key') }}
),

-- What somebody did or decided. That a record was changed says nothing of its person.
acts as (
    select links.customer_key, max(seen.happened_at) as last_activity
    from (
        select connection, contact_id, coalesce(last_updated, created_date) as happened_at from {{ ref('campaign_members') }} where not is_deleted
        union all
        select connection, contact_id, changed_at as happened_at from {{ ref('lifecycle_stage_changes') }} where not is_deleted
    ) as seen
    inner join {{ source('identity', 'customer_contacts') }} as links
        on links.connection = seen.connection
        and links.customer_id = seen.contact_id
    where seen.happened_at is not null
    group by links.customer_key
),

deal_acts as (
    select taken.customer_key, max(coalesce(opportunities.last_updated, opportunities.created_date)) as last_activity
    from {{ ref('customer_opportunities') }} as taken
    inner join {{ ref('opportunity_links') }} as deals on deals.deal_key = taken.deal_key
    inner join {{ ref('opportunities') }} as opportunities
        on opportunities.connection = deals.connection
        and opportunities.id = deals.opportunity_id
    where not opportunities.is_deleted
    group by taken.customer_key
),

active as (
    select customer_key, max(last_activity) as last_activity
    from (
        select customer_key, last_activity from acts
        union all
        select customer_key, last_activity from deal_acts
    ) as all_acts
    group by customer_key
)

select
    active.customer_key,
    coalesce(deal_totals.open_opportunities, 0) as open_opportunities,
    cast(case when deal_totals.customer_key is null then 0 else deal_totals.open_value end as {{ decimal_type(38, 2) }}) as open_value,
    coalesce(deal_totals.won_opportunities, 0) as won_opportunities,
    cast(case when deal_totals.customer_key is null then 0 else deal_totals.won_value end as {{ decimal_type(38, 2) }}) as won_value,
    deal_totals.currency,
    coalesce(deal_totals.currency_count, 0) as currency_count,
    active.last_activity
from active
left join deal_totals on deal_totals.customer_key = active.customer_key
