-- One row for each company: the newest value that any current record has, its customers and its deals.
with records as (
    select
        links.company_key,
        links.is_current,
        companies.connection,
        companies.source_system,
        companies.name,
        companies.domain,
        companies.industry,
        companies.phone,
        companies.city,
        companies.state,
        companies.country,
        companies.employees,
        companies.annual_revenue,
        companies.created_date,
        companies.last_updated,
        row_number() over (
            partition by links.company_key, links.is_current
            order by companies.last_updated nulls first, companies.created_date nulls first, companies.connection, companies.id
        ) as recency
    from {{ ref('company_records') }} as links
    inner join {{ ref('companies') }} as companies
        on companies.connection = links.connection
        and companies.id = links.company_id
),

known as (
    select company_key, min(case when is_current then 0 else 1 end) = 1 as is_deleted
    from records
    group by company_key
),

bests as (
    select
        company_key,
        {% for field in [
            'name', 'domain', 'industry', 'phone', 'city', 'state', 'country', 'employees', 'annual_revenue'
        ] -%}
        {{ value_at_greatest(field, 'recency') }} as {{ field }},
        {% endfor -%}
        count(*) as record_count,
        {{ source_systems() }} as source_systems,
        min(created_date) as created_date,
        max(last_updated) as last_updated
    from records
    where is_current
    group by company_key
),

people as (
    select company_key, count(*) as customer_count
    from {{ ref('customers') }}
    where not is_deleted
    group by company_key
),

deals as (
    select
        links.company_key,
        {{ opportunity_totals() }}
    from {{ ref('opportunities') }} as opportunities
    inner join {{ ref('company_records') }} as links
        on links.connection = opportunities.connection
        and links.company_id = opportunities.company_id
    where not opportunities.is_deleted
    group by links.company_key
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
    coalesce(bests.record_count, 0) as record_count,
    bests.source_systems,
    coalesce(people.customer_count, 0) as customer_count,
    coalesce(deals.open_opportunities, 0) as open_opportunities,
    coalesce(deals.open_value, 0) as open_value,
    coalesce(deals.won_opportunities, 0) as won_opportunities,
    coalesce(deals.won_value, 0) as won_value,
    bests.created_date,
    bests.last_updated,
    known.is_deleted
from known
left join bests on bests.company_key = known.company_key
left join people on people.company_key = known.company_key
left join deals on deals.company_key = known.company_key
