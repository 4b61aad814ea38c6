-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with lifecycle_stage_history_rows as (
    {{ latest_set(source('raw_hubspot', 'lifecycle_stage_history'), replaced_by=['contact_id'], key=['contact_id', 'timestamp',
        'value'], columns=['contact_id', 'timestamp', 'value', 'source_type']) }}
),

records as (
    select
        lifecycle_stage_history_rows.connection as connection,
        lifecycle_stage_history_rows._synced_at as _synced_at,
        lifecycle_stage_history_rows._deleted as _deleted,
        lifecycle_stage_history_rows._merged_into as _merged_into,
        lifecycle_stage_history_rows.timestamp as timestamp,
        lifecycle_stage_history_rows.contact_id as contact_id,
        lifecycle_stage_history_rows.value as value,
        lifecycle_stage_history_rows.source_type as source_type
    from lifecycle_stage_history_rows
    where lifecycle_stage_history_rows.timestamp is not null
)

select
    records.connection as connection,
    'hubspot' as source_system,
    {{ clean_text('records.contact_id') }} as contact_id,
    {{ clean_text('records.value') }} as stage,
    {{ to_timestamp_utc('records.timestamp') }} as changed_at,
    {{ clean_text('records.source_type') }} as changed_by,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
