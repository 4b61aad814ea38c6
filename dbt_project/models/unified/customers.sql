-- One row for each person: the newest value that any current record has, and what they are worth.
with records as (
    select
        links.customer_key,
        links.is_current,
        contacts.connection,
        contacts.source_system,
        contacts.email,
        contacts.first_name,
        contacts.last_name,
        contacts.phone,
        contacts.mobile_phone,
        contacts.company,
        contacts.title,
        contacts.city,
        contacts.state,
        contacts.country,
        contacts.lifecycle_stage,
        contacts.acquisition_source,
        contacts.lead_score,
        contacts.do_not_email,
        contacts.created_date,
        contacts.last_updated,
        companies.company_key,
        row_number() over (
            partition by links.customer_key, links.is_current
            order by contacts.last_updated nulls first, contacts.created_date nulls first, contacts.connection, contacts.customer_id
        ) as recency
    from {{ source('identity', 'customer_contacts') }} as links
    inner join {{ ref('contacts') }} as contacts
        on contacts.connection = links.connection
        and contacts.customer_id = links.customer_id
    left join {{ ref('company_records') }} as companies
        on companies.connection = contacts.connection
        and companies.company_id = contacts.company_id
),

people as (
    select customer_key, min(case when is_current then 0 else 1 end) = 1 as is_deleted
    from records
    group by customer_key
),

bests as (
    select
        customer_key,
        {% for field in [
            'email', 'first_name', 'last_name', 'phone', 'mobile_phone', 'company', 'title', 'city', 'state', 'country', 'lifecycle_stage',
            'acquisition_source', 'company_key'
        ] -%}
        {{ value_at_greatest(field, 'recency') }} as {{ field }},
        {% endfor -%}
        max(lead_score) as lead_score,
        max(case when do_not_email then 1 else 0 end) = 1 as do_not_email,
        count(*) as contact_count,
        {{ source_systems() }} as source_systems,
        min(created_date) as created_date,
        max(last_updated) as last_updated
    from records
    where is_current
    group by customer_key
),

deals as (
    select
        takers.customer_key,
        {{ opportunity_totals() }}
    from (
        select distinct links.customer_key, parts.connection, parts.opportunity_id
        from (
            select connection, opportunity_id, contact_id from {{ ref('opportunity_contacts') }} where not is_deleted
            union all
            select connection, id as opportunity_id, contact_id from {{ ref('opportunities') }}
        ) as parts
        inner join {{ source('identity', 'customer_contacts') }} as links
            on links.connection = parts.connection
            and links.customer_id = parts.contact_id
    ) as takers
    inner join {{ ref('opportunities') }} as opportunities
        on opportunities.connection = takers.connection
        and opportunities.id = takers.opportunity_id
    where not opportunities.is_deleted
    group by takers.customer_key
)

select
    people.customer_key,
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
    coalesce(bests.do_not_email, false) as do_not_email,
    bests.company_key,
    coalesce(bests.contact_count, 0) as contact_count,
    bests.source_systems,
    coalesce(deals.open_opportunities, 0) as open_opportunities,
    coalesce(deals.open_value, 0) as open_value,
    coalesce(deals.won_opportunities, 0) as won_opportunities,
    coalesce(deals.won_value, 0) as won_value,
    bests.created_date,
    bests.last_updated,
    people.is_deleted
from people
left join bests on bests.customer_key = people.customer_key
left join deals on deals.customer_key = people.customer_key
