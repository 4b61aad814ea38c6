-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    select
        links.company_key,
        records.connection,
        records.source_system,
        records.created_date,
        records.id as record_id,
        records.name as name,
        links.own_domain as domain,
        records.industry as industry,
        records.phone as phone,
        records.city as city,
        records.state as state,
        records.country as country,
        records.employees as employees,
        records.annual_revenue as annual_revenue,
        records.last_updated as last_updated,
        row_number() over (
            partition by links.company_key
            order by records.last_updated desc nulls last, records.created_date desc nulls last, records.connection, records.id
        ) as recency
    from {{ ref('company_records') }} as links
    inner join {{ ref('companies') }} as records
        on records.connection = links.connection
        and records.id = links.company_id
    where links.is_current
),

weighed as (
    select
        company_key,
        connection,
        source_system,
        created_date,
        record_id,
        recency,
        name,
        domain,
        industry,
        phone,
        city,
        state,
        country,
        employees,
        annual_revenue,
        last_updated,
        count(*) over (partition by company_key, {{ lower_case('cast(name as ' ~ dbt.type_string() ~ ')') }}) as name_times,
        count(*) over (partition by company_key, {{ lower_case('cast(domain as ' ~ dbt.type_string() ~ ')') }}) as domain_times
    from records
),

candidates as (
    select
        company_key,
        'name' as field,
        'most_frequent' as rule,
        connection,
        record_id,
        cast(name as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by company_key
            order by
                name_times desc,
                recency
        ) as place
    from weighed
    where name is not null
    union all
    select
        company_key,
        'domain' as field,
        'most_frequent' as rule,
        connection,
        record_id,
        cast(domain as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by company_key
            order by
                domain_times desc,
                recency
        ) as place
    from weighed
    where domain is not null
    union all
    select
        company_key,
        'industry' as field,
        'source_order' as rule,
        connection,
        record_id,
        cast(industry as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by company_key
            order by
                case source_system when 'salesforce' then 1 when 'hubspot' then 2 when 'marketo' then 3 end,
                recency
        ) as place
    from weighed
    where industry is not null
    union all
    select
        company_key,
        'phone' as field,
        'newest' as rule,
        connection,
        record_id,
        cast(phone as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by company_key
            order by
                recency
        ) as place
    from weighed
    where phone is not null
    union all
    select
        company_key,
        'city' as field,
        'most_complete' as rule,
        connection,
        record_id,
        coalesce(cast(city as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(state as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(country as {{ dbt.type_string() }}), '') as value,
        row_number() over (
            partition by company_key
            order by
                case when city is not null then 1 else 0 end + case when state is not null then 1 else 0 end + case when country is not null then 1 else 0 end desc,
                length(coalesce(cast(city as {{ dbt.type_string() }}), '')) + length(coalesce(cast(state as {{ dbt.type_string() }}), '')) + length(coalesce(cast(country as {{ dbt.type_string() }}), '')) desc,
                recency
        ) as place
    from weighed
    where city is not null or state is not null or country is not null
    union all
    select
        company_key,
        'state' as field,
        'most_complete' as rule,
        connection,
        record_id,
        coalesce(cast(city as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(state as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(country as {{ dbt.type_string() }}), '') as value,
        row_number() over (
            partition by company_key
            order by
                case when city is not null then 1 else 0 end + case when state is not null then 1 else 0 end + case when country is not null then 1 else 0 end desc,
                length(coalesce(cast(city as {{ dbt.type_string() }}), '')) + length(coalesce(cast(state as {{ dbt.type_string() }}), '')) + length(coalesce(cast(country as {{ dbt.type_string() }}), '')) desc,
                recency
        ) as place
    from weighed
    where city is not null or state is not null or country is not null
    union all
    select
        company_key,
        'country' as field,
        'most_complete' as rule,
        connection,
        record_id,
        coalesce(cast(city as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(state as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(country as {{ dbt.type_string() }}), '') as value,
        row_number() over (
            partition by company_key
            order by
                case when city is not null then 1 else 0 end + case when state is not null then 1 else 0 end + case when country is not null then 1 else 0 end desc,
                length(coalesce(cast(city as {{ dbt.type_string() }}), '')) + length(coalesce(cast(state as {{ dbt.type_string() }}), '')) + length(coalesce(cast(country as {{ dbt.type_string() }}), '')) desc,
                recency
        ) as place
    from weighed
    where city is not null or state is not null or country is not null
    union all
    select
        company_key,
        'employees' as field,
        'newest' as rule,
        connection,
        record_id,
        cast(employees as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by company_key
            order by
                recency
        ) as place
    from weighed
    where employees is not null
    union all
    select
        company_key,
        'annual_revenue' as field,
        'newest' as rule,
        connection,
        record_id,
        cast(annual_revenue as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by company_key
            order by
                recency
        ) as place
    from weighed
    where annual_revenue is not null
    union all
    select
        company_key,
        'created_date' as field,
        'lowest' as rule,
        connection,
        record_id,
        cast(created_date as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by company_key
            order by
                created_date,
                recency
        ) as place
    from weighed
    where created_date is not null
    union all
    select
        company_key,
        'last_updated' as field,
        'highest' as rule,
        connection,
        record_id,
        cast(last_updated as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by company_key
            order by
                last_updated desc,
                recency
        ) as place
    from weighed
    where last_updated is not null
),

judged as (
    select
        company_key,
        field,
        rule,
        connection,
        record_id,
        place,
        case when value = first_value(value) over (
            partition by company_key, field order by place rows between unbounded preceding and current row
        ) then 1 else 0 end as agrees
    from candidates
)

select
    company_key,
    field,
    max(case when place = 1 then connection end) as connection,
    max(case when place = 1 then record_id end) as id,
    rule,
    count(*) as record_count,
    count(case when agrees = 1 then 1 end) as agreeing_count,
    {{ joined_texts("case when agrees = 0 then connection || ':' || record_id end", ', ', 'place') }} as beaten
from judged
group by company_key, field, rule
