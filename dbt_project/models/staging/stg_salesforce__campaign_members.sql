-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_salesforce', 'campaign_member'), key=['id'], columns=['id', 'campaign_id', 'contact_id', 'lead_id',
        'status', 'has_responded', 'created_date', 'last_modified_date']) }}
)

select
    records.connection as connection,
    'salesforce' as source_system,
    {{ clean_text('records.id') }} as id,
    {{ clean_text('records.campaign_id') }} as campaign_id,
    {{ first_filled(['records.contact_id', 'records.lead_id']) }} as contact_id,
    {{ clean_text('records.status') }} as status,
    {{ to_boolean('records.has_responded') }} as responded,
    {{ to_timestamp_utc('records.created_date') }} as created_date,
    {{ to_timestamp_utc('records.last_modified_date') }} as last_updated,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
