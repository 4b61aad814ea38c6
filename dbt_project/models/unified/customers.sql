-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with known as (
    select distinct customer_key
    from {{ source('identity', 'customer_contacts') }}
),

speaking as (
    select
        links.customer_key,
        count(*) as contact_count,
        {{ source_systems() }} as source_systems
    from {{ source('identity', 'customer_contacts') }} as links
    where links.is_current
    group by links.customer_key
),

bests as (
    select
        winners.customer_key,
        max(case when winners.field = 'email' then records.email end) as email,
        max(case when winners.field = 'first_name' then records.first_name end) as first_name,
        max(case when winners.field = 'last_name' then records.last_name end) as last_name,
        max(case when winners.field = 'phone' then records.phone end) as phone,
        max(case when winners.field = 'mobile_phone' then records.mobile_phone end) as mobile_phone,
        max(case when winners.field = 'company' then records.company end) as company,
        max(case when winners.field = 'title' then records.title end) as title,
        max(case when winners.field = 'city' then records.city end) as city,
        max(case when winners.field = 'state' then records.state end) as state,
        max(case when winners.field = 'country' then records.country end) as country,
        max(case when winners.field = 'lifecycle_stage' then records.lifecycle_stage end) as lifecycle_stage,
        max(case when winners.field = 'acquisition_source' then records.acquisition_source end) as acquisition_source,
        cast(max(case when winners.field = 'lead_score' then records.lead_score end) as {{ decimal_type(9, 2) }}) as lead_score,
        max(case when winners.field = 'do_not_email' then case when records.do_not_email then 1 else 0 end end) as do_not_email,
        max(case when winners.field = 'company_key' then employer.company_key end) as company_key,
        max(case when winners.field = 'created_date' then records.created_date end) as created_date,
        max(case when winners.field = 'last_updated' then records.last_updated end) as last_updated
    from {{ ref('customer_provenance') }} as winners
    inner join {{ ref('contacts') }} as records
        on records.connection = winners.connection
        and records.customer_id = winners.customer_id
    left join {{ ref('company_records') }} as employer
        on employer.connection = records.connection
        and employer.company_id = records.company_id
    group by winners.customer_key
)

select
    known.customer_key,
    bests.email,
    bests.first_name,
    bests.last_name,
    bests.phone,
    bests.mobile_phone,
    bests.company,
    bests.title,
    bests.city,
    bests.state,
    bests.country,
    bests.lifecycle_stage,
    bests.acquisition_source,
    bests.lead_score,
    coalesce(bests.do_not_email = 1, false) as do_not_email,
    bests.company_key,
    bests.created_date,
    bests.last_updated,
    coalesce(speaking.contact_count, 0) as contact_count,
    speaking.source_systems,
    case when totals.customer_key is null then 0 else totals.open_opportunities end as open_opportunities,
    cast(case when totals.customer_key is null then 0 else totals.open_value end as {{ decimal_type(38, 2) }}) as open_value,
    case when totals.customer_key is null then 0 else totals.won_opportunities end as won_opportunities,
    cast(case when totals.customer_key is null then 0 else totals.won_value end as {{ decimal_type(38, 2) }}) as won_value,
    totals.currency,
    case when totals.customer_key is null then 0 else totals.currency_count end as currency_count,
    totals.last_activity,
    speaking.customer_key is null as is_deleted
from known
left join bests on bests.customer_key = known.customer_key
left join speaking on speaking.customer_key = known.customer_key
left join {{ ref('customer_totals') }} as totals on totals.customer_key = known.customer_key
