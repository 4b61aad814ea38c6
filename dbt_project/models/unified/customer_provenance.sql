-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    select
        links.customer_key,
        records.connection,
        records.source_system,
        records.created_date,
        records.customer_id as record_id,
        records.email as email,
        records.first_name as first_name,
        records.last_name as last_name,
        records.phone as phone,
        records.mobile_phone as mobile_phone,
        records.company as company,
        records.title as title,
        records.city as city,
        records.state as state,
        records.country as country,
        records.lifecycle_stage as lifecycle_stage,
        records.acquisition_source as acquisition_source,
        records.lead_score as lead_score,
        records.do_not_email as do_not_email,
        employer.company_key as company_key,
        records.last_updated as last_updated,
        row_number() over (
            partition by links.customer_key
            order by records.last_updated desc nulls last, records.created_date desc nulls last, records.connection, records.customer_id
        ) as recency
    from {{ source('identity', 'customer_contacts') }} as links
    inner join {{ ref('contacts') }} as records
        on records.connection = links.connection
        and records.customer_id = links.customer_id
    left join {{ ref('company_records') }} as employer
        on employer.connection = records.connection
        and employer.company_id = records.company_id
    where links.is_current
),

weighed as (
    select
        customer_key,
        connection,
        source_system,
        created_date,
        record_id,
        recency,
        email,
        first_name,
        last_name,
        phone,
        mobile_phone,
        company,
        title,
        city,
        state,
        country,
        lifecycle_stage,
        acquisition_source,
        lead_score,
        do_not_email,
        company_key,
        last_updated,
        count(*) over (partition by customer_key, {{ lower_case('cast(first_name as ' ~ dbt.type_string() ~ ')') }}) as first_name_times,
        count(*) over (partition by customer_key, {{ lower_case('cast(last_name as ' ~ dbt.type_string() ~ ')') }}) as last_name_times
    from records
),

candidates as (
    select
        customer_key,
        'email' as field,
        'newest' as rule,
        connection,
        record_id,
        cast(email as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                recency
        ) as place
    from weighed
    where email is not null
    union all
    select
        customer_key,
        'first_name' as field,
        'most_frequent' as rule,
        connection,
        record_id,
        cast(first_name as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                first_name_times desc,
                recency
        ) as place
    from weighed
    where first_name is not null
    union all
    select
        customer_key,
        'last_name' as field,
        'most_frequent' as rule,
        connection,
        record_id,
        cast(last_name as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                last_name_times desc,
                recency
        ) as place
    from weighed
    where last_name is not null
    union all
    select
        customer_key,
        'phone' as field,
        'newest' as rule,
        connection,
        record_id,
        cast(phone as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                recency
        ) as place
    from weighed
    where phone is not null
    union all
    select
        customer_key,
        'mobile_phone' as field,
        'newest' as rule,
        connection,
        record_id,
        cast(mobile_phone as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                recency
        ) as place
    from weighed
    where mobile_phone is not null
    union all
    select
        customer_key,
        'company' as field,
        'newest' as rule,
        connection,
        record_id,
        cast(company as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                recency
        ) as place
    from weighed
    where company is not null
    union all
    select
        customer_key,
        'title' as field,
        'newest' as rule,
        connection,
        record_id,
        cast(title as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                recency
        ) as place
    from weighed
    where title is not null
    union all
    select
        customer_key,
        'city' as field,
        'most_complete' as rule,
        connection,
        record_id,
        coalesce(cast(city as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(state as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(country as {{ dbt.type_string() }}), '') as value,
        row_number() over (
            partition by customer_key
            order by
                case when city is not null then 1 else 0 end + case when state is not null then 1 else 0 end + case when country is not null then 1 else 0 end desc,
                length(coalesce(cast(city as {{ dbt.type_string() }}), '')) + length(coalesce(cast(state as {{ dbt.type_string() }}), '')) + length(coalesce(cast(country as {{ dbt.type_string() }}), '')) desc,
                recency
        ) as place
    from weighed
    where city is not null or state is not null or country is not null
    union all
    select
        customer_key,
        'state' as field,
        'most_complete' as rule,
        connection,
        record_id,
        coalesce(cast(city as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(state as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(country as {{ dbt.type_string() }}), '') as value,
        row_number() over (
            partition by customer_key
            order by
                case when city is not null then 1 else 0 end + case when state is not null then 1 else 0 end + case when country is not null then 1 else 0 end desc,
                length(coalesce(cast(city as {{ dbt.type_string() }}), '')) + length(coalesce(cast(state as {{ dbt.type_string() }}), '')) + length(coalesce(cast(country as {{ dbt.type_string() }}), '')) desc,
                recency
        ) as place
    from weighed
    where city is not null or state is not null or country is not null
    union all
    select
        customer_key,
        'country' as field,
        'most_complete' as rule,
        connection,
        record_id,
        coalesce(cast(city as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(state as {{ dbt.type_string() }}), '') || '|' || coalesce(cast(country as {{ dbt.type_string() }}), '') as value,
        row_number() over (
            partition by customer_key
            order by
                case when city is not null then 1 else 0 end + case when state is not null then 1 else 0 end + case when country is not null then 1 else 0 end desc,
                length(coalesce(cast(city as {{ dbt.type_string() }}), '')) + length(coalesce(cast(state as {{ dbt.type_string() }}), '')) + length(coalesce(cast(country as {{ dbt.type_string() }}), '')) desc,
                recency
        ) as place
    from weighed
    where city is not null or state is not null or country is not null
    union all
    select
        customer_key,
        'lifecycle_stage' as field,
        'source_order' as rule,
        connection,
        record_id,
        cast(lifecycle_stage as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                case source_system when 'hubspot' then 1 when 'salesforce' then 2 when 'marketo' then 3 end,
                recency
        ) as place
    from weighed
    where lifecycle_stage is not null
    union all
    select
        customer_key,
        'acquisition_source' as field,
        'oldest' as rule,
        connection,
        record_id,
        cast(acquisition_source as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                created_date nulls last,
                recency
        ) as place
    from weighed
    where acquisition_source is not null
    union all
    select
        customer_key,
        'lead_score' as field,
        'highest' as rule,
        connection,
        record_id,
        cast(lead_score as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                lead_score desc,
                recency
        ) as place
    from weighed
    where lead_score is not null
    union all
    select
        customer_key,
        'do_not_email' as field,
        'highest' as rule,
        connection,
        record_id,
        cast(do_not_email as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                do_not_email desc,
                recency
        ) as place
    from weighed
    where do_not_email is not null
    union all
    select
        customer_key,
        'company_key' as field,
        'newest' as rule,
        connection,
        record_id,
        cast(company_key as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                recency
        ) as place
    from weighed
    where company_key is not null
    union all
    select
        customer_key,
        'created_date' as field,
        'lowest' as rule,
        connection,
        record_id,
        cast(created_date as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                created_date,
                recency
        ) as place
    from weighed
    where created_date is not null
    union all
    select
        customer_key,
        'last_updated' as field,
        'highest' as rule,
        connection,
        record_id,
        cast(last_updated as {{ dbt.type_string() }}) as value,
        row_number() over (
            partition by customer_key
            order by
                last_updated desc,
                recency
        ) as place
    from weighed
    where last_updated is not null
),

judged as (
    select
        customer_key,
        field,
        rule,
        connection,
        record_id,
        place,
        case when value = first_value(value) over (
            partition by customer_key, field order by place rows between unbounded preceding and current row
        ) then 1 else 0 end as agrees
    from candidates
)

select
    customer_key,
    field,
    max(case when place = 1 then connection end) as connection,
    max(case when place = 1 then record_id end) as customer_id,
    rule,
    count(*) as record_count,
    count(case when agrees = 1 then 1 end) as agreeing_count,
    {{ joined_texts("case when agrees = 0 then connection || ':' || record_id end", ', ', 'place') }} as beaten
from judged
group by customer_key, field, rule
