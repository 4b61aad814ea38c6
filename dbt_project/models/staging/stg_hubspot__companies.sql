-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_hubspot', 'companies'), key=['id'], columns=['id', 'name', 'domain', 'website', 'industry', 'phone', 'city',
        'state', 'country', 'numberofemployees', 'annualrevenue', 'hubspot_owner_id', 'createdate', 'hs_lastmodifieddate',
        'salesforceaccountid']) }}
)

select
    records.connection as connection,
    'hubspot' as source_system,
    {{ clean_text('records.id') }} as id,
    {{ clean_text('records.name') }} as name,
    {{ clean_domain(first_filled(['records.domain', 'records.website'])) }} as domain,
    {{ clean_text('records.industry') }} as industry,
    {{ clean_text('records.phone') }} as phone,
    {{ clean_text('records.city') }} as city,
    {{ clean_text('records.state') }} as state,
    {{ clean_text('records.country') }} as country,
    {{ to_integer('records.numberofemployees') }} as employees,
    {{ to_decimal('records.annualrevenue', 18, 2) }} as annual_revenue,
    {{ clean_text('records.hubspot_owner_id') }} as owner_id,
    {{ to_timestamp_utc('records.createdate') }} as created_date,
    {{ to_timestamp_utc('records.hs_lastmodifieddate') }} as last_updated,
    {{ clean_text('records.salesforceaccountid') }} as salesforce_id,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    records._merged_into as merged_into,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
