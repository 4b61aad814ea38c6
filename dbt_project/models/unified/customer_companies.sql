-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
{{ config(post_hook='{{ second_name(this, "companies") }}') }}

with known as (
    select distinct company_key
    from {{ ref('company_records') }}
),

speaking as (
    select
        links.company_key,
        count(*) as record_count,
        {{ source_systems() }} as source_systems
    from {{ ref('company_records') }} as links
    where links.is_current
    group by links.company_key
),

bests as (
    select
        winners.company_key,
        max(case when winners.field = 'name' then records.name end) as name,
        max(case when winners.field = 'domain' then links.own_domain end) as domain,
        max(case when winners.field = 'industry' then records.industry end) as industry,
        max(case when winners.field = 'phone' then records.phone end) as phone,
        max(case when winners.field = 'city' then records.city end) as city,
        max(case when winners.field = 'state' then records.state end) as state,
        max(case when winners.field = 'country' then records.country end) as country,
        max(case when winners.field = 'employees' then records.employees end) as employees,
        cast(max(case when winners.field = 'annual_revenue' then records.annual_revenue end) as {{ decimal_type(18, 2) }}) as annual_revenue,
        max(case when winners.field = 'created_date' then records.created_date end) as created_date,
        max(case when winners.field = 'last_updated' then records.last_updated end) as last_updated
    from {{ ref('company_provenance') }} as winners
    inner join {{ ref('companies') }} as records
        on records.connection = winners.connection
        and records.id = winners.id
    inner join {{ ref('company_records') }} as links
        on links.connection = records.connection
        and links.company_id = records.id
    group by winners.company_key
)

select
    known.company_key,
    bests.name,
    bests.domain,
    bests.industry,
    bests.phone,
    bests.city,
    bests.state,
    bests.country,
    bests.employees,
    bests.annual_revenue,
    bests.created_date,
    bests.last_updated,
    coalesce(speaking.record_count, 0) as record_count,
    speaking.source_systems,
    case when totals.company_key is null then 0 else totals.customer_count end as customer_count,
    case when totals.company_key is null then 0 else totals.open_opportunities end as open_opportunities,
    cast(case when totals.company_key is null then 0 else totals.open_value end as {{ decimal_type(38, 2) }}) as open_value,
    case when totals.company_key is null then 0 else totals.won_opportunities end as won_opportunities,
    cast(case when totals.company_key is null then 0 else totals.won_value end as {{ decimal_type(38, 2) }}) as won_value,
    totals.currency,
    case when totals.company_key is null then 0 else totals.currency_count end as currency_count,
    totals.last_activity,
    speaking.company_key is null as is_deleted
from known
left join bests on bests.company_key = known.company_key
left join speaking on speaking.company_key = known.company_key
left join {{ ref('company_totals') }} as totals on totals.company_key = known.company_key
