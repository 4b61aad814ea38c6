-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_salesforce', 'account'), key=['id'], columns=['id', 'name', 'website', 'industry', 'phone', 'billing_city',
        'billing_state', 'billing_country', 'number_of_employees', 'annual_revenue', 'owner_id', 'created_date', 'last_modified_date']) }}
)

select
    records.connection as connection,
    'salesforce' as source_system,
    {{ clean_text('records.id') }} as id,
    {{ clean_text('records.name') }} as name,
    {{ clean_domain('records.website') }} as domain,
    {{ clean_text('records.industry') }} as industry,
    {{ clean_text('records.phone') }} as phone,
    {{ clean_text('records.billing_city') }} as city,
    {{ clean_text('records.billing_state') }} as state,
    {{ clean_text('records.billing_country') }} as country,
    {{ to_integer('records.number_of_employees') }} as employees,
    {{ to_decimal('records.annual_revenue', 18, 2) }} as annual_revenue,
    {{ clean_text('records.owner_id') }} as owner_id,
    {{ to_timestamp_utc('records.created_date') }} as created_date,
    {{ to_timestamp_utc('records.last_modified_date') }} as last_updated,
    cast(null as {{ dbt.type_string() }}) as salesforce_id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    records._merged_into as merged_into,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
