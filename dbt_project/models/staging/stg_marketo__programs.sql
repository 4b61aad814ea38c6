-- generated from cdp_pipelines/mapping.yml by `make generate`; do not edit
with records as (
    {{ latest(source('raw_marketo', 'programs'), key=['id'], columns=['id', 'name', 'type', 'status', 'start_date', 'end_date',
        'created_at', 'updated_at']) }}
)

select
    records.connection as connection,
    'marketo' as source_system,
    'program' as record_type,
    {{ clean_text('records.id') }} as id,
    {{ clean_text('records.name') }} as name,
    {{ clean_text('records.type') }} as type,
    {{ clean_text('records.status') }} as status,
    cast(null as boolean) as is_active,
    cast(null as {{ dbt.type_string() }}) as parent_id,
    {{ to_date_utc('records.start_date') }} as start_date,
    {{ to_date_utc('records.end_date') }} as end_date,
    cast(null as {{ dbt.type_string() }}) as owner_id,
    {{ to_timestamp_utc('records.created_at') }} as created_date,
    {{ to_timestamp_utc('records.updated_at') }} as last_updated,
    coalesce(records._deleted, 'false') = 'true' as is_deleted,
    {{ to_timestamp_utc('records._synced_at') }} as synced_at
from records
