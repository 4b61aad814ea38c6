-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_salesforce', 'campaign'), key=['id'], columns=['id', 'name', 'type', 'status', 'is_active', 'parent_id',
        'start_date', 'end_date', 'owner_id', 'created_date', 'last_modified_date']) }}
)

select
    records.connection as connection,
    'salesforce' as source_system,
    'campaign' as record_type,
    {{ clean_text('records.id') }} as id,
    {{ clean_text('records.name') }} as name,
    {{ clean_text('records.type') }} as type,
    {{ clean_text('records.status') }} as status,
    {{ to_boolean('records.is_active') }} as is_active,
    {{ clean_text('records.parent_id') }} as parent_id,
    {{ to_date_utc('records.start_date') }} as start_date,
    {{ to_date_utc('records.end_date') }} as end_date,
    {{ clean_text('records.owner_id') }} as owner_id,
    {{ to_timestamp_utc('records.created_date') }} as created_date,
    {{ to_timestamp_utc('records.last_modified_date') }} as last_updated,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
